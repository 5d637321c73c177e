"""A graph compiled to a flat tuple of steps: what to call, on which values, and which values die afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from torch import Tensor

from archcost.graph.graph import Node
from archcost.graph.liveness import in_place, last_uses
from archcost.graph.ops import Input, Recall
from archcost.nets.layers import BatchNorm, Call, overwriting


class Step(NamedTuple):
    """One call: values[output] = call(values[inputs]...); the values at `free` are read by no later step."""

    call: Call
    inputs: tuple[int, ...]
    output: int
    free: tuple[int, ...]


Steps: TypeAlias = tuple[Step, ...]


def compiled(
    nodes: Sequence[Node],
    reads: dict[int, tuple[int, ...]],
    calls: Mapping[str, Call],
    *,
    alone: bool = False,
    overwrites: Collection[int] | None = None,
) -> Steps:
    """Return the steps of the positions in `reads`, in their order; `calls` holds each node's layer by name.

    `alone`: batch norms use and update the statistics of columns that run alone. `overwrites`: the positions that write
    over their first input; where left out, those that may when nothing but `reads` is read.
    """
    overwrites = in_place(nodes, reads) if overwrites is None else overwrites
    dies = last_uses(reads)
    steps = []
    for position, inputs in reads.items():
        node = nodes[position]
        if isinstance(node.op, Input | Recall):
            continue
        call = overwriting(node.op) if position in overwrites else calls[node.name]
        if alone and isinstance(call, BatchNorm):
            call = call.alone
        steps.append(Step(call, inputs, position, dies[position]))
    return tuple(steps)


def execute(steps: Steps, values: list[Tensor | None]) -> Tensor:
    """Run the steps on `values`, one place per node, and return the last one's; dead values are let go at once."""
    output = values[0]
    for call, inputs, place, free in steps:
        output = values[place] = call(*[values[i] for i in inputs])
        for i in free:
            values[i] = None
    assert output is not None  # our own bug: an empty network
    return output
