"""A study's data set, read by the reader of its name.

The last two are kept.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeAlias

from archcost.data import cifar, digits, folders, idx, sequences, texts
from archcost.data.known import unread
from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset, Reader

_READERS: Final[dict[str, Reader]] = {
    "digits": digits.READER,
    "fashion-mnist": idx.READER,
    "mnist": idx.READER,
    "cifar10": cifar.READER,
    "cifar100": cifar.READER,
    "ptb": texts.READER,
    "images": folders.READER,
    "text": texts.READER,
    "sequences": sequences.READER,
}


_Stamp: TypeAlias = tuple[int, int]


def load(spec: DataSpec, *, folder: Path) -> Dataset:
    """Return the data set of a study in `folder`; raises InputError with what to do where it is missing or broken.

    The last two are kept: asked for again they cost nothing, unless one of their files has changed.
    """
    paths = _READERS[spec.name].files(spec, folder)
    return _loaded(spec, paths, tuple(_stamp(path) for path in paths))


def fresh(spec: DataSpec, *, folder: Path) -> Dataset:
    """Return what `load` returns, and keep nothing of it: for a set that is large, and needed for a moment."""
    reader = _READERS[spec.name]
    return reader.read(spec, reader.files(spec, folder))


@lru_cache(maxsize=2)
def _loaded(spec: DataSpec, paths: tuple[Path, ...], _: tuple[_Stamp, ...]) -> Dataset:
    return _READERS[spec.name].read(spec, paths)


def _stamp(path: Path) -> _Stamp:
    """Return what changes when a file is written: its time and size."""
    try:
        facts = os.stat(path)  # noqa: PTH116  # a folder of images has very many
    except OSError as error:
        raise unread(path, error) from None
    return facts.st_mtime_ns, facts.st_size
