"""A checkpoint's header: whose it is, of which training, how far; read without torch."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final

ENDING: Final = ".checkpoint"
_FIRST: Final = "archive/data/0"  # torch numbers tensors as it meets them: the header's bytes are the first
_LONGEST: Final = 1 << 16
_BROKEN: Final = (OSError, ValueError, KeyError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a training is kept until it has ended: the file, whose it is, and of which training.

    study: its owner's identity; training: a digest of all that the training follows from. Both are in the file too, and
    a file that says something else is not used.
    """

    path: str
    study: str
    training: str


@dataclass(frozen=True, slots=True)
class Header:
    """What a checkpoint says of itself; epochs: that are done; seconds: that they took, in all processes together."""

    study: str
    training: str
    epochs: int
    seconds: float


def encoded(header: Header) -> bytes:
    """Return a header as the bytes that a checkpoint begins with."""
    return json.dumps(asdict(header)).encode()


def header(path: Path) -> Header | None:
    """Return what a checkpoint says of itself, None if the file cannot be read or is none."""
    try:
        with _opened(path) as archive:
            entry = archive.getinfo(_FIRST)
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > _LONGEST:
                return None
            return _typed(json.loads(archive.read(entry)))
    except _BROKEN:
        return None


def intact(path: Path) -> bool:
    """Return whether every byte that a checkpoint holds is as it was written: torch does not look."""
    try:
        with _opened(path) as archive:
            packed = any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist())
            return not packed and archive.testzip() is None
    except _BROKEN:
        return False


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a file of torch's, which is a ZIP archive; raises one of _BROKEN for what is none."""
    if path.is_symlink() or not path.is_file():  # a pipe would never end
        raise ValueError(path)
    with zipfile.ZipFile(path) as archive:
        yield archive


def _typed(held: Any) -> Header | None:  # noqa: ANN401  # JSON
    if not isinstance(held, dict) or held.keys() != set(Header.__dataclass_fields__):
        return None
    found = Header(**held)
    texts = isinstance(found.study, str) and isinstance(found.training, str)
    if not texts or type(found.epochs) is not int or type(found.seconds) is not float:
        return None
    return found if found.epochs >= 0 and found.seconds >= 0 and isfinite(found.seconds) else None
