"""What a network costs: exact integers per node, with totals by group, column and operator, from its graph alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final, TypeVar

from archcost.graph import Graph
from archcost.liveness import in_place, last_uses, passes_on
from archcost.ops import Input, Lookup, Recall, Scale, Shape, work

INDEX_BYTES: Final = 8  # a token is an int64 at every dtype
BYTES: Final = {"float32": 4, "float64": 8, "bfloat16": 2, "float16": 2}

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Row:
    """What one node costs in one pass for one example, all its runs together; counts are scalars.

    `read`: what it reads of other nodes' outputs, and of a table row by row; `tokens` read come apart (int64).
    `stored`: parameters and buffers it reads once a pass whatever the batch. `written`: what it writes.
    """

    name: str
    op: str
    group: str
    column: int | None
    shape: Shape
    runs: int
    params: int
    buffers: int
    macs: int
    elementwise: int
    read: int
    tokens: int
    stored: int
    written: int

    def read_bytes(self, batch: int, itemsize: int) -> int:
        """Return the bytes one pass over `batch` examples reads."""
        return (self.read * batch + self.stored) * itemsize + self.tokens * batch * INDEX_BYTES

    def written_bytes(self, batch: int, itemsize: int) -> int:
        """Return the bytes one pass over `batch` examples writes."""
        return self.written * batch * itemsize


@dataclass(frozen=True, slots=True)
class Total:
    """The sums of some rows."""

    params: int = 0
    buffers: int = 0
    macs: int = 0
    elementwise: int = 0
    rows: int = 0

    @property
    def flops(self) -> int:
        """Two operations a multiply-accumulate, and one each elementwise operation."""
        return 2 * self.macs + self.elementwise

    def plus(self, row: Row) -> Total:
        """Return the total with one more row."""
        return Total(
            self.params + row.params,
            self.buffers + row.buffers,
            self.macs + row.macs,
            self.elementwise + row.elementwise,
            self.rows + 1,
        )


@dataclass(frozen=True)
class Cost:
    """A network's rows in execution order, and what they add up to."""

    rows: tuple[Row, ...]

    @cached_property
    def total(self) -> Total:
        """The whole network."""
        return _sums(self.rows, lambda row: "")[""] if self.rows else Total()

    @property
    def params(self) -> int:
        """Every trainable scalar."""
        return self.total.params

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and linear layers, one example, all its steps."""
        return self.total.macs

    @property
    def elementwise(self) -> int:
        """Elementwise operations of one example."""
        return self.total.elementwise

    @property
    def flops(self) -> int:
        """2 macs + elementwise."""
        return self.total.flops

    def by_group(self) -> dict[str, Total]:
        """Return the totals by group (stage, block or layer), in execution order; the input has none."""
        return _sums([row for row in self.rows if row.op != Input.__name__], lambda row: row.group)

    def by_column(self) -> dict[int | None, Total]:
        """Return the totals by column; None holds what belongs to no column."""
        return _sums(self.rows, lambda row: row.column)

    def by_op(self) -> dict[str, Total]:
        """Return the totals by operator."""
        return _sums(self.rows, lambda row: row.op)

    def weights_bytes(self, itemsize: int) -> int:
        """Return the size of parameters and buffers."""
        return (self.total.params + self.total.buffers) * itemsize

    def activation_bytes(self, batch: int, itemsize: int) -> int:
        """Return the size of all outputs of one pass."""
        return sum(row.written_bytes(batch, itemsize) for row in self.rows)


def _sums(rows: Sequence[Row], key: Callable[[Row], K]) -> dict[K, Total]:
    sums: dict[K, Total] = {}
    for row in rows:
        sums[key(row)] = sums.get(key(row), Total()).plus(row)
    return sums


def count(graph: Graph) -> Cost:
    """Return the exact cost of a network; pure arithmetic on its graph, nothing is allocated."""
    return Cost(tuple(_row(graph, position) for position in range(len(graph.nodes))))


def _row(graph: Graph, position: int) -> Row:
    node = graph.nodes[position]
    inputs = [graph.nodes[i] for i in node.inputs]
    one = work(node.op, tuple(n.shape for n in inputs))
    size = prod(node.shape) * node.runs
    table = isinstance(node.op, Lookup)
    copied = not isinstance(node.op, Input) and not passes_on(node) and not _folded(node.op)
    gathers = table or isinstance(node.op, Recall)
    read = size if gathers else sum(prod(n.shape) * n.runs for n in inputs) if copied else 0
    return Row(
        name=node.name,
        op=type(node.op).__name__,
        group=node.group,
        column=node.column,
        shape=node.shape,
        runs=node.runs,
        params=one.params,
        buffers=one.buffers,
        macs=one.macs * node.runs,
        elementwise=one.elementwise * node.runs,
        read=read,
        tokens=node.runs if table else 0,
        stored=0 if table else one.params + one.buffers,
        written=size if copied else 0,
    )


def _folded(op: object) -> bool:
    return isinstance(op, Scale) and op.folded


def peak_bytes(graph: Graph, batch: int, itemsize: int) -> int:
    """Return weights plus the largest set of values alive at once, in execution order, for one pass.

    A value dies after its last reader; an activation or sum that may overwrite its input needs no room of its own.
    """
    nodes = graph.nodes
    overwriting = in_place(nodes, {position: node.inputs for position, node in enumerate(nodes)})
    reads = _reads_of_memory(graph)
    dies = last_uses(reads)
    alive = peak = 0
    for position in reads:
        taken = {nodes[position].inputs[0]} if position in overwriting else set()
        alive += 0 if taken else _live_bytes(graph, position, itemsize)
        peak = max(peak, alive)
        alive -= sum(_live_bytes(graph, i, itemsize) for i in dies[position] if i not in taken)
    return count(graph).weights_bytes(itemsize) + peak * batch


def _reads_of_memory(graph: Graph) -> dict[int, tuple[int, ...]]:
    """Return what every node that makes a value reads, seen through the nodes that hand on their very input."""
    makers = list(range(len(graph.nodes)))
    reads: dict[int, tuple[int, ...]] = {}
    for position, node in enumerate(graph.nodes):
        if passes_on(node) or _folded(node.op):
            makers[position] = makers[node.inputs[0]]
        else:
            reads[position] = tuple(makers[i] for i in node.inputs)
    return reads


def _live_bytes(graph: Graph, position: int, itemsize: int) -> int:
    node = graph.nodes[position]
    tokens = isinstance(node.op, Input) and node.op.below is not None
    return prod(node.shape) * node.runs * (INDEX_BYTES if tokens else itemsize)
