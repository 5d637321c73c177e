"""MobileNetV3-Small (Howard and others, 2019, table 2), written as people write it."""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn

ROWS: Final = (
    # kernel, expanded, out, squeezed, hardswish, stride
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


def rounded(channels: float) -> int:
    """Return a multiple of 8 close to a number of channels, at least nine tenths of it."""
    made = max(8, int(channels + 4) // 8 * 8)
    return made + 8 if made < 0.9 * channels else made


class Squeeze(nn.Module):
    """Squeeze and excitation with a hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = rounded(channels / 4)
        self.pool, self.down = nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, inner, 1)
        self.up, self.gate = nn.Conv2d(inner, channels, 1), nn.Hardsigmoid()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> the same."""
        return x * self.gate(self.up(self.relu(self.down(self.pool(x)))))


def conv(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Return a convolution and its norm."""
    return [nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(after)]


class Block(nn.Module):
    """An inverted residual block."""

    def __init__(self, before: int, row: tuple[int, int, int, bool, bool, int]) -> None:
        super().__init__()
        kernel, expanded, after, squeezed, hard, stride = row
        act = nn.Hardswish if hard else nn.ReLU
        layers = [*conv(before, expanded, 1), act()] if expanded != before else []
        layers += [*conv(expanded, expanded, kernel, stride, expanded), act()]
        layers += [Squeeze(expanded)] if squeezed else []
        self.body = nn.Sequential(*layers, *conv(expanded, after, 1))
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, C', H', W')."""
        return x + self.body(x) if self.residual else self.body(x)


class MobileNetV3(nn.Module):
    """The small one, for 1000 classes."""

    def __init__(self) -> None:
        super().__init__()
        widths = [16, *(row[2] for row in ROWS)]
        blocks = [Block(before, row) for before, row in zip(widths, ROWS, strict=False)]
        self.features = nn.Sequential(*conv(3, 16, 3, 2), nn.Hardswish(), *blocks, *conv(96, 576, 1), nn.Hardswish())
        self.head = nn.Sequential(nn.Linear(576, 1024), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1024, 1000))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3, H, W) -> (B, 1000)."""
        return self.head(self.features(x).mean((2, 3)))
