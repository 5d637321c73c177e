"""Loops, scans and branches of torch's, run step by step: a count enters their bodies.

What torch runs for them eagerly, on flat lists of tensors (torch/_higher_order_ops); a body runs once for each trip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor
from torch._ops import HigherOrderOperator
from torch.overrides import TorchFunctionMode

Body: TypeAlias = Callable[..., Any]


def _cond(taken: Any, yes: Body, no: Body, operands: Sequence[Any] = ()) -> Any:
    return (yes if bool(taken) else no)(*operands)


def _while_loop(going: Body, body: Body, carried: Sequence[Any], more: Sequence[Any]) -> Any:
    """Carried values go from trip to trip; without any trip they come back as copies."""
    values = tuple(carried)
    trips = 0
    while bool(going(*values, *more)):
        values = tuple(body(*values, *more))
        trips += 1
    return values if trips else tuple(v.clone() if isinstance(v, Tensor) else v for v in values)


def _scan(body: Body, first: Sequence[Tensor], xs: Sequence[Tensor], more: Sequence[Any]) -> Any:
    """(carried values, slices of xs) -> carried values and a slice of every output, for each slice in order."""
    carried, steps = list(first), []
    for at in range(xs[0].shape[0]):
        made = list(body(*carried, *(x.select(0, at) for x in xs), *more))
        carried = made[: len(first)]
        steps.append(made[len(first) :])
    return (*carried, *(None if out[0] is None else torch.stack(out) for out in zip(*steps, strict=True)))


def _map(body: Body, xs: Sequence[Tensor], more: Sequence[Any]) -> Any:
    """Slices of xs -> outputs, stacked."""
    steps = [body(*(x.select(0, at) for x in xs), *more) for at in range(xs[0].shape[0])]
    return tuple(None if out[0] is None else torch.stack(out) for out in zip(*steps, strict=True))


ENTERED: Final[Mapping[str, Callable[..., Any]]] = {
    "cond": _cond,
    "while_loop": _while_loop,
    "scan": _scan,
    "map_impl": _map,
    "invoke_subgraph": lambda body, _, *operands: body(*operands),
    "strict_mode": lambda body, operands: body(*operands),
    "wrap": lambda body, *operands, **named: body(*operands, **named),
}
"""By name."""


class Unrolled(TorchFunctionMode):
    """While it is entered, loops and branches run step by step above autograd, which then sees every step."""

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        """Run a function of torch's, the body of an operator over functions in its place."""
        name = func.name() if isinstance(func, HigherOrderOperator) else ""  # type: ignore[no-untyped-call]  # torch's
        if name not in ENTERED:
            return func(*args, **(kwargs or {}))
        with self:  # a body may hold another one
            return ENTERED[name](*args, **(kwargs or {}))


ON_DATA: Final = frozenset({"cond", "while_loop"})
"""Those whose course depends on values."""
