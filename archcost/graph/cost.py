"""The exact cost of a network: integers per node, totals by group, column and operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from typing import Final, NamedTuple, TypeVar

from archcost.graph.dtypes import BYTES
from archcost.graph.graph import Graph, Node
from archcost.graph.liveness import in_place, last_uses, passes_on
from archcost.graph.ops import Dropout, Input, Lookup, Recall, Scale, Shape, Work

INDEX_BYTES: Final = BYTES["int64"]  # a token is one at every dtype

K = TypeVar("K")


class Row(NamedTuple):
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


def _total(rows: Sequence[Row]) -> Total:
    return Total(
        sum([row.params for row in rows]),
        sum([row.buffers for row in rows]),
        sum([row.macs for row in rows]),
        sum([row.elementwise for row in rows]),
        len(rows),
    )


@dataclass(frozen=True)
class Cost:
    """What a network costs in all, and row by row; the rows are made when they are first asked for."""

    total: Total
    made: Callable[[], tuple[Row, ...]]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """A row for each node, in execution order."""
        return self.made()

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

    def by_depth(self, depth: int) -> dict[str, Total]:
        """Return the totals by the first `depth` parts of names, in execution order; the input has none."""
        return _sums([row for row in self.rows if row.op != Input.__name__], lambda row: cut(row.name, depth))

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
    parts: dict[K, list[Row]] = {}
    for row in rows:
        parts.setdefault(key(row), []).append(row)
    return {name: _total(part) for name, part in parts.items()}


def cut(name: str, depth: int) -> str:
    """Return the first `depth` parts of a name of parts with dots between."""
    return ".".join(name.split(".", depth)[:depth])


def listed(rows: tuple[Row, ...]) -> Cost:
    """Return the cost that `rows` add up to."""
    return Cost(_total(rows), lambda: rows)


def count(graph: Graph) -> Cost:
    """Return the exact cost of a network; pure arithmetic on its graph, nothing is allocated."""
    works, runs = graph.works, [node.runs for node in graph.nodes]
    total = Total(
        sum([work.params for work in works]),
        sum([work.buffers for work in works]),
        sum([work.macs * n for work, n in zip(works, runs, strict=True)]),
        sum([work.elementwise * n for work, n in zip(works, runs, strict=True)]),
        len(works),
    )
    return Cost(total, partial(_rows, graph))


def _rows(graph: Graph) -> tuple[Row, ...]:
    sizes = [prod(node.shape) * node.runs for node in graph.nodes]
    return tuple(
        [_row(node, one, sizes, i) for i, (node, one) in enumerate(zip(graph.nodes, graph.works, strict=True))]
    )


def _row(node: Node, one: Work, sizes: Sequence[int], position: int) -> Row:
    runs, size = node.runs, sizes[position]
    params, buffers = one.params, one.buffers
    read, tokens, stored, written = sum([sizes[i] for i in node.inputs]), 0, params + buffers, size
    if type(node.op) in _UNLIKE:
        read, tokens, stored, written = _unlike(node, size)
    kind, shape, column, group = type(node.op).__name__, node.shape, node.column, node.group
    macs, elementwise = one.macs * runs, one.elementwise * runs
    counts = (params, buffers, macs, elementwise, read, tokens, stored, written)
    return Row(node.name, kind, group, column, shape, runs, *counts)


_UNLIKE: Final = frozenset({Input, Lookup, Recall, Dropout, Scale})


def _unlike(node: Node, size: int) -> tuple[int, int, int, int]:
    """Return what is read, tokens and stored values among it, and written by the operators that are unlike others."""
    match node.op:
        case Lookup():  # row by row, not the whole table
            return size, node.runs, 0, size
        case Recall() | Scale(folded=False):
            return size, 0, 0, size
        case _:  # is given, or hands on its very input, or is folded into a weight
            return 0, 0, 0, 0


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
