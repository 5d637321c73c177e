"""A data set in memory: its splits, its input, and its fingerprint.

Results are kept under the fingerprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from archcost.config.document import Value
from archcost.data.spec import DataSpec, Kind
from archcost.errors import InputError, Mistake
from archcost.units import grouped

Moments: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]

_PART: Final = 4096  # examples at once: all of a large set as doubles would take eight times its memory
_STILL: Final = 1e-6  # of the mean: a feature that varies by less is constant as far as float32 can tell


def moments(inputs: Tensor) -> Moments:
    """Return mean and standard deviation: of each channel of images over 255, of each feature of sequences.

    inputs: uint8 (N, C, H, W) or float32 (N, T, F). The deviation of what is constant is given as 1, so that values
    can be divided by it.
    """
    mean, std = _of_images(inputs) if inputs.dtype == torch.uint8 else _of_sequences(inputs)
    std = np.where(std > _STILL * np.abs(mean), std, 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())


def _of_images(inputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Count how often each of the 256 values occurs: the sums are then exact."""
    values = inputs.numpy()
    times = np.zeros((values.shape[1], 256), np.int64)
    for start in range(0, len(values), _PART):
        for channel in range(values.shape[1]):
            times[channel] += np.bincount(values[start : start + _PART, channel].ravel(), minlength=256)
    level = np.arange(256) / 255
    mean = times @ level / times.sum(1)
    return mean, np.sqrt((times * (level - mean[:, None]) ** 2).sum(1) / times.sum(1))


def _of_sequences(inputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Take the mean first and the squares around it: a difference of large squares would lose all digits."""
    flat = inputs.reshape(-1, inputs.shape[2])
    parts = torch.split(flat, _PART * 8)
    mean = sum((part.double().sum(0) for part in parts), torch.zeros(flat.shape[1]).double()) / len(flat)
    zero = torch.zeros_like(mean)
    squares = sum(((part.double() - mean).square().sum(0) for part in parts), zero)
    return mean.numpy(), (squares / len(flat)).sqrt().numpy()


SHARE: Final = 0.1
"""Of the training split, held out for validation where a data set has no validation split of its own."""

_SEED: Final = 20160524  # of every split that is drawn: the same for everyone, always


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Examples and their targets.

    Images: uint8 (N, C, H, W), sequences: float32 (N, T, F), both with int64 (N,); text: int64 tokens (L,) and (L,),
    the target of a token being the next one. Data of the user's own may be any tensors of one length. loose: a Dataset
    of torch's, or a callable that gives mini-batches, in place of tensors, which are empty then.
    """

    inputs: Tensor
    targets: Tensor
    loose: object = None

    def __len__(self) -> int:
        """How many examples, of a text how many tokens, there are."""
        return len(self.targets)

    def take(self, places: Tensor) -> Split:
        """Return the examples at so many places, int64 (K,)."""
        return Split(self.inputs[places].contiguous(), self.targets[places].contiguous())


@dataclass(frozen=True, slots=True)
class Own:
    """What is known of data that code of the user's own gives, besides what all data have.

    names: of the classes, () if not known; preprocess: how raw bytes become what a network takes, None if not known;
    loose: its splits are no tensors, so that every process calls the code again; tested: there is a test split.
    """

    code: str
    args: dict[str, object]
    names: tuple[str, ...] = ()
    preprocess: dict[str, object] | None = None
    loose: bool = False
    tested: bool = True


@dataclass(frozen=True, eq=False)
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
    own: Own | None = None

    @property
    def loose(self) -> bool:
        """Whether its splits are no tensors: then each process has them made anew."""
        return self.own is not None and self.own.loose

    @property
    def tested(self) -> bool:
        """Whether there is a test split."""
        return self.own is None or self.own.tested


class Reader(NamedTuple):
    """How one kind of data set is read: `files` finds what training and validation are read from, `read` reads it."""

    files: Callable[[DataSpec, Path], tuple[Path, ...]]
    read: Callable[[DataSpec, tuple[Path, ...]], Dataset]


def held_out(split: Split, share: float = SHARE) -> tuple[Split, Split]:
    """Return what is left of a split and what is held out of it: of each class the same share, always the same.

    Of two examples or more at least one is held out; raises InputError if no class has two.
    """
    labels = split.targets.numpy()
    chance = np.random.default_rng(_SEED)
    out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        places = chance.permutation(np.flatnonzero(labels == label))
        out[places[: max(round(share * len(places)), int(len(places) > 1))]] = True
    if not out.any():
        raise InputError(
            Mistake(
                "no class has two training examples; allowed: two, of which one is held out, or a validation split",
                ("data",),
            )
        )
    where = torch.from_numpy(out)
    return split.take(torch.nonzero(~where).flatten()), split.take(torch.nonzero(where).flatten())


def first(split: Split, count: int | None) -> Split:
    """Return so many examples, drawn once and for all: fewer are always among more. None: all."""
    if count is None:
        return split
    if count > len(split):
        message = f"given {grouped(count)}; allowed: at most {grouped(len(split))}, the training examples there are"
        raise InputError(Mistake(message, ("data", "examples")))
    chosen = np.sort(np.random.default_rng(_SEED).permutation(len(split))[:count])
    return split.take(torch.from_numpy(chosen))


def fingerprint(*splits: Split) -> str:
    """Return the SHA-256 of splits: their shapes, types and values."""
    digest = hashlib.sha256()
    for split in splits:
        for tensor in (split.inputs, split.targets):
            digest.update(f"{tuple(tensor.shape)} {tensor.dtype};".encode())
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def of_images(spec: DataSpec, source: str, classes: int, splits: tuple[Split, Split], read_test: Callable[[], Split]
              ) -> Dataset:  # fmt: skip
    """Return a data set of images, uint8 (N, C, H, W), from its training and validation split, as the spec reads it."""
    train, validation = first(splits[0], spec.examples), splits[1]
    if spec.read_as == "rows":
        return of_sequences(spec, source, classes, (_rows(train), _rows(validation)), lambda: _rows(read_test()))
    shape: Value = [int(side) for side in train.inputs.shape[1:]]
    return Dataset(
        spec.name, "image", shape, classes, train, validation, *moments(train.inputs),
        fingerprint(train, validation), source, cache(read_test),
    )  # fmt: skip


def of_sequences(spec: DataSpec, source: str, classes: int, splits: tuple[Split, Split], read_test: Callable[[], Split]
                 ) -> Dataset:  # fmt: skip
    """Return a data set of sequences, float32 (N, T, F), from its training and validation split."""
    train, validation = splits
    _, steps, features = train.inputs.shape
    return Dataset(
        spec.name, "sequence", {"steps": steps, "features": features}, classes, train, validation,
        *moments(train.inputs), fingerprint(train, validation), source, cache(read_test),
    )  # fmt: skip


def as_rows(found: Dataset) -> Dataset:
    """Return a data set of images as one of sequences, a row of pixels after the other."""
    train, validation = _rows(found.train), _rows(found.validation)
    _, steps, features = train.inputs.shape
    return Dataset(
        found.name, "sequence", {"steps": steps, "features": features}, found.classes, train, validation,
        *moments(train.inputs), found.fingerprint, found.source, lambda: _rows(found.read_test()),
    )  # fmt: skip


def _rows(split: Split) -> Split:
    """Return images, uint8 (N, C, H, W), as H steps of the W*C values of a row, in 0 to 1: float32 (N, H, W*C)."""
    count, channels, height, width = split.inputs.shape
    flat = split.inputs.permute(0, 2, 3, 1).reshape(count, height, width * channels)
    return Split(flat.float() / 255, split.targets)
