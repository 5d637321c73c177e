"""What a rule is: a call's arguments and result in, a number out; what most are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeAlias

from torch import Tensor

Args: TypeAlias = Sequence[Any]
Rule: TypeAlias = Callable[[Args, Any], int]
"""(arguments, result) -> a number; arguments as the schema orders them, those that have names only left out."""


def each(names: str, rule: Rule, space: str = "aten") -> dict[str, Rule]:
    """Return the rule under each of the names, which stand in one namespace."""
    return {f"{space}::{name}": rule for name in names.split()}


def size(value: Any) -> int:
    """Return how many scalars a tensor has, or all tensors of a list; 0 of what is neither."""
    if isinstance(value, Tensor):
        return value.numel()
    return sum(size(v) for v in value) if isinstance(value, list | tuple) else 0


def first(out: Any) -> Any:
    """Return the first of several results, or the only one."""
    return out[0] if isinstance(out, tuple | list) and out else out


def per_output(times: int) -> Rule:
    """Return the rule of so many operations for each scalar of the first result."""
    return lambda _, out: times * size(first(out))


def per_input(place: int = 0, times: int = 1) -> Rule:
    """Return the rule of so many operations for each scalar of the argument at a place."""
    return lambda args, _: times * size(args[place])


def last(args: Args, out: Any) -> int:
    """(x, ...) -> y: every scalar of y is a product over the last dimension of x, as in any linear layer."""
    return int(prod(first(out).shape) * args[0].shape[-1])


def asked(mask: Sequence[bool] | Any) -> int:
    """Return how many of the first two gradients are asked for: x's and the weight's, each a product of its own."""
    return bool(mask[0]) + bool(mask[1])


def given(out: Any) -> int:
    """Return how many of the first two gradients are there, where no mask says it."""
    return sum(isinstance(gradient, Tensor) and gradient.numel() > 0 for gradient in out[:2])
