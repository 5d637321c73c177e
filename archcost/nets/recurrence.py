"""A recurrent graph at run time: only what lies on the cycle is stepped.

All before and after it runs once over (B, T).

The states that are fed back are kept newest first; a recall of several is one concatenation and its matrix product
one call per step. Factors in front of a product are folded into its weight, once a call.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from archcost.errors import InputError
from archcost.graph.graph import Graph, recurrent
from archcost.graph.liveness import Schedule
from archcost.graph.ops import Recall, Scale
from archcost.nets.layers import Call, Dense
from archcost.nets.steps import Mark, Step, compiled, execute, execute_marked, first, idle


class Recurrence:
    """A compiled recurrent graph: the steps before, on and after the cycle."""

    def __init__(self, graph: Graph, schedule: Schedule, calls: Mapping[str, Call]) -> None:
        nodes = graph.nodes
        cycle = recurrent(graph)
        recalls = {i: node.op for i, node in enumerate(nodes) if isinstance(node.op, Recall)}
        self.source = next(iter(recalls.values())).source
        self.shape, self.given = nodes[self.source].shape, nodes[0].shape
        self.depth = max(max(op.delays) for op in recalls.values())
        self.length = len(nodes)
        later = _fed_by(graph, cycle)
        self.recalls = [(i, tuple(d - 1 for d in op.delays)) for i, op in recalls.items()]
        self.folded = {i: nodes[i].inputs[0] for i in sorted(cycle) if _is_folded(nodes[i].op)}
        self.factors = {i: calls[nodes[i].name] for i in self.folded}
        self.before = compiled(schedule.part(schedule.reads.keys() - cycle - later), calls)
        self.stepped = compiled(schedule.part(cycle - self.folded.keys()), calls)  # a folded scale is passed by
        self.after = compiled(schedule.part(later), calls)
        inputs = {i for step in self.stepped for i in step.inputs}
        self.driving = sorted(inputs - cycle)
        self.joined: Callable[..., Tensor] = torch.cat
        self.collected = sorted({i for n in later for i in nodes[n].inputs if i in cycle} | {len(nodes) - 1} & cycle)

    def __call__(self, x: Tensor, state: Tensor | None, mark: Mark | None = None) -> tuple[Tensor, Tensor]:
        """x: (B, T) tokens or (B, T, F); state: (B, N, H) newest first -> output, state behind the last step.

        mark: told of every node when it has run.
        """
        if not x.shape[1]:
            raise InputError(f"given a sequence of no steps, {tuple(x.shape)}; allowed: at least one")
        values: list[Tensor | None] = [x, *[None] * (self.length - 1)]
        run = execute if mark is None else partial(execute_marked, mark=mark)
        last = run(self.before, values) if self.before else x
        history = self._history(last if state is None else state, x.shape[0], state)
        driving = [(i, _given(values[i]).unbind(1)) for i in self.driving]
        steps = self._bound(mark)
        kept: dict[int, list[Tensor]] = {i: [] for i in self.collected}
        for t in range(x.shape[1]):
            for i, sequence in driving:
                values[i] = sequence[t]
            for i, delays in self.recalls:
                values[i] = history[delays[0]] if len(delays) == 1 else self.joined([history[d] for d in delays], 1)
                if mark:
                    mark(i)
            for call, inputs, place, _ in steps:
                values[place] = call(*[values[i] for i in inputs])
                if mark:
                    mark(place)
            history = [_given(values[self.source]), *history[:-1]]
            for i, sequence_of in kept.items():
                sequence_of.append(_given(values[i]))
        for i, sequence_of in kept.items():
            values[i] = torch.stack(sequence_of, 1)
        output = run(self.after, values) if self.after else _given(values[-1])
        return output, torch.stack(history, 1)

    def idle(self) -> Recurrence:
        """Return this recurrence with nodes that cost nothing; states are handed on as here."""
        other = copy.copy(self)
        other.before, other.after = idle(self.before), idle(self.after)
        other.stepped = idle(self.stepped, self.folded)
        other.folded, other.joined, other.shape = {}, _first_of, self.given  # as what idle nodes hand on
        return other

    def _history(self, like: Tensor, batch: int, state: Tensor | None) -> list[Tensor]:
        """Return the earlier states, newest first; zero before the sequence."""
        if state is not None:
            return list(state.unbind(1))
        zero = torch.zeros(batch, *self.shape, dtype=like.dtype, device=like.device)
        return [zero] * self.depth

    def _bound(self, mark: Mark | None) -> Sequence[Step]:
        """Return the steps with folded weights lent to their products, read past the scale."""
        if not self.folded:
            return self.stepped
        bound = []
        for step in self.stepped:
            scale = step.inputs[0]
            if scale in self.folded and isinstance(step.call, Dense):
                call = partial(step.call, weight=self.factors[scale](step.call.weight))
                bound.append(Step(call, (self.folded[scale],), step.output, ()))
                if mark:
                    mark(scale)
            else:
                bound.append(step)
        return bound


def _first_of(values: Sequence[Tensor], _: int) -> Tensor:
    return first(*values)


def _is_folded(op: object) -> bool:
    return isinstance(op, Scale) and op.folded


def _given(value: Tensor | None) -> Tensor:
    assert value is not None  # our own bug: a step read a value nothing made
    return value


def _fed_by(graph: Graph, cycle: frozenset[int]) -> frozenset[int]:
    fed: set[int] = set()
    for i, node in enumerate(graph.nodes):
        if i not in cycle and any(j in cycle or j in fed for j in node.inputs):
            fed.add(i)
    return frozenset(fed)
