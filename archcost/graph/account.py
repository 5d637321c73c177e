"""The time-free part of a profile: bytes and layers at one batch and dtype."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from archcost.graph import weight_sizes
from archcost.graph.cost import Cost, count, peak_bytes
from archcost.graph.dtypes import BYTES, INT8, unquantised
from archcost.graph.gradients import backward
from archcost.graph.graph import Graph
from archcost.graph.ops import Shape


class Layer(NamedTuple):
    """One node of a network, or one operator of a module's part; counts are of one example, all its runs together.

    Bytes are at the account's batch and dtype. `backward_macs`: what training adds, None if it was not counted.
    """

    name: str
    op: str
    group: str
    column: int | None
    shape: Shape
    params: int
    macs: int
    elementwise: int
    read_bytes: int
    written_bytes: int
    runs: int
    backward_macs: int | None

    def intensity(self, batch: int) -> float | None:
        """Return the operations a byte moved, None if none is: what is low is bound by memory, not arithmetic."""
        moved_bytes = self.read_bytes + self.written_bytes
        return (2 * self.macs + self.elementwise) * batch / moved_bytes if moved_bytes else None


@dataclass(frozen=True, slots=True)
class Training:
    """What a training step takes: multiply-accumulates of one example; bytes at the account's batch and dtype.

    saved_bytes: what autograd keeps from the forward pass for the backward, weights and inputs apart; peak_bytes:
    weights, and the most that is alive at once, gradients with it; None if they were not counted.
    """

    forward_macs: int
    backward_macs: int
    saved_bytes: int | None = None
    peak_bytes: int | None = None

    @property
    def macs(self) -> int:
        """Forward and backward."""
        return self.forward_macs + self.backward_macs

    def to_dict(self) -> dict[str, object]:
        """Return the training step as JSON holds it."""
        return {
            "forward_macs": self.forward_macs,
            "backward_macs": self.backward_macs,
            "saved_bytes": self.saved_bytes,
            "peak_bytes": self.peak_bytes,
        }


class Trained(NamedTuple):
    """What is known of a training step: None and why if there is none; `behind`: backward MACs of each layer."""

    step: Training | None
    why: str = ""
    behind: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Account:
    """What a network takes at a batch and dtype; layers and training are counted when they are first asked for.

    weights_bytes: parameters and buffers; activation_bytes: all outputs of one pass; peak_bytes: weights and the
    largest set of values alive at once in execution order. `listed` gives the layers without their backward MACs.
    call_macs: of the whole call at the batch, None if they are not counted apart from those of one example.
    """

    batch: int
    dtype: str
    weights_bytes: int
    activation_bytes: int
    peak_bytes: int
    listed: Callable[[], tuple[Layer, ...]]
    train: Callable[[], Trained]
    call_macs: int | None = None

    @cached_property
    def trained(self) -> Trained:
        """The training step, or why it was not counted."""
        return self.train()

    @property
    def training(self) -> Training | None:
        """The training step, None if it was not counted."""
        return self.trained.step

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The nodes of a network, or a module's operators part by part, in execution order."""
        layers, behind = self.listed(), self.trained.behind
        if behind is None:
            return layers
        return tuple(layer._replace(backward_macs=macs) for layer, macs in zip(layers, behind, strict=True))

    def memory(self) -> dict[str, object]:
        """Return the bytes as JSON holds them."""
        return {
            "batch": self.batch,
            "dtype": self.dtype,
            "weights_bytes": self.weights_bytes,
            "activation_bytes": self.activation_bytes,
            "peak_bytes": self.peak_bytes,
            "training": None if self.training is None else self.training.to_dict(),
        }


def account(graph: Graph, batch: int, dtype: str) -> Account:
    """Return what a family's network takes, from its graph alone; what autograd keeps is not known there.

    At int8 each weight has its own size, and values count as float32: a runtime chooses those of 8 bits.
    """
    size, cost = BYTES[unquantised(dtype)], count(graph)
    saved_bytes = weight_sizes.saved_bytes(graph) if dtype == INT8 else 0
    return Account(
        batch,
        dtype,
        cost.weights_bytes(size) - saved_bytes,
        cost.activation_bytes(batch, size),
        peak_bytes(graph, batch, size) - saved_bytes,
        lambda: _layers(graph, cost, batch, dtype),
        lambda: _trained(graph, cost),
    )


def _layers(graph: Graph, cost: Cost, batch: int, dtype: str) -> tuple[Layer, ...]:
    size = BYTES[unquantised(dtype)]
    saved = weight_sizes.saved_by_node(graph) if dtype == INT8 else (0,) * len(cost.rows)
    return tuple(
        Layer(
            *(row.name, row.op, row.group, row.column, row.shape, row.params, row.macs, row.elementwise),
            *(row.read_bytes(batch, size) - less, row.written_bytes(batch, size), row.runs, None),
        )
        for row, less in zip(cost.rows, saved, strict=True)
    )


def _trained(graph: Graph, cost: Cost) -> Trained:
    behind = tuple(node.input_macs + node.weight_macs for node in backward(graph))
    return Trained(Training(cost.macs, sum(behind)), "", behind)
