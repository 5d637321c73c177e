"""A data set in memory: its splits, what it gives to a network, and the fingerprint that results are kept under."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from archcost.document import Value

Kind: TypeAlias = Literal["image", "sequence", "text"]
SHARE: Final = 0.1
"""Of the training split, held out for validation where a data set has no validation split of its own."""

_SEED: Final = 20160524  # of every split that is drawn: the same for everyone, always


@dataclass(frozen=True, slots=True)
class Split:
    """Examples and their targets.

    Images: uint8 (N, C, H, W), sequences: float32 (N, T, F), both with int64 (N,); text: int64 tokens (L,) and (L,),
    the target of a token being the next one.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        """How many examples, of a text how many tokens, there are."""
        return len(self.targets)

    def take(self, places: Tensor) -> Split:
        """Return the examples at so many places."""
        return Split(self.inputs[places].contiguous(), self.targets[places].contiguous())


@dataclass(frozen=True)
class Dataset:
    """A data set; mean and std: per channel of the training images over 255, or per feature, () for text.

    input: as a model's key says it; fingerprint: SHA-256 of training and validation; read_test: reads the test split,
    which nothing else does.
    """

    name: str
    kind: Kind
    input: Value
    classes: int
    train: Split
    validation: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    source: str
    read_test: Callable[[], Split]


def held_out(split: Split, share: float = SHARE) -> tuple[Split, Split]:
    """Return what is left of a split and what is held out of it: of each class the same share, always the same."""
    labels = split.targets.numpy()
    chance = np.random.default_rng(_SEED)
    out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        places = chance.permutation(np.flatnonzero(labels == label))
        out[places[: round(share * len(places))]] = True
    where = torch.from_numpy(out)
    return split.take(torch.nonzero(~where).flatten()), split.take(torch.nonzero(where).flatten())


def first(split: Split, count: int | None) -> Split:
    """Return so many examples, drawn once and for all; all where `count` is None or as many."""
    if count is None or count >= len(split):
        return split
    chosen = np.sort(np.random.default_rng(_SEED).permutation(len(split))[:count])
    return split.take(torch.from_numpy(chosen))


def moments(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of every channel of images, over 255, or of every feature of sequences."""
    inputs, axes = split.inputs, (0, 2, 3) if split.inputs.dim() == 4 else (0, 1)
    total = torch.zeros(inputs.shape[1] if inputs.dim() == 4 else inputs.shape[2], dtype=torch.float64)
    squares, scale = total.clone(), 255.0 if inputs.dtype == torch.uint8 else 1.0
    for part in torch.split(inputs, 4096):  # in parts: all of a large set as doubles would take eight times its memory
        values = part.double() / scale
        total += values.sum(axes)
        squares += values.square().sum(axes)
    count = inputs.numel() / len(total)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
    return tuple(mean.tolist()), tuple(max(each, 1e-3) for each in deviation.tolist())


def fingerprint(*splits: Split) -> str:
    """Return the SHA-256 of splits: their shapes, types and values."""
    digest = hashlib.sha256()
    for split in splits:
        for tensor in (split.inputs, split.targets):
            digest.update(f"{tuple(tensor.shape)} {tensor.dtype};".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def of_images(
    name: str, source: str, classes: int, splits: tuple[Split, Split], read_test: Callable[[], Split]
) -> Dataset:
    """Return a data set of images, uint8 (N, C, H, W), from its training and validation split."""
    train, validation = splits
    mean, std = moments(train)
    shape: Value = [int(side) for side in train.inputs.shape[1:]]
    return Dataset(
        name, "image", shape, classes, train, validation, mean, std, fingerprint(train, validation), source, read_test
    )


def as_rows(found: Dataset) -> Dataset:
    """Return images as sequences: H steps of the W*C values of a row, in 0 to 1."""

    def rows(split: Split) -> Split:
        count, channels, height, width = split.inputs.shape
        flat = split.inputs.permute(0, 2, 3, 1).reshape(count, height, width * channels)
        return Split(flat.float() / 255, split.targets)

    train, validation = rows(found.train), rows(found.validation)
    mean, std = moments(train)
    _, steps, features = train.inputs.shape
    return Dataset(
        found.name, "sequence", {"steps": steps, "features": features}, found.classes, train, validation, mean, std,
        fingerprint(train, validation), found.source, lambda: rows(found.read_test()),
    )  # fmt: skip
