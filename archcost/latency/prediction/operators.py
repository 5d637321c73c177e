"""Operators as the predictor sees them: a kind, numbers, and how often each is called."""

from __future__ import annotations

import math
from collections.abc import Iterator
from math import log, prod
from typing import Final, NamedTuple, TypeAlias

from archcost.graph.cost import Row, count
from archcost.graph.graph import Graph, recurrent
from archcost.graph.ops import Act, Concat, Conv, Dropout, Input, Join, Linear, Norm, Op, Pool, Recall, Scale

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
UNSTACK: Final = "unstack"

_PRODUCTS: Final = {POINTWISE: "conv", CONVOLUTION: "conv", GROUPED: "conv", DENSE: "product"}
"""What runtimes join other operators to, by kind."""
_CONVOLUTIONS: Final = frozenset({POINTWISE, CONVOLUTION, GROUPED})
_DEEP: Final = 3  # operators that one is known to come after


class Operator(NamedTuple):
    """Calls that are alike: the kind, what tells one from another of the kind, and their number in one pass.

    after: the operators whose result it reads, as far as a runtime may join it to one of them; summed: whether it is a
    convolution whose result is the last that a sum reads: a runtime may join the sum to it.
    """

    kind: str
    features: Features
    calls: int
    after: str = ""
    summed: bool = False

    @property
    def place(self) -> str:
        """The kind, and what it comes after: by this a runtime joins it to what is before, or does not."""
        return f"{self.kind}<{self.after}"

    @property
    def setting(self) -> str:
        """The kind, and the one operator that it comes after, or that it is a step of several.

        Of a convolution only whether it comes after any, and whether a sum comes after it.
        """
        before = self.after.split("+")[0].split("<")[0]
        if self.kind in _CONVOLUTIONS:
            before = (before and "any") + "+sum" * self.summed
        return f"{self.kind}<{'step' if self.calls > 1 else before}"


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

    What costs nothing has none: the input, dropout, and factors that are folded into weights. What a recurrence reads
    of a whole sequence is taken apart first, an operator of its own kind (`UNSTACK`).
    """
    feeds = feeding(graph)
    operators = dict(by_node(graph, batch))
    if not feeds:
        return tuple(operators.values())
    return *operators.values(), unstack(operators[feeds[-1]], len(feeds), graph.steps or 1)


def feeding(graph: Graph) -> tuple[str, ...]:
    """Return the nodes off a recurrence whose results for all steps it reads one by one, in order."""
    cycle = recurrent(graph) if graph.steps else frozenset()
    read = {source for place in cycle for source in graph.nodes[place].inputs} - cycle
    return tuple(graph.nodes[place].name for place in sorted(read) if not is_free(graph.nodes[place].op))


def unstack(last: Operator, feeds: int, steps: int) -> Operator:
    """Return what takes sequences apart; last: the last of the operators that give them."""
    written = max(1, round(math.exp(last.features[0]) / (1 if last.kind == DENSE else steps)))
    return elementwise(UNSTACK, (written, written, written), 0.0, feeds * steps)


def by_node(graph: Graph, batch: int) -> Iterator[tuple[str, Operator]]:
    """Yield the operators of nodes, each with the name of its node."""
    cycle = recurrent(graph) if graph.steps else frozenset()
    summed = frozenset(_summed(graph))
    chains: list[str] = []
    for place, (node, row) in enumerate(zip(graph.nodes, count(graph).rows, strict=True)):
        after = "+".join(sorted({chains[each] for each in node.inputs}))
        if is_free(node.op):
            chains.append(after)
            continue
        operator = of_row(node.op, row, row.runs if place in cycle else 1, batch)
        operator = operator._replace(after=after, summed=place in summed)
        chains.append(chain(operator))
        yield node.name, operator


def _summed(graph: Graph) -> Iterator[int]:
    """Yield the places of convolutions whose result, or its norm, is the last that a sum reads."""
    for node in graph.nodes:
        if isinstance(node.op, Join) and node.op.kind == "sum":
            place = max(node.inputs)
            while isinstance(graph.nodes[place].op, Norm | Dropout):
                (place,) = graph.nodes[place].inputs
            if isinstance(graph.nodes[place].op, Conv):
                yield place


def chain(operator: Operator) -> str:
    """Return an operator and what it comes after, as what reads it sees them: before a product is nothing."""
    kind = _PRODUCTS.get(operator.kind, operator.kind)
    if kind != operator.kind or not operator.after:
        return kind
    before = operator.after.split("+")
    if len(before) > 1:  # it may be joined to a product, if it reads one
        before = sorted({each.rpartition("<")[2] for each in before} & set(_PRODUCTS.values()))
    return "<".join([kind, *(before[0].split("<") if before else ())][:_DEEP])


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
    whole = tuple(float(size % block == 0) for block in (8, _BLOCK) for size in (out, channels))
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
    size = (log(written), log(read / written), log(channels), log(each + 1))
    return Operator(kind, (*size, _filling(channels), float(channels % _BLOCK == 0)), calls)


def _filling(channels: int) -> float:
    """Return the logarithm of how much larger channels are once they fill whole vectors."""
    return log(math.ceil(channels / _BLOCK) * _BLOCK / channels)
