"""The words a readout is trained on in a window: those that come, the most frequent ones, and a draw of the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor


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
