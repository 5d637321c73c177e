"""Agreement of two ways of running a network: the same outputs, or how far apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from archcost.errors import TargetError, named, one_line
from archcost.nets.call import Call
from archcost.nets.calls.arguments import arguments
from archcost.nets.calls.contents import tensors_in


def reference(call: Call) -> list[Tensor]:
    """Return the tensors that the eager module gives; raises TargetError with what it raises.

    Its inputs are copies: a forward may write to them. What it keeps is made outside inference mode, so that exporters
    and later calls can use it.
    """
    try:
        with torch.inference_mode(False), torch.no_grad():
            args, kwargs = fresh(call)
            return tensors_in(call.module(*args, **kwargs))
    except Exception as error:
        raise TargetError(f"the network failed when it was run: {one_line(named(error))}") from error


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
        raise TargetError(f"{what} gives {_sizes(given)}, the network {_sizes(expected)}")
    shares = [_apart(_exact(one), _exact(other), hint) for one, other in zip(expected, given, strict=True)]
    for share in shares:
        if not share <= tolerance:  # also if it is no number
            raise TargetError(f"{what} differs by {share:.2g} of the largest output; allowed: {tolerance:g}")
    return max(shares, default=0.0)


def _exact(tensor: Tensor) -> Tensor:
    return tensor.cpu().double()  # Metal has no float64


def _apart(expected: Tensor, given: Tensor, hint: str) -> float:
    if not expected.isfinite().all():
        raise TargetError(f"with these weights the network's output is not finite: nothing to compare{hint}")
    if not expected.numel():
        return 0.0
    apart, largest = float((given - expected).abs().max()), float(expected.abs().max())
    return apart / largest if largest else apart


def _sizes(tensors: Sequence[Tensor]) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tensors) or "nothing"
