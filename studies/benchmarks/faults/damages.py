"""Files of a study that are cut, emptied, or have other bytes: told, or noticed; never other results."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from ground import Ground, ground, paced, soon
from places import Place
from support import again, calibrated
from tally import Tally

from archcost.latency.prediction import kept
from archcost.latency.prediction.predictor import Calibration
from archcost.study.records.trials import Trial

_TRIALS: Final = 3
_CODES: Final = (0, 2)


def _cut(held: bytes, chance: random.Random) -> bytes:
    return held[: chance.randrange(1, len(held))]


def _emptied(held: bytes, chance: random.Random) -> bytes:  # noqa: ARG001  # as the others
    return b""


def _flipped(held: bytes, chance: random.Random) -> bytes:
    found = bytearray(held)
    for _ in range(8):
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def _torn(held: bytes, chance: random.Random) -> bytes:
    """Return bytes of which a block is another one's, as after a power cut."""
    start = chance.randrange(len(held))
    block = chance.randbytes(min(512, len(held) - start))
    return held[:start] + block + held[start + len(block) :]


DAMAGES: Final[dict[str, Callable[[bytes, random.Random], bytes]]] = {
    "cut": _cut, "emptied": _emptied, "eight bits flipped": _flipped, "a block of other bytes": _torn,
}  # fmt: skip


@dataclass(frozen=True)
class Whole:
    """A study whose worker was killed: a folder to copy; ends: the results of each
    point when it has gone on; member: a trial of its front then.
    """

    folder: Path
    trials: dict[int, Trial]
    ends: dict[str, tuple[float, ...]]
    member: int
    exported: str


def damages(place: Place, times: int, tally: Tally) -> None:
    """Damage each kind of file in each way, `times` times over, in copies of one study."""
    del place
    with ground("", paced(_TRIALS, 4)) as here:
        whole = _whole(here)
        for turn in range(times):
            for number, name in enumerate(FILES):
                for kind in DAMAGES:
                    with ground("") as copy:
                        _copy(whole.folder, copy.folder)
                        _one(copy, whole, (name, kind), random.Random(f"{turn} {number} {kind}"), tally)
                    tally.times += 1


def _copy(folder: Path, to: Path) -> None:
    shutil.copytree(folder, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("tmp"))


def _whole(here: Ground) -> Whole:
    """Make a study of two trials that have ended and one that is interrupted, and see how it would go on."""
    worker = here.worker("--trials", str(_TRIALS))
    ready = soon(lambda: len(here.acknowledged()) >= 2 and here.checkpoints(), 240, 0.05)
    assert ready, worker.said
    worker.kill()
    assert worker.gone(within_s=60)
    for path in here.folder.glob("*.log"):
        path.unlink()
    assert (here.folder / "study.db-wal").stat().st_size
    with ground("") as copy:
        _copy(here.folder, copy.folder)
        ended = again(copy.folder, RUN)
        assert ended.returncode == 0, ended.stderr
        held = copy.stored()
        assert held is not None
        number = min({each.trial.number for each in held.front().members} & here.acknowledged().keys())
        exported = again(copy.folder, (*EXPORT, str(number)))
        assert exported.returncode == 0, exported.stderr
        return Whole(here.folder, here.acknowledged(), _ends(copy), number, exported.stdout)


RUN: Final = ("study", "worker", "study.yaml", "--workers", "1", "--allow-code", "--trials", str(_TRIALS))
EXPORT: Final = ("export", "study.yaml", "--to", "pt2", "-o", "net.pt2", "--allow-code", "--trial")
READ: Final = (
    ("study", "status", "study.db"),
    ("study", "front", "study.db", "--json"),
    ("study", "export", "study.db"),
)


def _ends(here: Ground) -> dict[str, tuple[float, ...]]:
    """Return the results of complete trials by their points."""
    return {json.dumps(each.point): each.values for each in here.acknowledged().values()}


def _first(pattern: str) -> Callable[[Path], Path]:
    return lambda folder: min(folder.glob(pattern))


FILES: Final[dict[str, Callable[[Path], Path]]] = {
    "database": _first("study.db"),
    "its log": _first("study.db-wal"),
    "weights": _first("*.weights/[0-9]*.pt"),
    "checkpoint": _first("*.weights/*.checkpoint"),
    "study.json": _first("*.weights/study.json"),
    "calibration": lambda folder: folder / "none",
}


def _one(here: Ground, whole: Whole, what: tuple[str, str], chance: random.Random, tally: Tally) -> None:
    """Damage one file, and read, export or go on with the study."""
    name, kind = what
    if name == "calibration":
        _calibration(here, kind, chance, tally)
        return
    file = FILES[name](here.folder)
    if name == "weights":
        file = file.with_name(f"{whole.member}.pt")
    file.write_bytes(damaged := DAMAGES[kind](file.read_bytes(), chance))
    before = here.acknowledged() if here.stored() else None
    if before is not None:
        other = [number for number, each in before.items() if whole.trials.get(number) != each]
        tally.check(f"{name}: no other results are read", not other, f"{kind}: trials {other}")
    refused = False
    export = (*EXPORT, str(whole.member))
    for words in (*READ, *([export] if name == "weights" else []), RUN):
        ended = again(here.folder, words)
        fine = ended.returncode in _CODES and "Traceback" not in ended.stderr
        tally.check(f"{name}: told in words", fine, f"{kind}: {words}: {ended.returncode} {ended.stderr[-300:]}")
        if words == export and ended.returncode == 0:
            tally.check(
                f"{name}: what is exported is the same", ended.stdout == whole.exported, f"{kind}: {ended.stdout}"
            )
        refused = refused or (words == RUN and ended.returncode != 0)
    if refused and name != "its log":
        tally.check(f"{name}: what was refused is left as it is", file.read_bytes() == damaged, kind)
    elif not refused:
        wrong = {point: values for point, values in _ends(here).items() if whole.ends.get(point, values) != values}
        tally.check(f"{name}: a study that goes on ends as it would have", not wrong, f"{kind}: {wrong} {whole.ends}")


@cache
def _calibrated() -> Calibration:
    with tempfile.TemporaryDirectory() as name:
        return calibrated(Path(name))


def _calibration(here: Ground, kind: str, chance: random.Random, tally: Tally) -> None:
    """Damage the file of a calibration: it is never believed."""
    found = _calibrated()
    file = kept.keep(found, here.folder / "kept")
    file.write_bytes(DAMAGES[kind](file.read_bytes(), chance))
    back = kept.known(found.key, here.folder / "kept")
    tally.check("calibration: not believed", isinstance(back, kept.Unusable) or back == found, f"{kind}: {back!r:.300}")
