"""Sequences of vectors from a numpy file.

x_train (N, T, F), y_train (N,), of valid and test the same.
"""

from __future__ import annotations

import lzma
import re
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import IO, Final

import numpy as np
import torch

from archcost.data.known import broken, yours
from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset, Reader, Split, first, held_out, of_sequences
from archcost.errors import shorten

_MOST_FILE: Final = 2**32
_MOST_BYTES: Final = 2**31  # of one array
_MOST_CLASSES: Final = 2**20
_MOST_HEAD: Final = 2**14
_HEAD: Final = (
    r"'descr': *'([<>|=]?[a-zA-Z][0-9]{0,4})'", r"'fortran_order': *(True|False)", r"'shape': *\(([0-9, ]{0,400})\)",
)  # fmt: skip
_REFUSED: Final = (
    *(OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(NotImplementedError, RuntimeError),  # so zipfile refuses ways of packing it does not know, and passwords
)


def _files(spec: DataSpec, folder: Path) -> tuple[Path, ...]:
    return (yours(spec.path or "", folder, _MOST_FILE),)


def _read(spec: DataSpec, paths: tuple[Path, ...]) -> Dataset:
    """Return the sequences; without x_valid a tenth of each class is held out. Nothing is unpickled."""
    (path,) = paths
    names = _names(path)
    if missing := [each for each in _wanted(names) if each not in names]:
        raise broken(path, f"there is no array {missing[0]}, only {', '.join(sorted(names)) or 'nothing'}")
    train = _split(path, "train")
    classes = int(train.targets.max()) + 1
    like = (classes, train)
    splits = (train, _split(path, "valid", like)) if "x_valid" in names else held_out(train)
    splits = (first(splits[0], spec.examples), splits[1])
    return of_sequences(spec, str(path), classes, splits, lambda: _split(path, "test", like))


def _wanted(names: set[str]) -> list[str]:
    parts = ("train", "valid", "test") if names & {"x_valid", "y_valid"} else ("train", "test")
    return [f"{array}_{part}" for part in parts for array in "xy"]


def _names(path: Path) -> set[str]:
    try:
        with zipfile.ZipFile(path) as held:
            return {name.removesuffix(".npy") for name in held.namelist()}
    except _REFUSED as error:
        raise broken(path, error) from None


def _split(path: Path, part: str, like: tuple[int, Split] | None = None) -> Split:
    """Return x and y of a part; `like`: number of classes and training split, whose shape it must have."""
    x, y = _array(path, f"x_{part}", "fiu"), _array(path, f"y_{part}", "iu")
    if x.ndim != 3 or y.shape != x.shape[:1] or 0 in x.shape:
        raise broken(path, f"x_{part} {x.shape} and y_{part} {y.shape}; allowed: (N, T, F) and (N,)")
    classes, shape = (like[0], tuple(like[1].inputs.shape[1:])) if like else (_MOST_CLASSES, x.shape[1:])
    if x.shape[1:] != shape:
        raise broken(path, f"x_{part} {x.shape}; allowed: (N, {shape[0]}, {shape[1]}), as x_train")
    if y.min() < 0 or y.max() >= classes:
        raise broken(path, f"y_{part} from {y.min()} to {y.max()}; allowed: 0 to {classes - 1}")
    with np.errstate(over="ignore"):  # said below
        values = x.astype(np.float32)
    if not np.isfinite(values).all():
        raise broken(path, f"x_{part}: a value that float32 cannot hold, or none at all")
    return Split(torch.from_numpy(np.ascontiguousarray(values)), torch.from_numpy(y.astype(np.int64)))


def _array(path: Path, name: str, kinds: str) -> np.ndarray:
    """Return an array whose type and size are checked before it is unpacked: what its head says is what is there."""
    try:
        with zipfile.ZipFile(path) as held, held.open(f"{name}.npy") as file:
            shape, turned, kind = _head(path, file)
            size = prod(shape) * kind.itemsize
            if kind.kind not in kinds or size > _MOST_BYTES:
                allowed = "integers" if kinds == "iu" else "numbers"
                raise broken(path, f"{name} has {size} bytes of {kind}; allowed: {allowed}, at most 2^31 bytes")
            content = file.read(size + 1)
    except _REFUSED as error:
        raise broken(path, error) from None
    if len(content) != size:
        raise broken(path, f"{name} does not have the {size} bytes that its head says")
    return np.frombuffer(content, kind).reshape(shape, order="F" if turned else "C")


def _head(path: Path, file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, whether the first index runs fastest, and type; nothing in the head is evaluated.

    The format: a magic text, two bytes of version, the head's length, the head as a Python dictionary.
    Source: numpy.lib.format.
    """
    start = file.read(8)
    wide = start[6:7] != b"\x01"
    length = file.read(4 if wide else 2)
    if start[:6] != b"\x93NUMPY" or not length:
        raise broken(path, "an array that is not numpy's")
    head = file.read(min(int.from_bytes(length, "little"), _MOST_HEAD)).decode("latin-1")
    kind, turned, shape = (re.search(pattern, head) for pattern in _HEAD)
    if not (kind and turned and shape):
        raise broken(path, f"an array of {shorten(head.strip())}; allowed: numbers")
    sides = tuple(int(side) for side in shape[1].split(",") if side.strip())
    return sides, turned[1] == "True", np.dtype(kind[1])


READER: Final = Reader(_files, _read)
