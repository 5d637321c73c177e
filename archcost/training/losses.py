"""What a training minimises: a call that runs the network and gives a scalar."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from archcost.errors import ArchcostError, InputError
from archcost.graph.graph import Graph
from archcost.nets.layers import Dense
from archcost.nets.net import Net
from archcost.training import vocabulary
from archcost.training.batches import Examples, Text, batches, shuffled
from archcost.training.layout import is_wide
from archcost.training.spec import Augment
from archcost.training.speed import casting
from archcost.training.vocabulary import Readout, Words

Loss: TypeAlias = Callable[[], Tensor]


@dataclass(frozen=True, slots=True)
class OfExamples:
    """The cross entropy of the classes of images or sequences."""

    net: nn.Module
    examples: Examples
    batch: int
    changes: Augment | None
    smoothing: float
    dtype: torch.dtype

    @property
    def count(self) -> int:
        """How many mini-batches an epoch has."""
        return batches(len(self.examples), self.batch)

    def epoch(self) -> Iterator[Loss]:
        """Yield the loss of every mini-batch of an epoch, in an order from torch's random numbers."""
        for chosen in shuffled(len(self.examples), self.batch):
            yield lambda chosen=chosen: self._loss(chosen)  # type: ignore[misc]  # mypy knows no default of a lambda

    def _loss(self, chosen: Tensor) -> Tensor:
        device = self.examples.targets.device
        inputs, targets = self.examples.batch(chosen.to(device), self.changes)
        if inputs.dim() == 4 and not is_wide(self.net):
            inputs = torch.empty_like(inputs, memory_format=torch.contiguous_format).copy_(inputs)
        with casting(self.dtype, device):
            scores = self.net(inputs)
        return functional.cross_entropy(*as_examples(scores.float(), targets), label_smoothing=self.smoothing)


@dataclass(frozen=True, slots=True)
class OfBatches:
    """The cross entropy of mini-batches that come as they are: windows of a text, or data of the user's own."""

    net: nn.Module
    once: Callable[[], Iterable[tuple[Tensor, Tensor]]]
    count: int
    smoothing: float
    dtype: torch.dtype

    def epoch(self) -> Iterator[Loss]:
        """Yield the loss of every mini-batch of an epoch."""
        for inputs, targets in self.once():
            yield lambda inputs=inputs, targets=targets: self._loss(inputs, targets)  # type: ignore[misc]

    def _loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        with casting(self.dtype, inputs.device):
            scores = self.net(inputs)
        return functional.cross_entropy(*as_examples(scores.float(), targets), label_smoothing=self.smoothing)


def as_examples(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """scores: (B, K) with targets (B,), or (B, T, K) with (B, T) -> (N, K) and (N,), every token an example.

    Raises InputError for other shapes.
    """
    if not isinstance(scores, Tensor) or scores.shape[:-1] != targets.shape:
        given = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        allowed = f"{(*targets.shape, 'classes')}, a score for each class"
        raise InputError(f"the network gives {given} for targets {tuple(targets.shape)}; allowed: {allowed}")
    return scores.flatten(0, -2), targets.flatten()


@dataclass(frozen=True, slots=True)
class OfText:
    """The cross entropy of the next tokens of a text, windows of which follow each other (truncated BPTT).

    `body` is the network without its readout, which is trained apart (see readout). carry: a window begins in the state
    the one before ended in, through which no gradient goes; else in zeros. words: those a window is trained on, or all.
    """

    body: Net
    head: Dense
    text: Text
    carry: bool
    how: Readout
    words: Words | None

    @property
    def count(self) -> int:
        """How many windows an epoch has."""
        return batches(self.text.inputs.shape[1], self.text.steps)

    def epoch(self) -> Iterator[Loss]:
        """Yield the loss of every window, which are to be run in this order."""
        state = [self.body.state(len(self.text.inputs))]
        for inputs, targets in self.text.windows():
            yield lambda inputs=inputs, targets=targets: self._loss(inputs, targets, state)  # type: ignore[misc]

    def _loss(self, inputs: Tensor, targets: Tensor, state: list[Tensor]) -> Tensor:
        states, last = self.body.run(inputs, state[0])
        state[0] = last.detach() if self.carry else state[0]
        weight, bias, flat = self.head.weight, self.head.bias, targets.flatten()
        if self.words is not None:
            positions, offsets, flat = self.words.choose(flat)
            weight, bias = weight.index_select(0, positions), bias.index_select(0, positions) + offsets  # type: ignore[assignment]
        return vocabulary.loss(states.flatten(0, 1), weight, bias, flat, self.how)


def divided(net: Net) -> tuple[Net, Dense]:
    """Return a language model without its readout, and the readout; both share the network's weights.

    Raises InputError for a network that has no output for every token.
    """
    last = net.graph.nodes[-1]
    head = net.calls.get(last.name)
    if net.graph.steps is None or last.runs == 1 < net.graph.steps or not isinstance(head, Dense):
        raise InputError("a text needs a network with an output for every token: readout: every")
    return net.restricted(Graph(net.graph.nodes[:-1], net.graph.steps)), head


def begin_readout(head: Dense, targets: Tensor) -> None:
    """Set a readout's bias to the logarithm of how often each token is the next, so that training begins there.

    targets: (L,) tokens.
    """
    often = torch.bincount(targets.flatten().cpu(), minlength=len(head.bias)).double() + 1
    with torch.no_grad():
        head.bias.copy_((often / often.sum()).log())


_ABOVE: Final = 20.0  # times the loss of guessing; a spike from which training came back was never above 8


class Diverged(ArchcostError):  # noqa: N818  # it names what happened to a training
    """Training was ended, because its loss or gradient is no finite number or the loss has exploded."""

    exit_code: ClassVar[int] = 3


def limit(classes: int) -> float:
    """Return the loss, in nats, above which training of a network with so many classes has exploded."""
    return _ABOVE * max(1.0, math.log(classes))


def check(value: float, most: float, what: str) -> None:
    """Raise Diverged if a value, named by `what`, is not finite or above `most`."""
    if not math.isfinite(value):
        raise Diverged(f"training diverged: {what} is {value}; a smaller lr, or clip, may help")
    if value > most:
        raise Diverged(f"training diverged: {what} is {value:.4g}, above {most:.4g}; a smaller lr, or clip, may help")
