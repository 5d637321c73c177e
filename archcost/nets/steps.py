"""A graph compiled to steps: what to call, on which values, and which values die after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from torch import Tensor, nn

from archcost.graph.liveness import Schedule
from archcost.graph.ops import Input, Recall
from archcost.nets.layers import BatchNorm, Call, overwriting


class Step(NamedTuple):
    """One call: values[output] = call(values[inputs]...); the values at `free` are read by no later step."""

    call: Call
    inputs: tuple[int, ...]
    output: int
    free: tuple[int, ...]


Steps: TypeAlias = tuple[Step, ...]

Mark: TypeAlias = Callable[[int], object]
"""Told of each node, by its place, when it has run and what dies after it is let go."""


def compiled(schedule: Schedule, calls: Mapping[str, Call], *, alone: bool = False) -> Steps:
    """Return the steps of a schedule, in its order; `calls` holds each node's layer by name.

    `alone`: batch norms use and update the statistics of columns that run alone.
    """
    steps = []
    for position, inputs in schedule.reads.items():
        node = schedule.nodes[position]
        if isinstance(node.op, Input | Recall):
            continue
        call = overwriting(node.op) if position in schedule.overwrites else calls[node.name]
        if alone and isinstance(call, BatchNorm):
            call = call.alone
        steps.append(Step(call, inputs, position, schedule.dies[position]))
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


def execute_marked(steps: Steps, values: list[Tensor | None], mark: Mark) -> Tensor:
    """Do what `execute` does, and tell `mark` of every step: a function of its own, as the other shall not ask."""
    output = values[0]
    for call, inputs, place, free in steps:
        output = values[place] = call(*[values[i] for i in inputs])
        for i in free:
            values[i] = None
        mark(place)
    assert output is not None  # our own bug: an empty network
    return output


class Idle(nn.Module):
    """A layer that costs nothing but its call: it gives back its first input."""

    def forward(self, first: Tensor, *_: Tensor) -> Tensor:
        """first: anything -> the same."""
        return first


def idle(steps: Steps, renamed: Mapping[int, int] | None = None) -> Steps:
    """Return the same steps with calls that cost nothing: of a module if there was one, of a function else.

    renamed: places that are read past.
    """
    moved = renamed or {}
    return tuple(
        step._replace(
            call=Idle() if isinstance(step.call, nn.Module) else first,
            inputs=tuple(moved.get(i, i) for i in step.inputs),
        )
        for step in steps
    )


def first(value: Tensor, *_: object) -> Tensor:
    """Return the first value: what a function costs that does nothing."""
    return value
