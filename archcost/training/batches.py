"""A training split on the device, and its mini-batches: examples, or windows of a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from archcost.data.splits import Dataset, Split
from archcost.errors import InputError
from archcost.training.spec import Augment


@dataclass(frozen=True, slots=True)
class Scaling:
    """Per channel, what makes normalised values of bytes: byte * factor - shift; both (C,)."""

    factor: Tensor
    shift: Tensor

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float], device: torch.device) -> Self:
        """Return the scaling for a mean and deviation of values in 0 .. 1; a channel that never varies is left as 0."""
        deviation = torch.tensor(std, dtype=torch.float64).clamp_min(1e-6)
        average = torch.tensor(mean, dtype=torch.float64)
        factor, shift = 1 / (255 * deviation), average / deviation
        return cls(factor.float().to(device), shift.float().to(device))


def stored(images: Tensor, device: torch.device) -> Tensor:
    """images: (N, C, H, W) bytes -> (N, H, W, C) on the device: an example lies together, its channels innermost."""
    return images.to(device).permute(0, 2, 3, 1).contiguous()


def normalised(images: Tensor, scaling: Scaling) -> Tensor:
    """images: (B, H, W, C) bytes -> (B, C, H, W) float32, channels innermost in memory."""
    values = images.to(torch.float32).mul_(scaling.factor).sub_(scaling.shift)
    return values.permute(0, 3, 1, 2)


def augmented(images: Tensor, changes: Augment, fill: Tensor) -> Tensor:
    """images: (B, H, W, C) bytes -> the same, each changed by torch's random numbers; fill: (C,) bytes of the mean."""
    if changes.translate:
        images = _translated(images, changes.translate, fill)
    if changes.flip:
        mirrored = torch.rand(len(images), device=images.device) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(2), images)
    if changes.cutout:
        images = torch.where(_squares(images, changes.cutout), fill, images)
    return images


def _translated(images: Tensor, most: int, fill: Tensor) -> Tensor:
    batch, height, width, _ = images.shape
    framed = functional.pad(images - fill, (0, 0, most, most, most, most)) + fill  # bytes wrap around, and back
    windows = framed.unfold(1, height, 1).unfold(2, width, 1)  # (B, 2m + 1, 2m + 1, C, H, W), no copy
    across, down = torch.randint(2 * most + 1, (2, batch), device=images.device)
    each = torch.arange(batch, device=images.device)
    return windows[each, down, across].permute(0, 2, 3, 1)


def _squares(images: Tensor, side: int) -> Tensor:
    """Return what of every image is inside its square, (B, H, W, 1); the centre is anywhere, so edges cut squares."""
    batch, height, width, _ = images.shape
    places = [torch.arange(length, device=images.device) for length in (height, width)]
    centres = [torch.randint(length, (batch, 1), device=images.device) for length in (height, width)]
    inside = [
        (place >= centre - side // 2) & (place < centre - side // 2 + side)
        for place, centre in zip(places, centres, strict=True)
    ]
    return (inside[0][:, :, None] & inside[1][:, None, :])[..., None]


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
    """values: (N, T, F) float32, normalised, or whatever data of the user's own are; targets: (N,), or (N, T)."""

    values: Tensor
    targets: Tensor

    def __len__(self) -> int:
        """Return N."""
        return len(self.targets)

    def batch(self, chosen: Tensor, changes: Augment | None = None) -> tuple[Tensor, Tensor]:
        """chosen: (B,) positions -> inputs (B, ...), targets (B, ...)."""
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


@dataclass(frozen=True, slots=True)
class Stream:
    """Mini-batches of inputs and targets as data of the user's own give them, anew in every epoch."""

    once: Callable[[], Iterable[tuple[Tensor, Tensor]]]
    count: int
    device: torch.device

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every mini-batch, on the device; raises InputError for what is no pair of tensors."""
        for each in self.once():
            if not (isinstance(each, tuple | list) and len(each) == 2 and all(isinstance(x, Tensor) for x in each)):
                given = type(each).__name__
                raise InputError(f"the data gave a mini-batch that is {given}; allowed: a pair of tensors")
            yield each[0].to(self.device), each[1].to(self.device)


def stream(split: Split, batch: int, device: torch.device, *, shuffle: bool) -> Stream:
    """Return the mini-batches of a split that is no tensors: of a Dataset of torch's, or those that a callable gives.

    Those of a callable are counted by going through them once, if what it gives has no length.
    """
    loose = split.loose
    if callable(loose):
        first = loose()
        return Stream(loose, len(first) if isinstance(first, Sized) else sum(1 for _ in first), device)
    loader: DataLoader[Any] = DataLoader(loose, batch, shuffle=shuffle)  # type: ignore[arg-type]  # own.py has seen that it is one
    return Stream(lambda: loader, len(loader), device)


def examples(dataset: Dataset, split: Split, device: torch.device) -> Examples:
    """Return a split of images or sequences on the device, to be normalised by the training split's statistics."""
    targets = split.targets.to(device)
    if dataset.kind == "image" and split.inputs.dtype == torch.uint8:
        return Images(stored(split.inputs, device), targets, Scaling.of(dataset.mean, dataset.std, device))
    if not split.inputs.is_floating_point():  # tokens
        return Sequences(split.inputs.to(device), targets)
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
