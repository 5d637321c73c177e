"""Networks as others write them in plain torch, each small enough to train on a laptop: what archcost did not build.

They differ in what is alive when: chains, concatenations, long skips, in-place activations, attention, recurrence.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv(channels: int, out: int, side: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return a convolution without bias and its batch norm."""
    layer = nn.Conv2d(channels, out, side, stride, side // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(out))


def head(channels: int, classes: int = 1000) -> list[nn.Module]:
    """Return a pool over all places and a linear layer."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


class Inverted(nn.Module):
    """1x1 to `expansion` times the channels, 3x3 depthwise, 1x1 back; a shortcut where the shape stays (1801.04381)."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        wide = [conv(channels, inner, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        deep = [conv(inner, inner, 3, stride, inner), nn.ReLU6(inplace=True), conv(inner, out, 1)]
        self.body = nn.Sequential(*wide, *deep)
        self.stays = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, out, H', W')."""
        return x + self.body(x) if self.stays else self.body(x)


def mobilenet() -> nn.Module:
    """Return MobileNetV2 (1801.04381, table 2): (B, 3, H, W) -> (B, 1000)."""
    layers: list[nn.Module] = [conv(3, 32, 3, 2), nn.ReLU6(inplace=True)]
    channels = 32
    for expansion, out, blocks, stride in (
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    ):
        for block in range(blocks):
            layers.append(Inverted(channels, out, 1 if block else stride, expansion))
            channels = out
    return nn.Sequential(*layers, conv(channels, 1280, 1), nn.ReLU6(inplace=True), *head(1280))


def vgg() -> nn.Module:
    """Return VGG-16's convolutions (1409.1556, column D) under a smaller head: (B, 3, H, W) -> (B, 1000)."""
    layers: list[nn.Module] = []
    channels = 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, *head(channels, 4096), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(4096, 1000))


class DenseBlock(nn.Module):
    """Every layer reads all values before it, concatenated, and adds `growth` channels (1608.06993)."""

    def __init__(self, channels: int, depth: int, growth: int = 32) -> None:
        super().__init__()
        self.layers = nn.ModuleList(self._layer(channels + i * growth, growth) for i in range(depth))

    @staticmethod
    def _layer(channels: int, growth: int) -> nn.Module:
        narrow = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True), conv(channels, 4 * growth, 1))
        return nn.Sequential(*narrow, nn.ReLU(inplace=True), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, C + depth growth, H, W)."""
        values = [x]
        for layer in self.layers:
            values.append(layer(torch.cat(values, 1)))
        return torch.cat(values, 1)


def densenet() -> nn.Module:
    """Return DenseNet-121 (1608.06993, table 1): (B, 3, H, W) -> (B, 1000)."""
    layers: list[nn.Module] = [conv(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for depth in (6, 12, 24, 16):
        if channels > 64:
            narrow = nn.Conv2d(channels, channels // 2, 1, bias=False)
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True), narrow, nn.AvgPool2d(2)]
            channels //= 2
        layers.append(DenseBlock(channels, depth))
        channels += 32 * depth
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), *head(channels))


class UNet(nn.Module):
    """Down by pools and up by transposed convolutions, every level's value kept for the way up (1505.04597)."""

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 256)) -> None:
        super().__init__()
        *upper, _ = widths
        self.down = nn.ModuleList(self._twice(a, b) for a, b in zip((3, *upper), widths, strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, 2) for width in upper)
        self.mix = nn.ModuleList(self._twice(2 * width, width) for width in upper)
        self.classes = nn.Conv2d(widths[0], 2, 1)

    @staticmethod
    def _twice(channels: int, out: int) -> nn.Module:
        return nn.Sequential(conv(channels, out), nn.ReLU(inplace=True), conv(out, out), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3, H, W) -> (B, 2, H, W)."""
        kept = []
        for level, down in enumerate(self.down):
            if level:
                kept.append(x)
                x = functional.max_pool2d(x, 2)
            x = down(x)
        for up, mix in zip(reversed(self.up), reversed(self.mix), strict=True):
            x = mix(torch.cat([kept.pop(), up(x)], 1))
        return self.classes(x)


class NeXt(nn.Module):
    """7x7 depthwise, layer norm, two linear layers, a scale and a shortcut (ConvNeXt, 2201.03545)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.body = nn.Sequential(nn.LayerNorm(channels), *mlp(channels, 4 * channels))
        self.scale = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, C, H, W)."""
        y = self.scale * self.body(self.depthwise(x).permute(0, 2, 3, 1))
        return x + y.permute(0, 3, 1, 2)


def convnext() -> nn.Module:
    """Return a ConvNeXt of 2, 2, 6 and 2 blocks: (B, 3, H, W) -> (B, 1000)."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 4, 4)]
    for width, depth in ((64, 2), (128, 2), (256, 6), (512, 2)):
        if width > 64:
            layers += [nn.GroupNorm(1, width // 2), nn.Conv2d(width // 2, width, 2, 2)]
        layers += [NeXt(width) for _ in range(depth)]
    return nn.Sequential(*layers, *head(512))


def mlp(channels: int, inner: int) -> nn.Sequential:
    """Return two linear layers with a GELU between."""
    return nn.Sequential(nn.Linear(channels, inner), nn.GELU(), nn.Linear(inner, channels))


class Mixing(nn.Module):
    """One MLP over places and one over channels, each behind a layer norm, with shortcuts (2105.01601)."""

    def __init__(self, places: int, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.places, self.channels = mlp(places, channels // 2), mlp(channels, 4 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, C) -> (B, T, C)."""
        x = x + self.places(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norms[1](x))


class Mixer(nn.Module):
    """An MLP-Mixer of 6 layers on patches of 16 x 16 (2105.01601)."""

    def __init__(self, side: int, channels: int = 384) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, channels, 16, 16)
        self.layers = nn.Sequential(*(Mixing((side // 16) ** 2, channels) for _ in range(6)), nn.LayerNorm(channels))
        self.classes = nn.Linear(channels, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3, H, W) -> (B, 1000)."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        return self.classes(self.layers(x).mean(1))


def encoder() -> nn.Module:
    """Return torch's own encoder, 4 layers with 8 heads: (B, T, 256) -> (B, T, 256)."""
    layer = nn.TransformerEncoderLayer(256, 8, 1024, dropout=0, activation="gelu", batch_first=True)
    return nn.TransformerEncoder(layer, 4)


class Causal(nn.Module):
    """Attention to what stands before, and an MLP, each behind a layer norm, with shortcuts."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.all, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.mlp = mlp(channels, 4 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, C) -> (B, T, C)."""
        parts = self.all(self.norms[0](x)).chunk(3, -1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        y = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norms[1](x))


class Decoder(nn.Module):
    """A language model as GPT-2 is built: 6 causal layers, words and places embedded, the readout tied."""

    def __init__(self, words: int = 8000, steps: int = 256, channels: int = 384) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, channels), nn.Embedding(steps, channels)
        self.layers = nn.Sequential(*(Causal(channels, 6) for _ in range(6)), nn.LayerNorm(channels))
        self.readout = nn.Linear(channels, words, bias=False)
        self.readout.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T) -> (B, T, words)."""
        places = self.places(torch.arange(x.shape[1], device=x.device))
        return self.readout(self.layers(self.words(x) + places))


class LSTM(nn.Module):
    """A language model of two LSTM layers."""

    def __init__(self, words: int = 10_000, hidden: int = 512) -> None:
        super().__init__()
        self.words = nn.Embedding(words, hidden)
        self.recurrence = nn.LSTM(hidden, hidden, 2, batch_first=True)
        self.readout = nn.Linear(hidden, words)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T) -> (B, T, words)."""
        return self.readout(self.recurrence(self.words(x))[0])
