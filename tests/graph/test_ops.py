"""The arithmetic of every operator, against the convention of the format and against torch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from specs import laws
from torch import Tensor, nn

from archcost.graph.ops import (
    OPS,
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
    ShapeError,
    Window,
    Work,
    work,
)
from archcost.nets.layers import layer

C, V = (6, 5, 4), (6,)  # an image of 120 values and a vector

# Elementwise per output element: bias 1; norm 2; activation 1; join of n: n - 1, +1 for a mean; pool k^2 - 1, +1 for
# an average; gate product 1; scale 1 (0 if folded); lookup, pad, dropout, concatenation 0.
#     operator, inputs -> shape, params, buffers, macs, elementwise
WORKS: list[tuple[Op, tuple[Shape, ...], Work]] = [
    (Input(C), (), Work(C)),
    (Input((), below=9), (), Work(())),
    (Conv(8, 1), (C,), Work((8, 5, 4), 48, 0, 48 * 20)),
    (Conv(8, 3, 1, 1), (C,), Work((8, 5, 4), 432, 0, 432 * 20)),
    (Conv(8, 3, 2, 1), (C,), Work((8, 3, 2), 432, 0, 432 * 6)),
    (Conv(8, 3, bias=True), (C,), Work((8, 3, 2), 440, 0, 432 * 6, 48)),
    (Conv(8, 3, 1, 1, groups=2), (C,), Work((8, 5, 4), 216, 0, 216 * 20)),
    (Conv(6, 3, 1, 1, groups=6, bias=True), (C,), Work(C, 60, 0, 54 * 20, 120)),
    (Linear(8), (V,), Work((8,), 56, 0, 48, 8)),
    (Linear(8, bias=False), (V,), Work((8,), 48, 0, 48)),
    (Lookup(9, 8), ((),), Work((8,), 72)),
    (Bias(), (V,), Work(V, 6, elementwise=6)),
    (Norm(), (C,), Work(C, 12, 12, 0, 240)),
    (Norm(), (V,), Work(V, 12, 12, 0, 12)),
    (Act("relu"), (C,), Work(C, elementwise=120)),
    (Act("tanh"), (V,), Work(V, elementwise=6)),
    (Act("sigmoid"), ((),), Work((), elementwise=1)),
    (Join("sum"), (C, C), Work(C, elementwise=120)),
    (Join("mean"), (C, C, C), Work(C, elementwise=360)),
    (Join("max"), (V, V, V), Work(V, elementwise=12)),
    (Join("product"), (V, V), Work(V, elementwise=6)),
    (Concat(), (C, (2, 5, 4)), Work((8, 5, 4))),
    (Concat(), (V,), Work(V)),
    (Pool("max", 3, 2), (C,), Work((6, 2, 1), elementwise=8 * 12)),
    (Pool("max", 3, 2, ceil=True), (C,), Work((6, 2, 2), elementwise=8 * 24)),
    (Pool("max", 3, 2, 1), (C,), Work((6, 3, 2), elementwise=8 * 36)),
    (Pool("avg", 3, 2, ceil=True), (C,), Work((6, 2, 2), elementwise=9 * 24)),
    (Pool("avg", 2, 2), (C,), Work((6, 2, 2), elementwise=4 * 24)),
    (GlobalPool(), (C,), Work(V, elementwise=120)),
    (Pad(8, 2), (C,), Work((8, 3, 2))),
    (Pad(6), (C,), Work(C)),
    (Window(4, 3), (C,), Work((12, 5, 4))),
    (Window(1, 6), (C,), Work(C)),
    (Scale((0.5, 0.25)), (V,), Work(V, elementwise=6)),
    (Scale((0.5, 0.25), folded=True), (V,), Work(V)),
    (Dropout(0.5), (C,), Work(C)),
    (Recall(1, (1, 2, 3), V), (), Work((18,))),
    (Last(), (V,), Work(V)),
]

WRONG: list[tuple[Op, tuple[Shape, ...], str]] = [
    (Conv(8, 3), (V,), "needs an image (C, H, W), not (6,)"),
    (Conv(8, 7), (C,), "a 7 x 7 window with stride 1 leaves nothing of a side of 5"),
    (Conv(8, 3, groups=4), (C,), "6 input channels cannot be split into 4 groups"),
    (Conv(7, 3, groups=2), (C,), "7 output channels cannot be split into 2 groups"),
    (Conv(8, 3), (C, C), "Conv cannot take 2 inputs"),
    (Linear(8), (C,), "needs a vector (F,), not (6, 5, 4)"),
    (Linear(8), (), "Linear cannot take 0 inputs"),
    (Lookup(9, 8), (V,), "needs one token, not (6,)"),
    (Bias(), (C,), "needs a vector (F,), not (6, 5, 4)"),
    (Norm(), ((),), "needs channels to normalise"),
    (Join("sum"), (C, V), "cannot join the shapes (6, 5, 4), (6,)"),
    (Join("mean"), (), "cannot join the shapes of nothing"),
    (Concat(), (C, V), "cannot concatenate the shapes (6, 5, 4), (6,)"),
    (Concat(), ((), ()), "cannot concatenate the shapes (), ()"),
    (Concat(), (), "cannot concatenate the shapes of nothing"),
    (Pool("max", 6, 1), (C,), "a 6 x 6 window with stride 1 leaves nothing of a side of 5"),
    (Pool("max", 3, 2, ceil=True), ((6, 9, 1),), "a 3 x 3 window with stride 2 leaves nothing of a side of 1"),
    (Pool("avg", 2, 2), (V,), "needs an image (C, H, W), not (6,)"),
    (GlobalPool(), (V,), "needs an image (C, H, W), not (6,)"),
    (Pad(5), (C,), "padding cannot turn 6 channels into fewer (5)"),
    (Pad(8), (V,), "needs an image (C, H, W), not (6,)"),
    (Window(2, 7), (C,), "a span of 7 channels is wider than the 6 that come in"),
    (Scale((1.0,) * 4), (V,), "6 values cannot be split into 4 groups"),
    (Recall(1, (), V), (), "a recall needs delays of at least one step"),
    (Recall(1, (1, 0), V), (), "a recall needs delays of at least one step"),
    (Recall(1, (1,), C), (), "needs a vector (F,), not (6, 5, 4)"),
    (Input(V), (V,), "Input cannot take 1 inputs"),
    (Recall(1, (1,), V), (V,), "Recall cannot take 1 inputs"),
]


@pytest.mark.parametrize(("op", "inputs", "expected"), WORKS, ids=str)
def test_work(op: Op, inputs: tuple[Shape, ...], expected: Work) -> None:
    """Every operator knows its output shape and its cost."""
    assert expected == work(op, inputs)


def test_every_operator_has_a_row() -> None:
    """A new operator is not forgotten in the table."""
    assert set(OPS) == {type(op) for op, _, _ in WORKS}


@pytest.mark.parametrize(("op", "inputs", "message"), WRONG, ids=str)
def test_wrong_shapes(op: Op, inputs: tuple[Shape, ...], message: str) -> None:
    """What does not fit is refused in words, never counted."""
    with pytest.raises(ShapeError) as caught:
        work(op, inputs)
    assert message == str(caught.value)


def test_scale_needs_factors() -> None:
    """A scale without factors is a shape error like any other, not a division by zero."""
    with pytest.raises(ShapeError):
        work(Scale(()), (V,))


OWNERS = [(op, inputs, expected) for op, inputs, expected in WORKS if not isinstance(op, Input | Recall)]


@pytest.mark.parametrize(("op", "inputs", "expected"), OWNERS, ids=str)
def test_layers_own_what_is_counted(op: Op, inputs: tuple[Shape, ...], expected: Work) -> None:
    """Torch's layer holds the counted parameters and buffers, and makes the counted shape, batch in front."""
    made = layer(op, inputs)
    if isinstance(made, nn.Module):
        assert expected.params == sum(p.numel() for p in made.parameters())
        assert expected.buffers == sum(b.numel() for b in made.buffers())
    steps = (3,) if isinstance(op, Lookup | Last) else ()  # these two stand in sequences only
    given_to = [torch.zeros(2, *steps, *shape, dtype=torch.int64 if shape == () else None) for shape in inputs]
    shape = (2, *(steps if isinstance(op, Lookup) else ()), *expected.shape)
    assert shape == made(*given_to).shape


side = st.integers(1, 12)


@given(side, side, st.integers(1, 6), st.integers(1, 5), st.integers(0, 4))
@laws(300)
def test_conv_sizes_are_torchs(height: int, width: int, kernel: int, stride: int, padding: int) -> None:
    """A convolution leaves what torch's leaves, and is refused where torch refuses it."""
    agree(Conv(2, kernel, stride, padding), nn.Conv2d(3, 2, kernel, stride, padding, device="meta"), (3, height, width))


@st.composite
def pools(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Pool:
    kernel = draw(st.integers(1, 6))
    padding = draw(st.integers(0, kernel // 2))  # torch takes no more, nor does a family ask for it
    return Pool(draw(st.sampled_from(["max", "avg"])), kernel, draw(st.integers(1, 5)), padding, draw(st.booleans()))


@given(pools(), side, side)
@laws(300)
def test_pool_sizes_are_torchs(op: Pool, height: int, width: int) -> None:
    """A pool leaves what torch's leaves, also if its last window overhangs."""
    pool = nn.MaxPool2d if op.kind == "max" else nn.AvgPool2d
    agree(op, pool(op.kernel, op.stride, op.padding, ceil_mode=op.ceil), (3, height, width))


def agree(op: Op, module: nn.Module, shape: Shape) -> None:
    """Assert that an operator and torch's module make the same shape, or both refuse the input."""
    try:
        counted: Shape | None = work(op, (shape,)).shape
    except ShapeError:
        counted = None
    try:
        made: Tensor | None = module(torch.empty(1, *shape, device="meta"))
    except RuntimeError:
        made = None
    assert counted == (None if made is None else tuple(made.shape[1:]))


@given(st.integers(1, 30), st.integers(1, 30), st.data())
@laws(100)
def test_windows_spread_evenly(count: int, channels: int, data: st.DataObject) -> None:
    """Windows begin at the first channel, end at the last, never go back, and differ in their steps by at most one."""
    span = data.draw(st.integers(1, channels))
    starts = Window(count, span).starts(channels)
    assert [k * (channels - span) // max(count - 1, 1) for k in range(count)] == list(starts)
    assert starts[0] == 0
    assert channels - span == starts[-1] or count == 1
    steps = {b - a for a, b in itertools.pairwise(starts)}
    assert not steps or 0 <= min(steps) <= max(steps) <= min(steps) + 1


@given(st.integers(1, 2**53), st.integers(1, 2**53), st.integers(1, 2**53))
@laws(50)
def test_counts_are_exact(channels: int, out: int, side: int) -> None:
    """Counts are integers without an end: nothing wraps, nothing is rounded."""
    done = work(Conv(out, 3, 1, 1), ((channels, side, side),))
    assert (9 * channels * out, 9 * channels * out * side * side) == (done.params, done.macs)
