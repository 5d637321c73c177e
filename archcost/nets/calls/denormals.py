"""Numbers below the smallest normal one, with which processors are many times slower."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from archcost.nets import copies
from archcost.nets.call import Call
from archcost.nets.calls.arguments import arguments
from archcost.nets.calls.contents import tensors_in
from archcost.nets.storage import is_plain

_LOOKED_AT: Final = 4096  # numbers of one result


def share(call: Call) -> float:
    """Return the share of the numbers in weights and arguments that are denormal: not 0, and below the smallest normal.

    If the process flushes them (torch.set_flush_denormal), they are 0 here as they are in every operator. Tensors on a
    device, of integers, sparse or quantised are not looked at.
    """
    return _share([*copies.tensors(call.module), *tensors_in((call.args, call.kwargs))])


def share_of_values(call: Call, *, on_copies: bool) -> float:
    """Return the share of denormal numbers among what the operators of one more call give: of weights that are normal.

    Of each result up to 4,096 numbers are looked at, evenly apart. A call that cannot be watched has none. on_copies:
    whether arguments are copied first, as the call may write to them.
    """
    with torch.inference_mode(False), torch.no_grad(), ExitStack() as stack:
        if "torch._dynamo" in sys.modules:  # what it refuses under a mode it would refuse in the samples too
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        args, kwargs = call.args, dict(call.kwargs)
        if on_copies:
            args, kwargs = arguments(args, kwargs, Tensor.clone)
        try:
            with _Watch() as seen:
                call.module(*args, **kwargs)
        except Exception:  # it runs without being watched: what it does cannot be seen
            return 0.0
    return seen.found / seen.total if seen.total else 0.0


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's __init_subclass__
    """While it is entered, the denormal numbers in the results of operators are counted."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.found = self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator, and look at what it gives."""
        result = func(*args, **(kwargs or {}))
        for tensor in tensors_in(result):
            if _is_looked_at(tensor):
                flat = tensor.detach().reshape(-1)
                self._add(flat[:: max(1, -(-flat.numel() // _LOOKED_AT))])
        return result

    def _add(self, flat: Tensor) -> None:
        self.found += _denormal(flat)
        self.total += flat.numel()


def _share(tensors: Iterable[Tensor]) -> float:
    looked_at = [tensor for tensor in tensors if _is_looked_at(tensor)]
    total = sum(tensor.numel() for tensor in looked_at)
    return sum(map(_denormal, looked_at)) / total if total else 0.0


def _is_looked_at(tensor: Tensor) -> bool:
    return (
        not copies.is_lazy(tensor) and is_plain(tensor) and tensor.is_floating_point() and tensor.device.type == "cpu"
    )


def _denormal(tensor: Tensor) -> int:
    with torch.no_grad():
        sizes = tensor.detach().abs()
        return int(((sizes > 0) & (sizes < torch.finfo(tensor.dtype).tiny)).sum())
