"""Operators as the predictor sees them: a kind, numbers, and how often each is called."""

from __future__ import annotations

import math
from collections.abc import Iterator
from math import log, prod
from typing import Final, NamedTuple, TypeAlias

from archcost.graph.cost import Row, count
from archcost.graph.graph import Graph, recurrent
from archcost.graph.ops import Act, Concat, Conv, Dropout, Input, Join, Linear, Op, Pool, Recall, Scale

Features: TypeAlias = tuple[float, ...]

_BLOCK: Final = 16  # channels that a vector of 512 bits holds
_NATIVE_MOST: Final = 20_480
"""Elements of an input from which torch gives a convolution of one example to oneDNN.

`use_mkldnn` in aten/src/ATen/native/Convolution.cpp, torch 2.13.
"""

POINTWISE: Final = "pointwise"
CONVOLUTION: Final = "convolution"
GROUPED: Final = "grouped"
DENSE: Final = "dense"


class Operator(NamedTuple):
    """Calls that are alike: the kind, what tells one from another of the kind, and their number in one pass."""

    kind: str
    features: Features
    calls: int


def weights(operator: Operator) -> float:
    """Return how many weights a product reads in one call, 0 of other operators."""
    features = operator.features
    match operator.kind:
        case "pointwise" | "dense":
            return math.exp(features[0] + features[1])
        case "convolution":
            return math.exp(features[0] + features[1] + 2 * features[3])
        case "grouped":
            return math.exp(features[0] + features[1] + 2 * features[3] + features[5])
        case _:
            return 0.0


class Kernel(NamedTuple):
    """What a convolution is besides its sizes."""

    side: int
    stride: int
    groups: int


def of_graph(graph: Graph, batch: int) -> tuple[Operator, ...]:
    """Return the operators of a family's network; what lies on a recurrence is called once a step.

    What costs nothing has none: the input, dropout, and factors that are folded into weights.
    """
    return tuple(_of_graph(graph, batch))


def _of_graph(graph: Graph, batch: int) -> Iterator[Operator]:
    cycle = recurrent(graph) if graph.steps else frozenset()
    for place, (node, row) in enumerate(zip(graph.nodes, count(graph).rows, strict=True)):
        if not is_free(node.op):
            yield of_row(node.op, row, row.runs if place in cycle else 1, batch)


def is_free(op: Op) -> bool:
    """Return whether an operator costs nothing when a network runs: it hands on what it is given, or is folded."""
    if isinstance(op, Recall):
        return len(op.delays) == 1
    return isinstance(op, Input | Dropout) or (isinstance(op, Scale) and op.folded)


def of_row(op: Op, row: Row, calls: int, batch: int) -> Operator:
    """Return an operator of a graph from its row of the cost; calls: how often it is called in one pass."""
    steps = row.runs // calls
    written, read = row.written // calls * batch, row.read // calls * batch
    if isinstance(op, Conv):
        positions = prod(row.shape[1:])
        channels = row.macs // (row.shape[0] * positions * op.kernel**2) * op.groups
        kernel = Kernel(op.kernel, op.stride, op.groups)
        return convolution((op.out, channels, positions * batch), kernel, read, batch)
    if isinstance(op, Linear):
        return dense(op.out, row.macs // (op.out * row.runs), steps * batch, calls)
    kind = type(Concat() if isinstance(op, Recall) else op).__name__.lower()  # earlier states, one behind the other
    if isinstance(op, Act | Join | Pool):
        kind = f"{op.kind}_pool" if isinstance(op, Pool) else op.kind
    each = row.elementwise / (row.written or 1)
    return elementwise(kind, (written, read, row.shape[0] if row.shape else 1), each, calls)


def convolution(sizes: tuple[int, int, int], kernel: Kernel, read: int, batch: int, calls: int = 1) -> Operator:
    """Return a convolution; sizes: channels out and in, positions of the output in the batch; read: input elements."""
    out, channels, positions = sizes
    groups = kernel.groups
    blocks = (float(batch > 1 or read > _NATIVE_MOST), _filling(out // groups), _filling(channels // groups))
    whole = (float(out % 8 == 0), float(channels % 8 == 0))
    size = (log(out / groups), log(channels / groups), log(positions))
    if groups > 1:
        return Operator(GROUPED, (*size, log(kernel.side), log(kernel.stride), log(groups), *blocks, *whole), calls)
    if kernel.side == 1:
        return Operator(POINTWISE, (*size, log(kernel.stride), *blocks, *whole), calls)
    return Operator(CONVOLUTION, (*size, log(kernel.side), log(kernel.stride), *blocks, *whole), calls)


def dense(out: int, inputs: int, rows: int, calls: int = 1) -> Operator:
    """Return a matrix product of `rows` vectors with a weight of (out, inputs)."""
    return Operator(DENSE, (log(out), log(inputs), log(rows), _filling(out)), calls)


def elementwise(kind: str, sizes: tuple[int, int, int], each: float, calls: int = 1) -> Operator:
    """Return any other operator; sizes: elements written and read in one call, and channels; each: operations of one.

    kind: its own, as what a unit of its work takes is not known from the sizes.
    """
    written, read, channels = (max(1, size) for size in sizes)
    return Operator(kind, (log(written), log(read / written), log(channels), log(each + 1)), calls)


def _filling(channels: int) -> float:
    """Return the logarithm of how much larger channels are once they fill whole vectors."""
    return log(math.ceil(channels / _BLOCK) * _BLOCK / channels)
