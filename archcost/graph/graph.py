"""The graph: nodes in execution order, checked at birth, and the Builder that makes them.

Every other thing about a network (module, counts, drawing, columns, JSON, cache key) is derived from its Graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from archcost.errors import InputError, Mistake, Path
from archcost.graph.ops import (
    Act,
    Bias,
    Dropout,
    Input,
    Join,
    Last,
    Linear,
    Lookup,
    Op,
    Recall,
    Scale,
    Shape,
    ShapeError,
    Work,
    work,
)

_PER_STEP = (Input, Linear, Lookup, Bias, Act, Join, Scale, Dropout, Recall, Last)  # what may stand in a sequence


class GraphError(ValueError):
    """Nodes that are no network: the reason names the node."""


class Node(NamedTuple):
    """One operator in its place: `inputs` are positions of earlier nodes, `runs` how often it runs per example."""

    name: str
    op: Op
    inputs: tuple[int, ...]
    column: int | None
    group: str
    shape: Shape
    runs: int


@dataclass(frozen=True, slots=True)
class Graph:
    """A network: its nodes in execution order; the first is the input, the last the output.

    `steps` is the length a sequence is counted at, None for an image; a module takes its length from its input.
    `works`, what one run of each node costs, follows from the nodes. Raises GraphError if they are no network.
    """

    nodes: tuple[Node, ...]
    steps: int | None = None
    works: tuple[Work, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_names(self.nodes)
        works = tuple(_checked(self, position, node) for position, node in enumerate(self.nodes))
        object.__setattr__(self, "works", works)
        _check_whole(self)

    def __deepcopy__(self, memo: dict[int, object]) -> Graph:
        return self  # a value: a copy of what cannot change is itself

    @classmethod
    def _derived(cls, nodes: tuple[Node, ...], works: tuple[Work, ...], steps: int | None) -> Graph:
        """Return the graph of nodes a Builder has derived: each is right in itself, only the whole is checked."""
        graph = object.__new__(cls)
        for name, value in (("nodes", nodes), ("works", works), ("steps", steps)):
            object.__setattr__(graph, name, value)
        _check_names(nodes)
        _check_whole(graph)
        return graph


def timed(graph: Graph) -> tuple[bool, ...]:
    """Return, for every node, whether it makes one value per step (then tensors carry T behind the batch)."""
    found: list[bool] = []
    for node in graph.nodes:
        per_step = graph.steps is not None and not isinstance(node.op, Last)
        found.append(per_step and all(found[i] for i in node.inputs))
    return tuple(found)


def derived(bare: Node, before: Sequence[Node], steps: int | None) -> tuple[Node, Work]:
    """Return a node with shape and runs as they follow from its inputs among the nodes `before` it, and its work.

    Raises ShapeError if the operator cannot take them.
    """
    inputs = [before[i] for i in bare.inputs]
    made = work(bare.op, tuple([node.shape for node in inputs]))
    runs = _runs(bare.op, [node.runs for node in inputs], steps)
    return bare._replace(shape=made.shape, runs=runs), made


def _runs(op: Op, counts: Sequence[int], steps: int | None) -> int:
    if steps is None or isinstance(op, Last):
        return 1
    if not counts:
        return steps
    if min(counts) != max(counts):
        raise ShapeError(f"cannot join a value per step with one per sequence (runs {sorted(set(counts))})")
    return counts[0]


def _check_names(nodes: tuple[Node, ...]) -> None:
    if not nodes:
        raise GraphError("a network needs at least one node")
    names = {node.name for node in nodes}
    if len(names) < len(nodes):
        twice = next(name for name, times in Counter(node.name for node in nodes).items() if times > 1)
        raise GraphError(f"two nodes are named {twice!r}")
    if "" in names:
        raise GraphError("a node has no name")


def _checked(graph: Graph, position: int, node: Node) -> Work:
    """Return what a node costs, having checked it against what comes before it."""
    if (position == 0) != isinstance(node.op, Input):
        raise GraphError(f"{node.name}: the first node, and no other, is the input")
    if any(not 0 <= i < position for i in node.inputs):
        raise GraphError(f"{node.name}: reads a node that does not come before it")
    try:
        made, one = derived(node, graph.nodes, graph.steps)
    except ShapeError as error:
        raise GraphError(f"{node.name}: {error}") from error
    if made != node:
        raise GraphError(f"{node.name}: makes {made.shape} x {made.runs}, not {node.shape} x {node.runs}")
    return one


def _check_whole(graph: Graph) -> None:
    """Check what only all nodes together show: every node is used, time and recurrence are sound."""
    kinds = {type(node.op) for node in graph.nodes}
    if graph.steps is not None or Recall in kinds or Last in kinds:
        _check_time(graph)
    # without recalls a value that something reads leads to the last node: readers come later, and only it has none
    read = {i for node in graph.nodes for i in node.inputs}
    if len(read) < len(graph.nodes) - 1 or Recall in kinds:
        _check_use(graph.nodes)
    if Scale in kinds:
        _check_scales(graph.nodes)
    if Recall in kinds:
        _check_recalls(graph)


def readers(nodes: Sequence[Node]) -> list[list[int]]:
    """Return, for every node, the positions of the nodes that read it (recalls not included)."""
    found: list[list[int]] = [[] for _ in nodes]
    for position, node in enumerate(nodes):
        for i in node.inputs:
            found[i].append(position)
    return found


def _check_time(graph: Graph) -> None:
    if graph.steps is not None and graph.steps < 1:
        raise GraphError(f"a sequence has at least one step, not {graph.steps}")
    for node in graph.nodes:
        if graph.steps is not None and not isinstance(node.op, _PER_STEP):
            raise GraphError(f"{node.name}: {type(node.op).__name__} does not work on sequences")
    per_step = timed(graph)
    for node in graph.nodes:
        made_once = [i for i in node.inputs if not per_step[i]]
        if 0 < len(made_once) < len(node.inputs):
            raise GraphError(f"{node.name}: cannot join a value per step with one per sequence")
        if isinstance(node.op, Last) and made_once:
            raise GraphError(f"{node.name}: takes the last of what is not a sequence")
        source = node.op.source if isinstance(node.op, Recall) else 0
        if graph.steps and source < len(per_step) and not per_step[source]:
            raise GraphError(f"{node.name}: recalls what is not a sequence")


def _check_use(nodes: tuple[Node, ...]) -> None:
    wanted = [False] * len(nodes)
    left = [len(nodes) - 1]
    while left:
        position = left.pop()
        if 0 <= position < len(nodes) and not wanted[position]:
            wanted[position] = True
            op = nodes[position].op
            left += [op.source] if isinstance(op, Recall) else nodes[position].inputs
    for node, used in zip(nodes, wanted, strict=True):
        if not used:
            raise GraphError(f"{node.name}: nothing reads it")


def _check_scales(nodes: tuple[Node, ...]) -> None:
    for node, reading in zip(nodes, readers(nodes), strict=True):
        if isinstance(node.op, Scale) and node.op.folded:
            only = nodes[reading[0]] if len(reading) == 1 else None
            if only is None or not isinstance(only.op, Linear) or not isinstance(nodes[node.inputs[0]].op, Recall):
                raise GraphError(f"{node.name}: a folded scale reads a recall and is read by one Linear alone")


def _check_recalls(graph: Graph) -> None:
    recalls = [node for node in graph.nodes if isinstance(node.op, Recall)]
    sources = {node.op.source for node in recalls if isinstance(node.op, Recall)}
    source = sources.pop()
    if sources or not 0 < source < len(graph.nodes):
        raise GraphError("all recalls of a network name one source, a node of it")
    if graph.steps is None:
        raise GraphError("only a network on sequences can recall")
    cycle = recurrent(graph)
    for position, node in enumerate(graph.nodes):
        if isinstance(node.op, Recall):
            if isinstance(graph.nodes[source].op, Recall):
                raise GraphError(f"{node.name}: recalls a recall")
            if node.op.shape != graph.nodes[source].shape:
                raise GraphError(f"{node.name}: recalls {node.op.shape}, its source makes {graph.nodes[source].shape}")
            if position not in cycle:
                raise GraphError(f"{node.name}: recalls what does not depend on it")


def recurrent(graph: Graph) -> frozenset[int]:
    """Return the positions on the recurrent cycle: reachable from a Recall and reaching its source.

    Only these have to run step by step; everything else runs once over all steps.
    """
    recalls = [i for i, node in enumerate(graph.nodes) if isinstance(node.op, Recall)]
    if not recalls:
        return frozenset()
    reached = [False] * len(graph.nodes)
    for i, node in enumerate(graph.nodes):
        reached[i] = isinstance(node.op, Recall) or any(reached[j] for j in node.inputs)
    reaching: set[int] = {node.op.source for node in graph.nodes if isinstance(node.op, Recall)}
    for i in range(max(reaching), -1, -1):
        if i in reaching:
            reaching.update(graph.nodes[i].inputs)
    return frozenset(i for i in reaching if reached[i])


class Builder:
    """Makes a Graph node by node, derives shapes, and says which YAML key a shape error comes from.

    Used by a family while it expands its spec, then thrown away.
    """

    def __init__(self, steps: int | None = None) -> None:
        self.steps = steps
        self.nodes: list[Node] = []
        self._works: list[Work] = []
        self._known: dict[tuple[int, tuple[Shape, ...]], Work] = {}  # by the operator's identity: nodes keep it alive
        self._path: Path = ()
        self._prefix = ""
        self._group = ""

    @contextmanager
    def at(self, *path: str | int) -> Iterator[None]:
        """Nodes added inside expand the YAML key at `path`."""
        before, self._path = self._path, path
        yield
        self._path = before

    @contextmanager
    def group(self, name: str) -> Iterator[None]:
        """Nodes added inside belong to group `name` (a line of the cost table) and carry it in their names."""
        before, self._group, self._prefix = (self._group, self._prefix), name, f"{name}."
        yield
        self._group, self._prefix = before

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names of nodes added inside begin with `name`."""
        before, self._prefix = self._prefix, f"{self._prefix}{name}."
        yield
        self._prefix = before

    def add(self, name: str, op: Op, *inputs: int, column: int | None = None) -> int:
        """Append a node and return its position; raises InputError at the current key where the shapes do not fit."""
        nodes = self.nodes
        shapes = (nodes[inputs[0]].shape,) if len(inputs) == 1 else tuple([nodes[i].shape for i in inputs])
        key = id(op), shapes
        try:
            made = self._known.get(key) or self._known.setdefault(key, work(op, shapes))
            runs = 1 if self.steps is None else _runs(op, [nodes[i].runs for i in inputs], self.steps)
        except ShapeError as error:
            raise InputError(Mistake(f"{self._prefix}{name}: {error}", self._path)) from None
        nodes.append(Node(self._prefix + name, op, inputs, column, self._group, made.shape, runs))
        self._works.append(made)
        return len(self.nodes) - 1

    def shape(self, position: int) -> Shape:
        """Return the shape of a node that was added."""
        return self.nodes[position].shape

    def close(self, source: int) -> None:
        """Let every recall that was added name `source`, the node whose earlier values it hands over."""
        for i, node in enumerate(self.nodes):
            if isinstance(node.op, Recall):
                self.nodes[i] = node._replace(op=replace(node.op, source=source))

    def graph(self) -> Graph:
        """Return the finished network; the last node that was added is its output."""
        return Graph._derived(tuple(self.nodes), tuple(self._works), self.steps)
