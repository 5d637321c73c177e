"""Small data sets that a network learns in a second."""

from __future__ import annotations

import torch

from archcost.data.splits import Dataset, Split


def _test() -> Split:
    raise AssertionError("training reads no test split")


def images(count: int = 240, side: int = 8) -> Dataset:
    """Return stripes that run down, across or both ways, with noise: bytes (N, 1, side, side), 3 classes."""
    chance = torch.Generator().manual_seed(0)
    targets = torch.arange(count) % 3
    shift = torch.randint(4, (count, 1, 1), generator=chance)
    down, across = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    stripes = torch.stack([(along + shift) % 4 < 2 for along in (down, across, down + across)])
    clean = stripes[targets, torch.arange(count)] * 160.0
    pixels = (clean + torch.rand(clean.shape, generator=chance) * 90).to(torch.uint8)[:, None]
    parts = [Split(pixels[part], targets[part]) for part in (slice(0, -60), slice(-60, None))]
    values = parts[0].inputs / 255
    mean, std = (float(values.mean()),), (float(values.std()),)
    return Dataset("stripes", "image", [1, side, side], 3, *parts, mean, std, "stripes", "made", _test)


def sequences(count: int = 300) -> Dataset:
    """Return walks of 6 steps of 2 features whose first feature drifts up or down: (N, 6, 2), 2 classes."""
    chance = torch.Generator().manual_seed(0)
    targets = torch.arange(count) % 2
    walks = torch.randn(count, 6, 2, generator=chance)
    walks[:, :, 0] += (targets * 2 - 1)[:, None] * 0.8
    parts = [Split(walks[part], targets[part]) for part in (slice(0, -60), slice(-60, None))]
    return Dataset(
        "walks", "sequence", {"steps": 6, "features": 2}, 2, *parts, (0.0, 0.0), (1.3, 1.0), "walks", "made", _test
    )


def text(length: int = 1281, words: int = 7) -> Dataset:
    """Return a text in which the next word is one more than that before the last, one in 40 being another."""
    chance = torch.Generator().manual_seed(0)
    odd = torch.rand(2 * length, generator=chance) < 1 / 40
    other = torch.randint(words, (2 * length,), generator=chance)
    said = [0, 1]
    for place in range(2, 2 * length):
        said.append(int(other[place]) if odd[place] else (said[-2] + 1) % words)
    tokens = torch.tensor(said)
    parts = [Split(part[:-1], part[1:]) for part in tokens.split(length)]
    return Dataset("counts", "text", {"steps": 16, "vocab": words}, words, *parts, (), (), "counts", "made", _test)
