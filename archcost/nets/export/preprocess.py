"""Preprocessing inside a network, which is then given bytes or raw features."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

Layout: TypeAlias = Literal["image", "rows", "sequence", "tokens", "tensor"]
"""What one example is: an image (C, H, W), an image that is read as H rows of W * C values, a sequence (T, F), tokens
(T,), or any tensor, which is handed over as it is."""

_LEAST_DEVIATION = 1e-6  # as in training: what never varies is left as it is


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What makes a network's inputs of raw values x: (x * scale - mean) / std.

    mean, std: a value for each channel of an image, for each feature of a row or a sequence, or one for all.
    """

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON holds it."""
        return asdict(self)

    def undone(self, x: Tensor, inputs: Inputs) -> Tensor:
        """x: what a network is given -> what the file takes for it: bytes are rounded, which is exact for bytes."""
        mean, std = (_shaped(values, inputs.layout) for values in (self.mean, self.std))
        raw = (x.double() * std + mean) / self.scale
        if inputs.layout == "rows":
            channels, height, width = inputs.shape
            raw = raw.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
        return raw.round().clamp(0, 255).to(torch.uint8) if inputs.dtype == "uint8" else raw.float()


def _shaped(values: tuple[float, ...], layout: Layout) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape((-1, 1, 1) if layout == "image" else (-1,))


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a file takes: the layout and shape of one example, the batch left out; below: of tokens, how many are."""

    layout: Layout
    shape: tuple[int, ...]
    dtype: str
    below: int | None = None

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON holds it."""
        return {**asdict(self), "shape": list(self.shape)}

    def example(self, batch: int, *, seed: int = 0) -> Tensor:
        """Return seeded inputs: any bytes, tokens, or normal values."""
        generator = torch.Generator().manual_seed(seed)
        shape = (batch, *self.shape)
        if self.dtype == "uint8":
            return torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        if self.below is not None:
            return torch.randint(self.below, shape, generator=generator)
        return torch.randn(shape, generator=generator)


class Prepared(nn.Module):
    """A network with its preprocessing before it; without any it is the network alone."""

    scale: Tensor
    mean: Tensor
    std: Tensor
    factor: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, layout: Layout, preprocess: Preprocess | None) -> None:
        super().__init__()
        self.network, self.layout, self.changes = network, layout, preprocess is not None
        if preprocess is None:
            return
        mean, std = (_shaped(each, layout) for each in (preprocess.mean, preprocess.std))
        plain = torch.where(std < _LEAST_DEVIATION, 1.0, std)
        std = std.clamp_min(_LEAST_DEVIATION) if layout == "image" else plain  # each as training has it
        values = {"mean": mean, "std": std, "factor": preprocess.scale / std, "shift": mean / std}
        for name, value in values.items():
            self.register_buffer(name, value.float())
        self.register_buffer("scale", torch.tensor(1 / preprocess.scale))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) bytes, (B, T, F) or (B, T) tokens, as `layout` says -> what the network gives."""
        if self.changes:
            x = self._normalised(x.float())
        scores: Tensor = self.network(x)
        return scores

    def _normalised(self, x: Tensor) -> Tensor:
        if self.layout == "image":  # one product and one difference
            return x * self.factor - self.shift
        x = x / self.scale
        if self.layout == "rows":
            x = x.permute(0, 2, 3, 1).flatten(2)  # (B, C, H, W) -> (B, H, W * C)
        return (x - self.mean) / self.std
