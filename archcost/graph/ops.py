"""The closed set of operators, each with its own arithmetic on shapes.

Shapes leave out the batch, and no operator knows torch.

`work(*inputs)` is what one run for one example costs: output shape, parameters, buffers, multiply-accumulates and
elementwise operations. Elementwise, per output element: bias 1; norm 2; activation 1; join of n: n - 1, +1 for a
mean; pool of k x k: k^2 - 1, +1 for an average; scale 1, 0 if folded into weights; anything that only moves: 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple, TypeAlias, final

Shape: TypeAlias = tuple[int, ...]


class ShapeError(ValueError):
    """An operator cannot take the shapes it was given; the Builder adds the key that asked for it."""


class Work(NamedTuple):
    """What one run of an operator costs for one example; parameters and buffers are those it owns."""

    shape: Shape
    params: int = 0
    buffers: int = 0
    macs: int = 0
    elementwise: int = 0


def _image(shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ShapeError(f"needs an image (C, H, W), not {shape}")
    return shape[0], shape[1], shape[2]


def _vector(shape: Shape) -> int:
    if len(shape) != 1:
        raise ShapeError(f"needs a vector (F,), not {shape}")
    return shape[0]


def _divisible(what: str, count: int, groups: int) -> None:
    if count % groups:
        raise ShapeError(f"{count} {what} cannot be split into {groups} groups")


def _slid(size: int, kernel: int, stride: int, padding: int, ceil: bool = False) -> int:
    """Return the output side of a sliding window; with `ceil` the last window may overhang but starts inside."""
    reach = size + 2 * padding - kernel
    out = (-(-reach // stride) if ceil else reach // stride) + 1
    if ceil and (out - 1) * stride >= size + padding:
        out -= 1
    if out < 1:
        raise ShapeError(f"a {kernel} x {kernel} window with stride {stride} leaves nothing of a side of {size}")
    return out


@final
@dataclass(frozen=True, slots=True)
class Input:
    """What the network is given: an image, a vector per step, or (`below` set) one integer token per step."""

    shape: Shape
    below: int | None = None

    def work(self) -> Work:
        """The input costs nothing."""
        return Work(self.shape)


@final
@dataclass(frozen=True, slots=True)
class Conv:
    """A two-dimensional convolution with a square kernel."""

    out: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    bias: bool = False

    def work(self, image: Shape) -> Work:
        """(C, H, W) -> (out, H', W'): H' W' out C/groups kernel^2 MACs."""
        channels, height, width = _image(image)
        _divisible("input channels", channels, self.groups)
        _divisible("output channels", self.out, self.groups)
        side = (self.kernel, self.stride, self.padding)
        shape = (self.out, _slid(height, *side), _slid(width, *side))
        weights = self.out * (channels // self.groups) * self.kernel**2
        params = weights + (self.out if self.bias else 0)
        return Work(shape, params, 0, weights * shape[1] * shape[2], prod(shape) if self.bias else 0)


@final
@dataclass(frozen=True, slots=True)
class Linear:
    """A dense layer on a vector."""

    out: int
    bias: bool = True

    def work(self, vector: Shape) -> Work:
        """(F,) -> (out,): F out MACs."""
        weights = _vector(vector) * self.out
        bias = self.out if self.bias else 0
        return Work((self.out,), weights + bias, 0, weights, bias)


@final
@dataclass(frozen=True, slots=True)
class Lookup:
    """A row of a table per token; equal to a dense layer on the one-hot token, for no MACs."""

    rows: int
    out: int

    def work(self, token: Shape) -> Work:
        """() -> (out,): no MACs."""
        if token:
            raise ShapeError(f"needs one token, not {token}")
        return Work((self.out,), self.rows * self.out)


@final
@dataclass(frozen=True, slots=True)
class Bias:
    """One learned number per unit, added: for a sum whose other terms own no bias."""

    def work(self, vector: Shape) -> Work:
        """(F,) -> (F,)."""
        return Work(vector, _vector(vector), elementwise=prod(vector))


@final
@dataclass(frozen=True, slots=True)
class Norm:
    """Batch normalisation: per channel a scale and a shift, and two running statistics as buffers."""

    def work(self, values: Shape) -> Work:
        """(C, ...) -> (C, ...)."""
        if not values:
            raise ShapeError("needs channels to normalise")
        return Work(values, 2 * values[0], 2 * values[0], elementwise=2 * prod(values))


@final
@dataclass(frozen=True, slots=True)
class Act:
    """An elementwise activation."""

    kind: Literal["relu", "tanh", "sigmoid"]

    def work(self, values: Shape) -> Work:
        """Any shape -> the same shape."""
        return Work(values, elementwise=prod(values))


@final
@dataclass(frozen=True, slots=True)
class Join:
    """Several values of one shape, combined element by element."""

    kind: Literal["sum", "mean", "max", "product"]

    def work(self, *values: Shape) -> Work:
        """n times any one shape -> that shape, n >= 2."""
        if len(values) < 2 or len(set(values)) != 1:
            raise ShapeError(f"cannot join the shapes {', '.join(map(str, values)) or 'of nothing'}")
        each = len(values) - 1 + (self.kind == "mean")
        return Work(values[0], elementwise=each * prod(values[0]))


@final
@dataclass(frozen=True, slots=True)
class Concat:
    """Several values, one behind the other along the channels."""

    def work(self, *values: Shape) -> Work:
        """(C1, ...), (C2, ...) -> (C1 + C2, ...)."""
        if not values or not all(values) or len({shape[1:] for shape in values}) != 1:
            raise ShapeError(f"cannot concatenate the shapes {', '.join(map(str, values)) or 'of nothing'}")
        return Work((sum(shape[0] for shape in values), *values[0][1:]))


@final
@dataclass(frozen=True, slots=True)
class Pool:
    """A sliding maximum or average; an overhanging window (`ceil`) averages what it holds."""

    kind: Literal["max", "avg"]
    kernel: int
    stride: int
    padding: int = 0
    ceil: bool = False

    def work(self, image: Shape) -> Work:
        """(C, H, W) -> (C, H', W'); no window may hold padding alone, so padding is at most half the kernel."""
        channels, height, width = _image(image)
        if 2 * self.padding > self.kernel:
            raise ShapeError(
                f"a padding of {self.padding} is more than half of the {self.kernel} x {self.kernel} window"
            )
        side = (self.kernel, self.stride, self.padding, self.ceil)
        shape = (channels, _slid(height, *side), _slid(width, *side))
        each = self.kernel**2 - 1 + (self.kind == "avg")
        return Work(shape, elementwise=each * prod(shape))


@final
@dataclass(frozen=True, slots=True)
class GlobalPool:
    """The average over space: a pool whose window is the whole image."""

    def work(self, image: Shape) -> Work:
        """(C, H, W) -> (C,)."""
        channels, *_ = _image(image)
        return Work((channels,), elementwise=prod(image))


@final
@dataclass(frozen=True, slots=True)
class Pad:
    """Every `stride`-th pixel, then zero channels behind the given ones up to `out` (He 2015, option A)."""

    out: int
    stride: int = 1

    def work(self, image: Shape) -> Work:
        """(C, H, W) -> (out, ceil(H / stride), ceil(W / stride))."""
        channels, height, width = _image(image)
        if self.out < channels:
            raise ShapeError(f"padding cannot turn {channels} channels into fewer ({self.out})")
        return Work((self.out, -(-height // self.stride), -(-width // self.stride)))


@final
@dataclass(frozen=True, slots=True)
class Window:
    """`count` windows of `span` adjacent channels, spread evenly over all: Convolution in Convolution's gather.

    Window k of K sees the channels s(k) .. s(k) + span - 1, s(k) = floor(k (C - span) / max(K - 1, 1)).
    """

    count: int
    span: int

    def work(self, image: Shape) -> Work:
        """(C, H, W) -> (count * span, H, W), window after window."""
        channels, height, width = _image(image)
        if self.span > channels:
            raise ShapeError(f"a span of {self.span} channels is wider than the {channels} that come in")
        return Work((self.count * self.span, height, width))

    def starts(self, channels: int) -> tuple[int, ...]:
        """Return s(k), the first channel of every window."""
        return tuple(k * (channels - self.span) // max(self.count - 1, 1) for k in range(self.count))


@final
@dataclass(frozen=True, slots=True)
class Scale:
    """Constant factors, one for each of len(factors) equal parts of a vector.

    `folded`: the factors are multiplied into the weights of the Linear that follows (its only reader), once a call.
    """

    factors: tuple[float, ...]
    folded: bool = False

    def work(self, vector: Shape) -> Work:
        """(n * H,) -> (n * H,)."""
        if not self.factors:
            raise ShapeError("a scale needs factors")
        _divisible("values", _vector(vector), len(self.factors))
        return Work(vector, elementwise=0 if self.folded else prod(vector))


@final
@dataclass(frozen=True, slots=True)
class Dropout:
    """Values set to zero with probability `rate` while training; nothing at all afterwards."""

    rate: float

    def work(self, values: Shape) -> Work:
        """Any shape -> the same shape, free."""
        return Work(values)


@final
@dataclass(frozen=True, slots=True)
class Recall:
    """The register of a recurrent network: node `source`'s values of `delays` steps ago, one behind the other.

    `shape` is one value's shape; before the first step the values are zero. It makes a recurrent graph acyclic.
    """

    source: int
    delays: tuple[int, ...]
    shape: Shape

    def work(self) -> Work:
        """() -> (len(delays) * H,) for states of shape (H,)."""
        if not self.delays or min(self.delays) < 1:
            raise ShapeError("a recall needs delays of at least one step")
        return Work((len(self.delays) * _vector(self.shape),))


@final
@dataclass(frozen=True, slots=True)
class Last:
    """The last step's value: all that follows runs once, not once a step."""

    def work(self, values: Shape) -> Work:
        """(T times) any shape -> that shape, once."""
        return Work(values)


Op: TypeAlias = (
    Input
    | Conv
    | Linear
    | Lookup
    | Bias
    | Norm
    | Act
    | Join
    | Concat
    | Pool
    | GlobalPool
    | Pad
    | Window
    | Scale
    | Dropout
    | Recall
    | Last
)
OPS: tuple[type[Op], ...] = Op.__args__
_SOURCES = (Input, Recall)
_JOINS = (Join, Concat)


def work(op: Op, inputs: tuple[Shape, ...]) -> Work:
    """Return what `op` costs on `inputs`; a wrong number of inputs is a ShapeError like a wrong shape."""
    if not isinstance(op, _JOINS) and len(inputs) != (0 if isinstance(op, _SOURCES) else 1):
        raise ShapeError(f"{type(op).__name__} cannot take {len(inputs)} inputs")
    return op.work(*inputs)
