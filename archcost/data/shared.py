"""A data set as a file that child processes map into memory.

It is read and decoded once, and shared by all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch

from archcost.data.splits import Dataset, Own, Split
from archcost.errors import ArchcostError, InputError
from archcost.files import checked, placed


class GoneError(ArchcostError):
    """What a study keeps for its trials cannot be read or written: every other trial would fail as well."""


@contextmanager
def kept(what: str) -> Iterator[None]:
    """Raise GoneError if what is done inside fails for the files it is done with."""
    try:
        yield
    except (OSError, InputError) as error:
        raise GoneError(f"{what}: {error}") from error


_FACTS: Final = ("name", "kind", "input", "classes", "mean", "std", "fingerprint", "source")


def _own(held: object) -> Own | None:
    if not isinstance(held, dict):
        return None
    return Own(**{**held, "names": tuple(held["names"])})


def write(dataset: Dataset, path: Path) -> None:
    """Write all of a data set but its test split."""
    facts = {name: getattr(dataset, name) for name in _FACTS}
    facts["own"] = asdict(dataset.own) if dataset.own is not None else None
    splits = _tensors("train", dataset.train) | _tensors("valid", dataset.validation)
    _save({"facts": json.dumps(facts), **splits}, path)


def write_test(dataset: Dataset, path: Path) -> None:
    """Write the test split alone."""
    _save(_tensors("test", dataset.read_test()), path)


def read(path: Path, test: Path | None = None) -> Dataset:
    """Return what `write` wrote, mapped; `test`: what `write_test` wrote, which is read when it is asked for.

    Raises GoneError if a file cannot be read.
    """
    with kept("the data of the run"):
        held = _load(path)
    facts = json.loads(held["facts"])

    def read_test() -> Split:
        if test is None:
            raise RuntimeError("the test split was not handed over")
        with kept("the test split of the run"):
            return _split("test", _load(test))

    facts |= {"mean": tuple(facts["mean"]), "std": tuple(facts["std"]), "own": _own(facts.get("own"))}
    return Dataset(**facts, train=_split("train", held), validation=_split("valid", held), read_test=read_test)


def _save(value: dict[str, Any], path: Path) -> None:
    with placed(path) as part, checked(part) as file:
        torch.save(value, file)


def _load(path: Path) -> dict[str, Any]:
    held: dict[str, Any] = torch.load(path, mmap=True, weights_only=True)
    return held


def _tensors(name: str, split: Split) -> dict[str, torch.Tensor]:
    return {f"{name}.inputs": split.inputs.contiguous(), f"{name}.targets": split.targets.contiguous()}


def _split(name: str, held: dict[str, Any]) -> Split:
    return Split(held[f"{name}.inputs"], held[f"{name}.targets"])
