"""ptb and any text file: words or characters, numbered by how they first appear in the training part."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch

from archcost.data.places import broken, found
from archcost.data.splits import Dataset, Split, fingerprint
from archcost.dataspec import DataSpec
from archcost.errors import InputError, Mistake, quoted

EOS: Final = "<eos>"
UNKNOWN: Final = "<unk>"
_MOST: Final = 2**30  # bytes of a text
_SHARE: Final = 10  # the last tenth of a text without splits is its test part, the tenth before that its validation


def load(spec: DataSpec, folder: Path) -> Dataset:
    """Return Penn Treebank, or the text at `path`: NAME.train.txt has NAME.valid.txt and NAME.test.txt beside it."""
    if spec.name == "ptb":
        paths, _ = found("ptb", (["ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"],))
        return _of_three(spec, paths)
    if spec.path is None:
        raise InputError(Mistake("missing; allowed: the path of a text file", ("data", "path")))
    path = folder / spec.path
    if path.name.endswith(".train.txt"):
        beside = tuple(
            path.with_name(path.name.replace(".train.txt", f".{part}.txt")) for part in ("train", "valid", "test")
        )
        return _of_three(spec, beside)
    tokens = _tokens(path, spec.level)
    cut = len(tokens) // _SHARE
    if cut < 2:
        raise InputError(
            Mistake(f"{quoted(str(path))} has {len(tokens)} tokens; allowed: 20 or more", ("data", "path"))
        )
    return _of(spec, str(path), [tokens[: -2 * cut], tokens[-2 * cut : -cut], tokens[-cut:]])


def _of_three(spec: DataSpec, paths: tuple[Path, ...]) -> Dataset:
    return _of(spec, str(paths[0].parent), [_tokens(path, spec.level) for path in paths])


def _tokens(path: Path, level: str) -> list[str]:
    try:
        if path.stat().st_size > _MOST:
            raise broken(path, "it is larger than 1 GiB")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(Mistake(f"cannot read {quoted(str(path))}: {error.strerror}", ("data", "path"))) from None
    except UnicodeDecodeError as error:
        raise broken(path, f"not UTF-8 at byte {error.start}") from None
    if level == "characters":
        return list(text)
    return [word for line in text.splitlines() for word in (*line.split(), EOS)]


def _of(spec: DataSpec, source: str, parts: list[list[str]]) -> Dataset:
    train = parts[0][: spec.examples] if spec.examples else parts[0]
    numbers: dict[str, int] = {}
    for token in train:
        numbers.setdefault(token, len(numbers))
    if any(token not in numbers for part in parts[1:] for token in part):
        numbers.setdefault(UNKNOWN, len(numbers))
    if len(numbers) < 2:
        raise InputError(Mistake(f"the text has {len(numbers)} different tokens; allowed: 2 or more", ("data",)))
    splits = [_split(part, numbers) for part in (train, *parts[1:])]
    name = spec.name if spec.name == "ptb" else Path(spec.path or "text").stem
    return Dataset(
        name, "text", {"steps": spec.steps, "vocab": len(numbers)}, len(numbers), splits[0], splits[1], (), (),
        fingerprint(*splits[:2]), source, lambda: splits[2],
    )  # fmt: skip


def _split(tokens: list[str], numbers: dict[str, int]) -> Split:
    """Return the stream and the next tokens; the first token's own predecessor is the end of a line, or itself."""
    unknown = numbers.get(UNKNOWN, 0)
    stream = np.array([numbers.get(token, unknown) for token in tokens], np.int64)
    before = numbers.get(EOS, stream[0] if len(stream) else 0)
    return Split(torch.from_numpy(np.concatenate([[before], stream[:-1]])), torch.from_numpy(stream))
