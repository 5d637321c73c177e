"""Open trainings, those that have not ended: checkpoints, which are found without torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from archcost.study.records.confirmed import SEARCHED, Extent
from archcost.study.records.stored import Stored
from archcost.study.records.trials import Trial
from archcost.study.records.weights_folder import folder_of
from archcost.training.header import ENDING, Checkpoint, Header, header

_LEFT: Final = re.compile(rf"\.([0-9a-f]{{64}}{re.escape(ENDING)}|[0-9]+\.pt)\.[a-z0-9_]{{8}}\.part")
"""What a process leaves that is killed while it writes a checkpoint or weights: names that `files.placed` gives."""


def place(folder: Path, study: str, identity: str, column: int = 0, seed: int = 0, extent: Extent = SEARCHED
          ) -> Checkpoint:  # fmt: skip
    """Return where a training is kept that has not ended: one place for whoever trains the same.

    study: its identity; identity: of the trial's network, training and data; column: of that network, which trains
    alone (0: all of it); seed: of confirming (0: of the search); extent: of the training.
    """
    longer = f" {extent.epochs}" if extent.epochs or extent.examples else ""
    longer += f" {extent.examples} {extent.data}" if extent.examples else ""
    training = sha256(f"{identity} {column} {seed}{longer}".encode()).hexdigest()
    return Checkpoint(str(folder / f"{training}{ENDING}"), study, training)


def found(folder: Path, study: str) -> tuple[tuple[Path, Header], ...]:
    """Return every checkpoint in a folder that is a study's own, with what it says; other files are passed over."""
    files = sorted(folder.glob(f"*{ENDING}")) if folder.is_dir() else []
    known = ((file, header(file)) for file in files)
    return tuple((file, said) for file, said in known if said is not None and said.study == study)


def summary(stored: Stored) -> dict[str, int]:
    """Return how many trainings are kept that a study may go on with, and how many of their epochs are done."""
    folder = folder_of(stored.address, stored.name, stored.identity)
    kept = [said for _, said in found(folder, stored.identity)]
    return {"trainings": len(kept), "epochs": sum(each.epochs for each in kept)}


def passed(every: Sequence[Trial], identity: str) -> dict[int, tuple[tuple[float, ...], ...]]:
    """Return the values at the rungs that interrupted trials of a network passed: it is not judged there again."""
    return {epoch: each.reached(epoch) for each in _interrupted(every, identity) for epoch in each.rungs}


def spent_s(folder: Path, study: str, trial: Trial, every: Sequence[Trial]) -> float:
    """Return how long a trial ran whose process is gone, up to its last checkpoint; 0 if it wrote none."""
    said = header(folder / f"{trial.training}{ENDING}") if trial.training else None
    if said is None or said.study != study or trial.begun is None:
        return 0.0
    before = sum(each.ended.seconds for each in _interrupted(every, trial.begun.identity) if each.ended)
    return max(0.0, said.seconds - before)


def _interrupted(every: Sequence[Trial], identity: str) -> Iterator[Trial]:
    return (each for each in every if each.fate == "interrupted" and each.begun and each.begun.identity == identity)


def remove(kept: Checkpoint) -> None:
    """Remove what is kept in a place, if it is the study's own."""
    file = Path(kept.path)
    if (said := header(file)) is not None and said.study == kept.study:
        with suppress(OSError):  # a folder that is gone is told of where it is needed
            file.unlink(missing_ok=True)


def clear(folder: Path, study: str) -> None:
    """Remove every checkpoint of a study that is complete."""
    for file, _ in found(folder, study):
        with suppress(OSError):
            file.unlink(missing_ok=True)


def tidy(folder: Path) -> None:
    """Remove what killed processes had half-written to a study's own folder; only who runs the study may call it."""
    for file in folder.iterdir():
        if _LEFT.fullmatch(file.name) and file.is_file() and not file.is_symlink():
            with suppress(OSError):
                file.unlink(missing_ok=True)
