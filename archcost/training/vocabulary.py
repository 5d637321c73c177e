"""A readout over many words: the words that it is trained on in a window, and its loss.

The gradient is made at once, and the scores are not kept. Of a readout of 10,000 words, scores, their logarithms and
their gradients are each larger than all else in training. Here one copy exists at a time; with bfloat16 the three
products are in it, the softmax stays in float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

_MOST_SCORES = 2**23  # at a time: 32 MiB


class Readout(NamedTuple):
    """How a readout is trained: the type of its products, and the share of the target spread over all classes."""

    dtype: torch.dtype = torch.float32
    smoothing: float = 0.0


def loss(states: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, how: Readout) -> Tensor:
    """states: (N, H), weight: (K, H), bias: (K,), targets: (N,) classes -> mean cross entropy in nats, a scalar."""
    made: Tensor = _CrossEntropy.apply(states, weight, bias, targets, how)  # type: ignore[no-untyped-call]
    return made


class _CrossEntropy(torch.autograd.Function):
    """The mean of log sum_k exp(z_k) - (1 - s) z_target - s mean_k z_k, z = weight states + bias.

    Its gradient with regard to z is (softmax(z) - (1 - s) [k = target] - s / K) / N.
    """

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        states, weight, bias, targets, how = given
        products = weight.to(how.dtype)
        gradients = (torch.empty_like(states), torch.zeros_like(weight), torch.zeros_like(bias))
        total: Tensor = states.new_zeros(())
        rows = max(1, _MOST_SCORES // len(weight))
        for part in range(0, len(states), rows):
            here = slice(part, part + rows)
            read = states[here].to(how.dtype)
            scores = (read @ products.t()).float().add_(bias)
            total += _to_gradients(scores, targets[here], how.smoothing, len(states))
            errors = scores.to(how.dtype)
            gradients[0][here] = errors @ products
            gradients[1].add_(errors.t() @ read)
            gradients[2].add_(scores.sum(0))
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        return (*(gradient.mul_(outer[0]) for gradient in ctx.saved_tensors), None, None)


def _to_gradients(scores: Tensor, targets: Tensor, smoothing: float, count: int) -> Tensor:
    """Turn scores (n, K) into gradients in place; return what they add to the mean loss over `count` places."""
    n, classes = scores.shape
    places = torch.arange(n, device=scores.device)
    scores.sub_(scores.amax(1, keepdim=True))
    right = scores[places, targets].mul_(1 - smoothing)
    if smoothing:
        right += smoothing * scores.mean(1)
    total = scores.exp_().sum(1, keepdim=True)
    part = (total.log().squeeze(1) - right).sum() / count
    scores.div_(total.mul_(count))
    if smoothing:
        scores.sub_(smoothing / (classes * count))
    scores[places, targets] -= (1 - smoothing) / count
    return part


class Chosen(NamedTuple):
    """positions: (M,) words; offsets: (M,), to be added to their scores; targets: as given, as places among them."""

    positions: Tensor
    offsets: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True)
class Words:
    """frequent: (V,), true for the words that are always there; drawn: how many of the others are in a window."""

    frequent: Tensor
    drawn: int

    @classmethod
    def of(cls, targets: Tensor, classes: int, count: int, device: torch.device) -> Self:
        """Return the words for windows of `count`, half of them the most frequent of `targets`."""
        often = torch.bincount(targets.flatten().cpu(), minlength=classes)
        frequent = torch.zeros(classes, dtype=torch.bool)
        frequent[often.argsort(descending=True, stable=True)[: (count + 1) // 2]] = True
        return cls(frequent.to(device), max(count // 2, 1))

    def choose(self, targets: Tensor) -> Chosen:
        """Return the words of a window with these targets, from torch's random numbers.

        m of the R words that neither come nor are frequent stand for all of them: with log(R / m) added to their
        scores, the mean of the sum of exponentials is that over all words.
        """
        there = self.frequent.clone()
        there[targets] = True
        others = torch.nonzero(~there).flatten()
        drawn = others[torch.randperm(len(others))[: self.drawn].to(others.device)]
        positions = torch.cat([torch.nonzero(there).flatten(), drawn])
        offsets = torch.zeros(len(positions), device=positions.device)
        offsets[len(positions) - len(drawn) :] = math.log(max(len(others), 1) / max(len(drawn), 1))
        places = torch.empty(len(there), dtype=torch.int64, device=there.device)
        places[positions] = torch.arange(len(positions), device=there.device)
        return Chosen(positions, offsets, places[targets])
