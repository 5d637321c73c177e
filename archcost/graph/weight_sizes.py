"""What a network takes whose products have weights of 8 bits: each weight at its own size."""

from __future__ import annotations

from archcost.graph.cost import peak_bytes
from archcost.graph.dtypes import BYTES, INT8, unquantised
from archcost.graph.graph import Graph
from archcost.graph.ops import Conv, Linear, Lookup, Work

SAVED_BYTES = BYTES["float32"] - 1
"""What a weight of 8 bits saves."""


def quantised(op: object, work: Work) -> int:
    """Return how many of an operator's parameters have 8 bits at int8: the weights of products, and of tables.

    Biases are added to sums of 32 bits, and stay 4 bytes, as norms do.
    """
    match op:
        case Conv(out=out, bias=bias) | Linear(out=out, bias=bias):
            return work.params - (out if bias else 0)
        case Lookup():
            return work.params
        case _:
            return 0


def saved_bytes(graph: Graph) -> int:
    """Return how much smaller a network's weights are at int8 than at float32."""
    each = zip(graph.nodes, graph.works, strict=True)
    return SAVED_BYTES * sum(quantised(node.op, work) for node, work in each)


def saved_by_node(graph: Graph) -> tuple[int, ...]:
    """Return how many bytes less of its own each node reads at int8 than at float32; a row of a table is no product."""
    each = zip(graph.nodes, graph.works, strict=True)
    return tuple(0 if isinstance(n.op, Lookup) else SAVED_BYTES * quantised(n.op, work) for n, work in each)


def most_bytes(graph: Graph, batch: int, precision: str) -> int:
    """Return weights and the largest set of values alive at once; at int8 at most so much.

    Which values a runtime keeps in 8 bits it decides itself, so that at int8 they count as float32.
    """
    peak = peak_bytes(graph, batch, BYTES[unquantised(precision)])
    return peak - saved_bytes(graph) if precision == INT8 else peak
