"""The MACs of a training step: forward and backward pass, from the graph alone.

Exact integers, of one example.

A product Y = X W, matrix product or convolution, has two gradients, dW = X^T dY and dX = dY W^T (Rumelhart, Hinton and
Williams 1986). Each pairs the same elements as the forward pass and so takes its MACs: of a convolution dX is the
transposed convolution (1603.07285, section 4), and groups, strides and padding change nothing in that. dX is needed
only if there is a parameter above X. A recurrent network is unrolled (Werbos 1990); torch's autograd then leaves out
what would be a gradient of the zero state before the sequence, and what belongs to steps the loss does not see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from archcost.graph.graph import Graph, recurrent
from archcost.graph.ops import Recall


class Backward(NamedTuple):
    """The multiply-accumulates of one node's gradients: one example, all its runs."""

    input_macs: int
    weight_macs: int


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """The multiply-accumulates of one training pass of one example, all its steps, with no path dropped."""

    forward_macs: int
    input_gradient_macs: int
    weight_gradient_macs: int

    @property
    def backward_macs(self) -> int:
        """Both gradients of every node."""
        return self.input_gradient_macs + self.weight_gradient_macs

    @property
    def macs(self) -> int:
        """Forward and backward."""
        return self.forward_macs + self.backward_macs


def training_cost(graph: Graph) -> TrainingCost:
    """Return what one training pass costs: forward, a loss on the output, and the gradients of all parameters."""
    parts = backward(graph)
    forward = sum([work.macs * node.runs for work, node in zip(graph.works, graph.nodes, strict=True)])
    return TrainingCost(forward, sum([part.input_macs for part in parts]), sum([part.weight_macs for part in parts]))


def backward(graph: Graph) -> tuple[Backward, ...]:
    """Return what the gradients of every node cost, in the graph's order.

    A node on the recurrent cycle runs step by step: its weight gradient is computed at every step the loss sees (that
    its input is the zero state does not matter), its input gradient only if that input is, in any part, more than
    the zero state: a concatenation needs a gradient as a whole. A node beside the cycle runs once over all steps, and
    its gradients too, where only some steps need one or only the last is read: torch fills the others with zeros.
    """
    cycle = recurrent(graph)
    needed, seen = _needed_from(graph), _seen_steps(graph)
    parts = []
    for position, (node, work) in enumerate(zip(graph.nodes, graph.works, strict=True)):
        weight_runs = input_runs = 0
        if work.macs:
            start = needed[node.inputs[0]]  # what multiplies reads one value
            weight_runs = seen[position] if position in cycle else node.runs * (seen[position] > 0)
            input_runs = max(seen[position] - start, 0) if position in cycle else weight_runs * (start < _steps(graph))
        parts.append(Backward(input_runs * work.macs, weight_runs * work.macs))
    return tuple(parts)


def _steps(graph: Graph) -> int:
    return 1 if graph.steps is None else graph.steps


def _recalls(graph: Graph) -> Sequence[tuple[int, int, int]]:
    """Return every recall's position, its source and the steps until it first hands over a value of the sequence."""
    found = enumerate(graph.nodes)
    return [(i, node.op.source, min(node.op.delays)) for i, node in found if isinstance(node.op, Recall)]


def _needed_from(graph: Graph) -> Sequence[int]:
    """Return, for every node, the first step at which its value depends on a parameter; T or more: at none.

    A state depends on one from the first step on or never: a parameter that reaches it by a recall is one it reads.
    """
    never = _steps(graph)
    needed = [never] * len(graph.nodes)
    recalls = _recalls(graph)
    for _ in range(2 if recalls else 1):  # the states without their recalls, then the recalls of these states
        recalled = {position: needed[source] + delay for position, source, delay in recalls}
        for position, (node, work) in enumerate(zip(graph.nodes, graph.works, strict=True)):
            above = [needed[i] for i in node.inputs]
            needed[position] = 0 if work.params else min([recalled.get(position, never), *above])
    return needed


def _seen_steps(graph: Graph) -> Sequence[int]:
    """Return, for every node, of how many steps, counted from the first, the loss sees the value.

    All of those the output is made of, with zero weight too; of what only later states read, some steps fewer than T.
    """
    recalls = _recalls(graph)
    seen = [0] * len(graph.nodes)
    for _ in range(2 if recalls else 1):  # what is read at its own step, then what a later step recalls of it
        recalled = [(source, seen[position] - delay) for position, source, delay in recalls]
        seen[-1] = _steps(graph)
        for source, steps in recalled:
            seen[source] = max(seen[source], steps)
        for position in range(len(graph.nodes) - 1, -1, -1):
            for i in graph.nodes[position].inputs:
                seen[i] = max(seen[i], seen[position])
    return seen
