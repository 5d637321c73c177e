"""Networks that counters are timed on, and their exact counts in closed form: derived by hand, from no counter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

SEPARABLE: Final = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""(channels, stride) of a MobileNet's blocks."""


def resnet50_macs() -> int:
    """Return the MACs of ResNet-50 (stride on the 3x3) at 224 x 224: stem, four stages of bottlenecks, classifier."""
    macs = 112**2 * 64 * 3 * 7**2 + 2048 * 1000
    for blocks, side, inner, before in ((3, 56, 64, 64), (4, 28, 128, 256), (6, 14, 256, 512), (3, 7, 512, 1024)):
        out, entry = 4 * inner, side if inner == 64 else 2 * side
        macs += entry**2 * before * inner + side**2 * (9 * inner**2 + inner * out + before * out)
        macs += (blocks - 1) * side**2 * (out * inner + 9 * inner**2 + inner * out)
    return macs


class MobileNet(nn.Sequential):
    """A stem, 13 depthwise separable convolutions and a classifier, as MobileNet has them; for 224 x 224."""

    def __init__(self) -> None:
        parts = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()]
        before = 32
        for channels, stride in SEPARABLE:
            parts += [nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False), nn.BatchNorm2d(before)]
            parts += [nn.ReLU6(), nn.Conv2d(before, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU6()]
            before = channels
        super().__init__(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 1000))


def mobilenet_macs() -> int:
    """Return the MACs of MobileNet: 9 a channel and place for the depthwise part, then every channel with every one."""
    side, before = 112, 32
    macs = side**2 * 32 * 3 * 9
    for channels, stride in SEPARABLE:
        side //= stride
        macs += side**2 * (9 * before + before * channels)
        before = channels
    return macs + before * 1000


def chain(length: int) -> nn.Module:
    """Return convolutions one behind another, small, so that what is timed is the counting and not the convolving."""
    return nn.Sequential(*(nn.Conv2d(16, 16, 3, padding=1, bias=False) for _ in range(length)))


def chain_macs(length: int) -> int:
    """Return the MACs of such a chain at 16 x 16."""
    return length * 16**2 * 16 * 16 * 9


def encoder(layers: int, d: int, heads: int, d_ff: int) -> nn.Module:
    """Return torch's own encoder; in evaluation it takes a fused path."""
    layer = nn.TransformerEncoderLayer(d, heads, d_ff, batch_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


def encoder_macs(layers: int, d: int, d_ff: int, steps: int) -> int:
    """Return the MACs of an encoder: four projections, scores and their product with the values, feed-forward."""
    return layers * (4 * steps * d**2 + 2 * steps**2 * d + 2 * steps * d * d_ff)


@dataclass(frozen=True, slots=True)
class Sizes:
    """A decoder's sizes; of 70 billion parameters with the defaults."""

    layers: int = 80
    d: int = 8192
    heads: int = 64
    kept: int = 8
    d_ff: int = 28672
    vocabulary: int = 128256

    @property
    def head(self) -> int:
        """Channels of one head."""
        return self.d // self.heads

    @property
    def params(self) -> int:
        """Both ends and a norm; a layer: queries and output, keys and values, gated feed-forward, two norms."""
        layer = 2 * self.d**2 + 2 * self.d * self.kept * self.head + 3 * self.d * self.d_ff + 2 * self.d
        return 2 * self.vocabulary * self.d + self.d + self.layers * layer

    def macs(self, steps: int) -> int:
        """Every matrix but the embedding meets every step; in every head every step meets every other, twice."""
        vectors = self.d * (1 + 2 * self.layers)
        matrices = self.params - vectors - self.vocabulary * self.d
        return steps * matrices + self.layers * self.heads * steps**2 * 2 * self.head


class Block(nn.Module):
    """Attention in which groups of heads share keys and values, then a gated feed-forward network, as in Llama."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        d, kept = sizes.d, sizes.kept * sizes.head
        self.head = sizes.head
        self.before, self.between = nn.RMSNorm(d), nn.RMSNorm(d)
        self.query, self.out = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.key, self.value = nn.Linear(d, kept, bias=False), nn.Linear(d, kept, bias=False)
        self.gate, self.up = nn.Linear(d, sizes.d_ff, bias=False), nn.Linear(d, sizes.d_ff, bias=False)
        self.down = nn.Linear(sizes.d_ff, d, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """x: (B, T, d), turn: cosines and sines (T, head) -> (B, T, d)."""
        y = self.before(x)
        query, key, value = (
            part(y).unflatten(-1, (-1, self.head)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        query, key = turned(query, *turn), turned(key, *turn)
        y = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        y = self.between(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


def turned(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """x: (B, H, T, head) -> the same with every pair of channels turned by its place's angle."""
    left, right = x.chunk(2, dim=-1)
    return x * cosines + torch.cat([-right, left], dim=-1) * sines


class Decoder(nn.Module):
    """A Llama-like language model: rotary positions, grouped queries, gated feed-forward, norms before."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.head = sizes.head
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.d)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.norm = nn.RMSNorm(sizes.d)
        self.readout = nn.Linear(sizes.d, sizes.vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (B, T) -> (B, T, vocabulary)."""
        x = self.embedding(tokens)
        turn = self.angles(tokens)
        for block in self.blocks:
            x = block(x, turn)
        return self.readout(self.norm(x))

    def angles(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens: (B, T) -> cosines and sines (T, head); an outer product, so no matrix product."""
        pairs = torch.arange(0, self.head, 2, device=tokens.device) / self.head
        steps = torch.arange(tokens.shape[1], device=tokens.device)
        angles = (steps[:, None] * 500_000**-pairs).repeat(1, 2)
        return angles.cos(), angles.sin()
