"""A training split on the device, and the mini-batches of an epoch: examples in a new order, or windows of a text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from archcost.data.splits import Dataset, Split
from archcost.fit.images import Scaling, augmented, normalised, stored
from archcost.fitspec import Augment

_LEAST_DEVIATION = 1e-6  # a feature that never varies is left as it is


@dataclass(frozen=True, slots=True)
class Images:
    """pixels: (N, H, W, C) bytes; targets: (N,)."""

    pixels: Tensor
    targets: Tensor
    scaling: Scaling

    def __len__(self) -> int:
        """Return N."""
        return len(self.targets)

    def batch(self, chosen: Tensor, changes: Augment | None = None) -> tuple[Tensor, Tensor]:
        """chosen: (B,) positions -> inputs (B, C, H, W) float32, targets (B,)."""
        pixels = self.pixels.index_select(0, chosen)
        if changes is not None:
            fill = (self.scaling.shift / self.scaling.factor).round().to(torch.uint8)
            pixels = augmented(pixels, changes, fill)
        return normalised(pixels, self.scaling), self.targets.index_select(0, chosen)


@dataclass(frozen=True, slots=True)
class Sequences:
    """values: (N, T, F) float32, normalised; targets: (N,)."""

    values: Tensor
    targets: Tensor

    def __len__(self) -> int:
        """Return N."""
        return len(self.targets)

    def batch(self, chosen: Tensor, changes: Augment | None = None) -> tuple[Tensor, Tensor]:
        """chosen: (B,) positions -> inputs (B, T, F), targets (B,)."""
        assert changes is None  # images are changed, and nothing else
        return self.values.index_select(0, chosen), self.targets.index_select(0, chosen)


@dataclass(frozen=True, slots=True)
class Text:
    """inputs, targets: (S, L / S) tokens, in S places of the text side by side; steps: the length of a window."""

    inputs: Tensor
    targets: Tensor
    steps: int

    def windows(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets (S, T) of one window after the other; the last may be shorter."""
        windows = (torch.split(each, self.steps, 1) for each in (self.inputs, self.targets))
        yield from zip(*windows, strict=True)


Examples: TypeAlias = Images | Sequences


def examples(dataset: Dataset, split: Split, device: torch.device) -> Examples:
    """Return a split of images or sequences on the device, to be normalised by the training split's statistics."""
    targets = split.targets.to(device)
    if dataset.kind == "image":
        return Images(stored(split.inputs, device), targets, Scaling.of(dataset.mean, dataset.std, device))
    mean, std = (torch.tensor(values, device=device) for values in (dataset.mean, dataset.std))
    return Sequences((split.inputs.to(device) - mean) / torch.where(std < _LEAST_DEVIATION, 1.0, std), targets)


def text(split: Split, streams: int, steps: int, device: torch.device) -> Text:
    """Return a text cut into `streams` pieces of one length; what is left over at its end is not read."""
    length = len(split.inputs) // streams
    inputs, targets = (each[: streams * length].view(streams, length) for each in (split.inputs, split.targets))
    return Text(inputs.to(device), targets.to(device), steps)


def shuffled(count: int, batch: int) -> tuple[Tensor, ...]:
    """Return the positions 0 .. count - 1 in random order, in mini-batches of at most `batch` and nearly one size."""
    return torch.randperm(count).tensor_split(batches(count, batch))


def batches(count: int, batch: int) -> int:
    """Return how many mini-batches of at most `batch` make up `count`."""
    return -(-count // batch)
