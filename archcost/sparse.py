"""The sparse layers of a network (Convolution in Convolution) beside dense ones of the same shape, as small graphs.

Fewer multiplications are not always less time: the gather costs too, so both can be measured.
"""

from __future__ import annotations

from typing import NamedTuple

from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import Conv, Input, Window


class Pair(NamedTuple):
    """One sparse layer, alone, and the dense layer that would stand in its place."""

    name: str
    sparse: Graph
    dense: Graph


def pairs(graph: Graph) -> tuple[Pair, ...]:
    """Return every different sparse layer of a network with its dense twin, named by the first node of its kind."""
    found: dict[tuple[object, ...], Pair] = {}
    for node in graph.nodes:
        if isinstance(node.op, Conv) and isinstance(graph.nodes[node.inputs[0]].op, Window):
            gather = graph.nodes[node.inputs[0]]
            shape = graph.nodes[gather.inputs[0]].shape
            sides = Conv(node.op.out, node.op.kernel, node.op.stride, node.op.padding, bias=node.op.bias)
            pair = Pair(node.name, _alone(shape, gather.op, node.op), _alone(shape, sides))
            found.setdefault((shape, gather.op, node.op), pair)
    return tuple(found.values())


def _alone(shape: tuple[int, ...], *ops: object) -> Graph:
    b = Builder()
    x = b.add("input", Input(shape))
    for op in ops:
        assert isinstance(op, Window | Conv)
        x = b.add(type(op).__name__.lower(), op, x)
    return b.graph()
