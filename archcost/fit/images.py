"""Images as training reads them: kept as bytes on the device, changed and normalised a mini-batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from archcost.fitspec import Augment


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
