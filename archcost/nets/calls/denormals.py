"""Numbers below the smallest normal one, with which processors are many times slower."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from archcost.nets import copies
from archcost.nets.call import Call
from archcost.nets.calls.contents import tensors_in
from archcost.nets.storage import is_plain


def share(call: Call) -> float:
    """Return the share of the numbers in weights and arguments that are denormal: not 0, and below the smallest normal.

    If the process flushes them (torch.set_flush_denormal), they are 0 here as they are in every operator. Tensors on a
    device, of integers, sparse or quantised are not looked at.
    """
    return _share([*copies.tensors(call.module), *tensors_in((call.args, call.kwargs))])


def _share(tensors: Iterable[Tensor]) -> float:
    found = total = 0
    for tensor in tensors:
        if (
            copies.is_lazy(tensor)
            or not is_plain(tensor)
            or not tensor.is_floating_point()
            or tensor.device.type != "cpu"
        ):
            continue
        with torch.no_grad():
            sizes = tensor.detach().abs()
            found += int(((sizes > 0) & (sizes < torch.finfo(tensor.dtype).tiny)).sum())
        total += tensor.numel()
    return found / total if total else 0.0
