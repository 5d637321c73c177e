"""Agreement of two ways of running a network: the same outputs, or how far apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from archcost.errors import TargetError, named, one_line
from archcost.nets.call import Call
from archcost.nets.calls.arguments import arguments
from archcost.nets.calls.contents import tensors_in

_RANDOM: Final = torch.Tag.nondeterministic_seeded
_SHOWN: Final = 3  # names of operators in a message


class DisagreementError(TargetError):
    """What runs does not compute what the network computes."""


def reference(call: Call) -> list[Tensor]:
    """Return the tensors that the eager module gives; raises TargetError with what it raises."""
    return tensors_in(outputs(call))


def outputs(call: Call) -> object:
    """Return what the eager module gives; raises TargetError with what it raises.

    Its inputs are copies: a forward may write to them. What it keeps is made outside inference mode, so that exporters
    and later calls can use it.
    """
    try:
        with torch.inference_mode(False), torch.no_grad():
            args, kwargs = fresh(call)
            given: object = call.module(*args, **kwargs)
    except Exception as error:
        raise TargetError(f"the network failed when it was run: {one_line(named(error))}") from error
    return given


def fresh(call: Call) -> tuple[tuple[object, ...], dict[str, object]]:
    """Return copies of a call's arguments, no inference tensors: torch compiles anew for those."""
    with torch.inference_mode(False), torch.no_grad():
        return arguments(call.args, call.kwargs, Tensor.clone)


def agree(what: str, expected: Sequence[Tensor], given: Sequence[Tensor], tolerance: float, hint: str = "") -> float:
    """Return how far `what` is from the network at most, as a share of the largest output.

    A share, since networks that are not trained give numbers from 1e-3 to 1e8. Raises TargetError beyond `tolerance`,
    where the shapes differ, and where the network's output is not finite, with `hint` what to do about that.
    """
    if [t.shape for t in expected] != [t.shape for t in given]:
        raise DisagreementError(f"{what} gives {_sizes(given)}, the network {_sizes(expected)}")
    shares = [_apart(_exact(one), _exact(other), hint) for one, other in zip(expected, given, strict=True)]
    for share in shares:
        if not share <= tolerance:  # also if it is no number
            raise DisagreementError(f"{what} differs by {share:.2g} of the largest output; allowed: {tolerance:g}")
    return max(shares, default=0.0)


@contextmanager
def explained(call: Call) -> Iterator[None]:
    """Name the cause of a disagreement if it is the network itself, two calls of which differ.

    Raises TargetError with how far they are apart, and what draws random numbers; any other disagreement as it is.
    """
    try:
        yield
    except DisagreementError as error:
        if cause := _own_difference(call):
            raise TargetError(cause) from error
        raise


def _own_difference(call: Call) -> str:
    """Return why two calls of a network differ, '' if they do not."""
    first = reference(call)
    with _Draws() as draws:
        second = reference(call)
    try:
        agree("a second call", first, second, 0.0)
    except DisagreementError as error:
        apart = str(error)
    else:
        return ""
    cause = "it keeps state between calls, or draws numbers outside torch"
    if draws.names:
        names = ", ".join(sorted(draws.names)[:_SHOWN])
        cause = f"it draws random numbers ({names}), as dropout that is on in evaluation mode or torch.rand would"
    return f"nothing can be compared, as two calls of the network itself differ: {cause} ({apart})"


class _Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's __init_subclass__
    """While it is entered, the operators that draw random numbers are noted by name."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note the operator, and run it."""
        if _RANDOM in func.tags:
            self.names.add(str(func.overloadpacket))
        return func(*args, **(kwargs or {}))


def _exact(tensor: Tensor) -> Tensor:
    return tensor.cpu().to(torch.complex128 if tensor.is_complex() else torch.float64)  # Metal has no float64


def _apart(expected: Tensor, given: Tensor, hint: str) -> float:
    if not expected.isfinite().all():
        raise TargetError(f"with these weights the network's output is not finite: nothing to compare{hint}")
    if not expected.numel():
        return 0.0
    apart, largest = float((given - expected).abs().max()), float(expected.abs().max())
    return apart / largest if largest else apart


def _sizes(tensors: Sequence[Tensor]) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tensors) or "nothing"
