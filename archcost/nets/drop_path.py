"""Drop-path (FractalNet, 1605.07648): which paths a mini-batch drops, and what still runs.

Section 3.1 of the paper. Local: every input of a join is dropped with a probability, at least one survives, the join
takes the mean of the survivors. Global: one column for the whole network. What is dropped is not computed. The network
is planned block by block (wherever a single value is alive), so that few plans exist and all are kept: 21 for a block
of three columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor

from archcost.graph.columns import beside, columns
from archcost.graph.graph import Graph, Node
from archcost.graph.liveness import Schedule, scheduled
from archcost.graph.ops import Input, Join
from archcost.graph.recipe import Recipe
from archcost.nets.layers import Call
from archcost.nets.steps import Steps, compiled, execute

Pattern: TypeAlias = frozenset[tuple[int, int]]

_MOST_PLANS = 4096  # a block of five columns has millions of patterns: past this the block's plans are made anew


@dataclass(frozen=True)
class Block:
    """A stretch of the network between two places where a single value is alive; nodes[0] stands for its input."""

    nodes: tuple[Node, ...]
    joins: tuple[tuple[int, int], ...]
    """Of every join of columns: its position and how many inputs it has."""
    plans: dict[Pattern, Steps] = field(default_factory=dict)

    def steps(self, dropped: Pattern, calls: Mapping[str, Call]) -> Steps:
        """Return the steps that remain without the dropped inputs."""
        if dropped not in self.plans:
            if len(self.plans) >= _MOST_PLANS:
                self.plans.clear()
            self.plans[dropped] = compiled(scheduled(self.nodes, dropped), calls)
        return self.plans[dropped]


def blocks(schedule: Schedule) -> tuple[Block, ...]:
    """Return a network's blocks in order."""
    starts = [0, *_single_values(schedule)]
    return tuple(_block(schedule.nodes, a, b) for a, b in pairwise(starts))


def _single_values(schedule: Schedule) -> Iterator[int]:
    """Yield the positions after which only their own value is alive, the output's among them."""
    alive = 0
    for position, dead in schedule.dies.items():
        alive += 1 - len(dead)
        if alive == 1 and position:
            yield position


def _block(nodes: Sequence[Node], start: int, end: int) -> Block:
    inside = [nodes[start]._replace(op=Input(nodes[start].shape), inputs=(), column=None)]
    for position in range(start + 1, end + 1):
        inside.append(nodes[position]._replace(inputs=tuple(i - start for i in nodes[position].inputs)))
    joins = [(i, len(node.inputs)) for i, node in enumerate(inside) if _joins_columns(inside, node)]
    return Block(tuple(inside), tuple(joins))


def _joins_columns(nodes: Sequence[Node], node: Node) -> bool:
    return isinstance(node.op, Join) and all(nodes[i].column is not None for i in node.inputs)


def drawn(block: Block, rate: float) -> Pattern:
    """Return the join inputs of a block that one mini-batch drops, from torch's random numbers."""
    if not block.joins:
        return frozenset()
    chances = iter(torch.rand(sum(count for _, count in block.joins)).tolist())
    dropped: set[tuple[int, int]] = set()
    for join, count in block.joins:
        drawn = [next(chances) for _ in range(count)]
        # where all would go, the one with the largest number stays: each is as likely as the others
        dropped.update((join, k) for k, chance in enumerate(drawn) if chance < rate and chance < max(drawn))
    return frozenset(dropped)


class DropPath:
    """Runs a fractal network with paths left out; made once per network."""

    def __init__(self, graph: Graph, schedule: Schedule, calls: Mapping[str, Call], recipe: Recipe) -> None:
        self.local, self.whole = recipe.drop_local, recipe.drop_global
        self._calls = calls
        self._blocks = blocks(schedule)
        self._length = len(graph.nodes)
        self._columns = [
            compiled(scheduled(graph.nodes, beside(graph.nodes, [c])), calls, alone=self.whole > 0)
            for c in columns(graph)
        ]

    def __call__(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, K), one mini-batch's choice of paths."""
        if torch.rand(()).item() < self.whole:
            chosen = int(torch.randint(len(self._columns), ()).item())
            return execute(self._columns[chosen], [x, *[None] * (self._length - 1)])
        for block in self._blocks:
            steps = block.steps(drawn(block, self.local), self._calls)
            x = execute(steps, [x, *[None] * (len(block.nodes) - 1)])
        return x
