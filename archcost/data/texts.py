"""ptb and any text file: words or characters, numbered by the training part alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch

from archcost.data.known import broken, found, shown, unread, yours
from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset, Reader, Split, fingerprint
from archcost.errors import InputError, Mistake
from archcost.units import grouped

EOS: Final = "<eos>"
UNKNOWN: Final = "<unk>"

_MOST_BYTES: Final = 2**28
_TENTH: Final = 10  # the last tenth of a text in one file is its test part, the tenth before that its validation
_CODES: Final = 0x110000  # code points there are


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """The number of every token: `known[code]`, of any other `unknown`; `before`: what stands before a text."""

    known: np.ndarray
    unknown: int
    before: int
    size: int


def _files(spec: DataSpec, folder: Path) -> tuple[Path, ...]:
    """Return the three files of ptb, or of NAME.train.txt with its two beside it, or the one file of a text."""
    if spec.name == "ptb":
        return found("ptb")
    path, ending = spec.path or "", ".train.txt"
    stem = path.removesuffix(ending)
    every = [f"{stem}.{part}.txt" for part in ("train", "valid", "test")] if path.endswith(ending) else [path]
    return tuple(yours(each, folder, _MOST_BYTES) for each in every)


def _read(spec: DataSpec, paths: tuple[Path, ...]) -> Dataset:
    """Return a text; one file is cut into eight tenths, one and one, of three the test file is read when asked for."""
    codes = {EOS: 0}
    train, rest = _parts(spec, paths, codes)
    if rest is not None:
        return _dataset(spec, paths[0], (train, rest[0]), codes, lambda: rest[1])
    valid = _codes(paths[1], spec.level, codes)
    return _dataset(spec, paths[0], (train, valid), codes, lambda: _codes(paths[2], spec.level, codes))


def _parts(
    spec: DataSpec, paths: tuple[Path, ...], codes: dict[str, int]
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
    """Return the codes of the training part, and of a text in one file those of validation and test part."""
    every = _codes(paths[0], spec.level, codes)
    if len(paths) > 1:
        return every, None
    cut = len(every) // _TENTH
    if not cut:
        raise _wrong(f"{shown(paths[0])} has {len(every)} tokens; allowed: {_TENTH} or more")
    return every[: -2 * cut], (every[-2 * cut : -cut], every[-cut:])


@dataclass(frozen=True, slots=True)
class Words:
    """The tokens of a text by their number; unknown: the number of all others; before: what is before a text."""

    tokens: tuple[str, ...]
    level: str
    unknown: int
    before: int


def words(spec: DataSpec, folder: Path) -> Words:
    """Return the tokens by which a text is read; raises InputError if it cannot be."""
    codes = {EOS: 0}
    train, _ = _parts(spec, _files(spec, folder), codes)
    found = _vocabulary(spec.level, train, codes)
    names = [UNKNOWN] * found.size
    written = ((number, word) for word, number in codes.items())
    every = written if spec.level == "words" else ((code, chr(code)) for code in np.flatnonzero(np.bincount(train)))
    for code, name in every:
        if found.known[code] != found.unknown:
            names[found.known[code]] = name
    return Words(tuple(names), spec.level, found.unknown, found.before)


def _dataset(
    spec: DataSpec,
    source: Path,
    parts: tuple[np.ndarray, np.ndarray],
    codes: dict[str, int],
    test: Callable[[], np.ndarray],
) -> Dataset:
    if spec.examples is not None and spec.examples > len(parts[0]):
        message = f"given {grouped(spec.examples)}; allowed: at most {grouped(len(parts[0]))}, the training tokens"
        raise InputError(Mistake(message, ("data", "examples")))
    vocabulary = _vocabulary(spec.level, parts[0], codes)
    if vocabulary.size < 2:
        raise _wrong(f"{shown(source)} has {vocabulary.size} different tokens; allowed: 2 or more")
    train, valid = _split(parts[0][: spec.examples], vocabulary), _split(parts[1], vocabulary)
    return Dataset(
        spec.name, "text", {"steps": spec.steps, "vocab": vocabulary.size}, vocabulary.size, train, valid, (), (),
        fingerprint(train, valid), str(source), cache(lambda: _split(test(), vocabulary)),
    )  # fmt: skip


def _codes(path: Path, level: str, codes: dict[str, int]) -> np.ndarray:
    """Return a code for every token, int64 (L,): a character's code point, or how early a word was first read."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            if level == "characters":
                return np.frombuffer(file.read().encode("utf-32-le"), "<u4").astype(np.int64)
            found = [codes.setdefault(word, len(codes)) for line in file for word in (*line.split(), EOS)]
    except OSError as error:
        raise unread(path, error) from None
    except UnicodeDecodeError as error:
        raise broken(path, f"it is not UTF-8: {error.reason}") from None
    return np.array(found, np.int64)


def _vocabulary(level: str, train: np.ndarray, codes: dict[str, int]) -> _Vocabulary:
    """Number the tokens of the training part by their codes.

    If the text marks no unknown words itself, what it has only once is read as unknown: nothing would otherwise
    be learned of the tokens that only validation and test have.
    """
    words = level == "words"
    times = np.bincount(train, minlength=len(codes) if words else _CODES)
    marked = words and UNKNOWN in codes and times[codes[UNKNOWN]] > 0
    kept = times >= (1 if marked else 2)
    if words:
        kept[codes[EOS]] = True
    size = int(kept.sum())
    known = np.full(len(kept), -1, np.int64)
    known[kept] = np.arange(size)
    unknown = int(known[codes[UNKNOWN]]) if marked else size
    known[known < 0] = unknown
    before = int(known[codes[EOS] if words else ord("\n")])
    return _Vocabulary(known, unknown, before, max(size, unknown + 1))


def _split(tokens: np.ndarray, vocabulary: _Vocabulary) -> Split:
    """Return every token as a target, and as its input the one before; before the first stands the end of a line."""
    if not len(tokens):
        raise _wrong("a part of the text has no token; allowed: one or more in each")
    known = vocabulary.known
    targets = np.where(tokens < len(known), known[np.minimum(tokens, len(known) - 1)], vocabulary.unknown)
    inputs = np.concatenate([[vocabulary.before], targets[:-1]])
    return Split(torch.from_numpy(inputs), torch.from_numpy(targets))


def _wrong(message: str) -> InputError:
    return InputError(Mistake(message, ("data", "path")))


READER: Final = Reader(_files, _read)
