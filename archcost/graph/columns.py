"""Parts of a network: a graph without some inputs of its joins, single columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from archcost.graph.graph import Graph, GraphError, Node
from archcost.graph.ops import Conv, Join, Recall

Cut: TypeAlias = Collection[tuple[int, int]]
"""Inputs taken away: (position of a join, index among its inputs)."""


def surviving(nodes: Sequence[Node], cut: Cut) -> dict[int, tuple[int, ...]]:
    """Return the positions that still run, in order, with the inputs they read.

    A join reads what is left of its inputs and vanishes where one is left (the mean of one value is the value);
    what has lost an input, or is read by nothing any more, goes too. Raises GraphError if the output is lost.
    """
    stands: dict[int, int] = {}  # position -> the position that makes its value; absent: lost
    inputs: dict[int, tuple[int, ...]] = {}
    for position, node in enumerate(nodes):
        left = tuple(stands[i] for k, i in enumerate(node.inputs) if i in stands and (position, k) not in cut)
        if len(left) < len(node.inputs) and not (isinstance(node.op, Join) and left):
            continue
        vanishes = isinstance(node.op, Join) and len(left) == 1 < len(node.inputs)
        stands[position] = left[0] if vanishes else position
        inputs[stands[position]] = inputs[left[0]] if vanishes else left
    if len(nodes) - 1 not in stands:
        raise GraphError(f"without these inputs nothing reaches {nodes[-1].name}")
    return _used(nodes, inputs, stands[len(nodes) - 1])


def _used(nodes: Sequence[Node], inputs: Mapping[int, tuple[int, ...]], output: int) -> dict[int, tuple[int, ...]]:
    wanted = {output}
    for position in sorted(inputs, reverse=True):
        if position in wanted:
            wanted.update(inputs[position])
    for node in nodes:
        if isinstance(node.op, Recall) and node.op.source not in wanted:
            raise GraphError(f"without these inputs nothing is left for {node.name} to recall")
    return {position: inputs[position] for position in sorted(wanted)}


def restrict(graph: Graph, cut: Cut) -> Graph:
    """Return the network without the inputs in `cut`; nodes keep their names, so weights can be shared by name."""
    kept = surviving(graph.nodes, cut)
    place = {position: i for i, position in enumerate(kept)}
    nodes = []
    for position, inputs in kept.items():
        node = graph.nodes[position]
        op = replace(node.op, source=place[node.op.source]) if isinstance(node.op, Recall) else node.op
        nodes.append(node._replace(op=op, inputs=tuple(place[i] for i in inputs)))
    return Graph(tuple(nodes), graph.steps)


def columns(graph: Graph) -> tuple[int, ...]:
    """Return the columns a network has, shallowest (1) first; none for a network that is not fractal."""
    return tuple(sorted({node.column for node in graph.nodes if node.column is not None}))


def beside(nodes: Sequence[Node], chosen: Collection[int]) -> Cut:
    """Return the cut that leaves only the `chosen` columns: every join input that another column makes."""
    return {
        (position, k)
        for position, node in enumerate(nodes)
        if isinstance(node.op, Join)
        for k, i in enumerate(node.inputs)
        if nodes[i].column is not None and nodes[i].column not in chosen
    }


def only(graph: Graph, chosen: Collection[int]) -> Graph:
    """Return the sub-network of the `chosen` columns as a network of its own."""
    return restrict(graph, beside(graph.nodes, chosen))


def depth(graph: Graph, column: int) -> int:
    """Return how many convolutions follow each other in a column."""
    return sum(node.column == column and isinstance(node.op, Conv) for node in graph.nodes)
