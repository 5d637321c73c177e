"""Schedules: in which order nodes run, when values die, which may be written over."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from archcost.graph.columns import Cut, surviving
from archcost.graph.graph import Node
from archcost.graph.ops import Act, Conv, Dropout, Join, Linear, Norm

_UNSAVED = (Conv, Linear, Norm)  # autograd keeps none of these operators' outputs, so the output may be overwritten


@final
@dataclass(frozen=True, slots=True)
class Schedule:
    """How a network, or a part of one, runs. Everything in it is a position in `nodes`."""

    nodes: tuple[Node, ...]
    reads: Mapping[int, tuple[int, ...]]
    """What runs, in execution order, and the values it reads."""
    dies: Mapping[int, tuple[int, ...]]
    """The values that nothing reads any more once a position has run."""
    overwrites: frozenset[int]
    """What may write its output over its first input, also while training."""

    def part(self, positions: Collection[int]) -> Schedule:
        """Return the schedule of some positions, for whoever runs the others apart.

        The others may read any value, so that none dies, and none that they make is written over.
        """
        reads = {i: inputs for i, inputs in self.reads.items() if i in positions}
        overwrites = frozenset(i for i in self.overwrites & reads.keys() if reads[i][0] in reads)
        return Schedule(self.nodes, reads, dict.fromkeys(reads, ()), overwrites)


def scheduled(nodes: tuple[Node, ...], cut: Cut = ()) -> Schedule:
    """Return how a network runs, or what is left of it without the inputs of joins in `cut`.

    Raises GraphError if without those nothing reaches the output.
    """
    reads = surviving(nodes, cut) if cut else {position: node.inputs for position, node in enumerate(nodes)}
    return Schedule(nodes, reads, last_uses(reads), in_place(nodes, reads))


def last_uses(reads: dict[int, tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
    """Return, for every position in execution order, the values that nothing after it reads.

    `reads` maps a position to the positions it reads; the last one's value is the result and never dies.
    """
    dies: dict[int, list[int]] = {position: [] for position in reads}
    seen: set[int] = {next(reversed(reads))} if reads else set()
    for position in reversed(reads):
        for i in dict.fromkeys(reads[position]):
            if i not in seen:
                seen.add(i)
                dies[position].append(i)
    return {position: tuple(values) for position, values in dies.items()}


def in_place(nodes: Sequence[Node], reads: Mapping[int, Sequence[int]]) -> frozenset[int]:
    """Return the positions that may write their output over their first input, also while training.

    An activation, or a sum of two or more, whose first input nothing else reads and autograd did not keep.
    """
    uses = _count(i for inputs in reads.values() for i in inputs)
    return frozenset(
        position
        for position, inputs in reads.items()
        if inputs
        and _overwrites(nodes[position])
        and uses[inputs[0]] == 1
        and isinstance(nodes[inputs[0]].op, _UNSAVED)
    )


def _overwrites(node: Node) -> bool:
    return isinstance(node.op, Act) or (isinstance(node.op, Join) and node.op.kind == "sum")


def passes_on(node: Node) -> bool:
    """Return whether a node hands on its very input once training is over."""
    return isinstance(node.op, Dropout)


def _count(values: Iterable[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts
