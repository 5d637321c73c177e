"""One torch layer or function for every operator.

Operators meet torch here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional

from archcost.graph.ops import (
    Act,
    Bias,
    Concat,
    Conv,
    Dropout,
    GlobalPool,
    Input,
    Join,
    Last,
    Linear,
    Lookup,
    Norm,
    Op,
    Pad,
    Pool,
    Recall,
    Scale,
    Shape,
    Window,
)

Call: TypeAlias = Callable[..., Tensor]


def layer(op: Op, inputs: Sequence[Shape], *, alone: bool = False) -> Call:
    """Return what computes `op`: an nn.Module where it owns state or differs in training, else a function.

    Sequence operators take (B, T, ...). `alone`: batch norms keep a second row of statistics (see BatchNorm).
    """
    match op:
        case Conv():
            sides = (op.kernel, op.stride, op.padding)
            return nn.Conv2d(inputs[0][0], op.out, *sides, groups=op.groups, bias=op.bias)
        case Linear():
            return Dense(inputs[0][0], op.out, op.bias)
        case Lookup():
            return nn.Embedding(op.rows, op.out)
        case Bias():
            return Shift(inputs[0][0])
        case Norm():
            return BatchNorm(inputs[0][0], alone)
        case Act():
            return _ACTIVATIONS[op.kind]
        case Join():
            return _JOINS[op.kind]
        case Concat():
            return concatenated
        case Pool():
            return _pool(op)
        case GlobalPool():
            return _over_space
        case Pad():
            return partial(_padded, out=op.out, stride=op.stride)
        case Window():
            return partial(_gathered, count=op.count, span=op.span)
        case Scale():
            return Factors(op.factors, inputs[0][0] // len(op.factors))
        case Dropout():
            return nn.Dropout(op.rate)
        case Last():
            return _last
        case Input() | Recall():
            raise TypeError(f"{type(op).__name__} is not a layer: its value is handed to it")
        case _:
            assert_never(op)


def overwriting(op: Op) -> Call:
    """Return what computes an activation or a sum over its first input (see liveness.in_place)."""
    match op:
        case Act():
            return _ACTIVATIONS_IN_PLACE[op.kind]
        case Join(kind="sum"):
            return _sum_in_place
        case _:
            raise TypeError(f"{op} cannot write over its input")


class BatchNorm(nn.Module):
    """Batch normalisation over (B, C, ...) with one affine and, for fractal columns, a second row of statistics.

    A column that runs alone sees other activations than the same column between joins, so `alone` has its own
    running mean and variance. Momentum .1, epsilon 1e-5.
    """

    running_mean: Tensor
    running_var: Tensor
    alone_mean: Tensor
    alone_var: Tensor

    def __init__(self, channels: int, alone: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.rows = ("running", "alone") if alone else ("running",)
        for row in self.rows:
            self.register_buffer(f"{row}_mean", torch.zeros(channels))
            self.register_buffer(f"{row}_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, ...) -> (B, C, ...)."""
        return self._normalised(x, self.running_mean, self.running_var)

    def alone(self, x: Tensor) -> Tensor:
        """Return the same with the statistics of columns that run alone."""
        return self._normalised(x, self.alone_mean, self.alone_var)

    def _normalised(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return functional.batch_norm(x, mean, var, self.weight, self.bias, self.training, 0.1, 1e-5)


class Dense(nn.Linear):
    """A linear layer that can be lent another weight for one call: how constant factors are folded in."""

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """x: (..., F) -> (..., out)."""
        return functional.linear(x, self.weight if weight is None else weight, self.bias)


class Shift(nn.Module):
    """A learned bias on (..., F)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., F) -> (..., F)."""
        return x + self.bias


def _gathered(x: Tensor, count: int, span: int) -> Tensor:
    """x: (B, C, H, W) -> (B, count * span, H, W), windows as ops.Window.starts spreads them."""
    # made in every call: an index that is kept is state, and neither a parameter nor a buffer a count could name
    spread = torch.arange(count, device=x.device) * (x.shape[1] - span)
    starts = spread.div(max(count - 1, 1), rounding_mode="floor")
    return x.index_select(1, (starts[:, None] + torch.arange(span, device=x.device)).flatten())


class Factors(nn.Module):
    """Constant factors, each for `size` adjacent values of (..., n * size)."""

    def __init__(self, factors: tuple[float, ...], size: int) -> None:
        super().__init__()
        self.factors, self.size = factors, size

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., n * size) -> (..., n * size); a weight (out, n * size) is scaled the same way."""
        each = torch.tensor(self.factors, device=x.device, dtype=x.dtype)
        return x * each.repeat_interleave(self.size)


def concatenated(*values: Tensor) -> Tensor:
    """(B, C1, ...), (B, C2, ...) -> (B, C1 + C2, ...)."""
    return torch.cat(values, 1)


def _pool(op: Pool) -> Call:
    slide: Call = functional.max_pool2d
    if op.kind == "avg":
        slide = partial(functional.avg_pool2d, count_include_pad=False)
    return partial(slide, kernel_size=op.kernel, stride=op.stride, padding=op.padding, ceil_mode=op.ceil)


def _over_space(x: Tensor) -> Tensor:
    return x.mean((2, 3))  # (B, C, H, W) -> (B, C)


def _padded(x: Tensor, out: int, stride: int) -> Tensor:
    kept = x[:, :, ::stride, ::stride] if stride > 1 else x
    return functional.pad(kept, (0, 0, 0, 0, 0, out - x.shape[1]))  # (B, C, H, W) -> (B, out, H', W')


def _last(x: Tensor) -> Tensor:
    return x[:, -1]  # (B, T, ...) -> (B, ...)


def _sum(first: Tensor, second: Tensor, *more: Tensor) -> Tensor:
    total = first + second
    for value in more:
        total.add_(value)
    return total


def _sum_in_place(first: Tensor, *more: Tensor) -> Tensor:
    for value in more:
        first.add_(value)
    return first


def _mean(*values: Tensor) -> Tensor:
    return _sum(*values).div_(len(values))


def _max(first: Tensor, *more: Tensor) -> Tensor:
    for value in more:
        first = torch.maximum(first, value)
    return first


def _product(first: Tensor, *more: Tensor) -> Tensor:
    for value in more:
        first = first * value
    return first


_ACTIVATIONS: dict[str, Call] = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
_ACTIVATIONS_IN_PLACE: dict[str, Call] = {"relu": torch.relu_, "tanh": torch.tanh_, "sigmoid": torch.sigmoid_}
_JOINS: dict[str, Call] = {"sum": _sum, "mean": _mean, "max": _max, "product": _product}
