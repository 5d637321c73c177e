"""Several processes on one study: each trial is one's, what a dead one left is taken up, and the total is exact."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from commands import run
from optuna.exceptions import StorageInternalError

from archcost.errors import InputError
from archcost.study import run as running
from archcost.study.keys.search import Search
from archcost.study.options import Wanted, options
from archcost.study.records.database import locks
from archcost.study.records.database.addresses import Address
from archcost.study.records.stored import Stored, find

STUDY = """
name: several
models: [{family: bottleneck, block: basic, depths: [1], widths: {scale: [4], by: {choice: [1, 2, 3, 4, 5, 6, 7, 8]}}}]
data: {name: digits, examples: 200}
objectives: [{error: min}, {latency: min, target: fake, threads: 1}]
fit: {epochs: 2, rungs: [1, 2]}
search: {trials: 5}
confirm: {members: 1, seeds: 2}
"""
COMMAND = (sys.executable, "-m", "archcost", "study", "worker", "study.yaml", "--workers", "1")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a study."""
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(STUDY, "utf-8")


def worker(*more: str) -> subprocess.Popen[str]:
    """Start a worker."""
    return subprocess.Popen([*COMMAND, *more], stderr=subprocess.PIPE, text=True)


def stored() -> Stored:
    """Return the study as it is."""
    return find(Address(Path("study.db").resolve()))


def waited(what: str, holds: Any) -> None:
    """Wait until something holds of the study."""
    for _ in range(600):
        if Path("study.db").exists() and holds(stored()):
            return
        time.sleep(0.1)
    raise AssertionError(f"never {what}")


def test_workers_that_start_at_once_share_a_study() -> None:
    """One is killed in a trial, which another takes up: as many as were wanted end, none is left, one confirms."""
    every = [worker() for _ in range(3)]
    waited("a trial under way", lambda now: any(each.state == "running" for each in now.trials()))
    (busy, *_) = [each for each in stored().workers if any(name.startswith("trial:") for name in each.doing)]
    os.kill(busy.pid, signal.SIGKILL)
    said = {each.pid: each.communicate(timeout=600)[1] for each in every}
    codes = {each.pid: each.returncode for each in every}
    assert {each.pid: -9 if each.pid == busy.pid else 0 for each in every} == codes, said
    found = stored().trials()
    assert (5, 0) == (sum(each.counts for each in found), sum(each.state == "running" for each in found))
    assert list(range(len(found))) == [each.number for each in found]
    assert any(each.fate == "interrupted" for each in found)
    assert stored().front().confirmed
    assert () == stored().workers


def test_one_trains_and_another_measures() -> None:
    """The samples come from who may measure, trainings from who may train, and members are measured by turns."""
    trainer, measurer = worker("--trains"), worker("--measures", "fake")
    waited("a request", lambda now: bool(now.workers))
    said = [each.communicate(timeout=600)[1] for each in (trainer, measurer)]
    assert [0, 0] == [trainer.returncode, measurer.returncode], said
    ended = [each for each in stored().trials() if each.state == "complete" and each.ended]
    assert ended
    assert all(part.samples for each in ended for part in each.ended.parts)
    assert "trial" in said[0]
    assert "trial" not in said[1].replace("all trials", "").replace("0 trials", "")
    assert all(each.standing for each in stored().front().members)


def test_a_run_is_one_of_several(capsys: pytest.CaptureFixture[str]) -> None:
    """A second run is refused, a worker is not, and finds nothing left to do."""
    assert 0 == run(capsys, "study", "run", "study.yaml")[0]
    with locks.running(Address(Path("study.db").resolve())):
        assert 2 == run(capsys, "study", "run", "study.yaml")[0]
        code, _, said = run(capsys, "study", "worker", "study.yaml")
    assert (0, True) == (code, "0 trials here" in said)
    assert "workers" not in json.loads(run(capsys, "study", "status", "study.yaml", "--json")[1])


def test_a_worker_of_another_version_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which version it has, and which the study; a run that is alone may go on with it."""
    assert 0 == run(capsys, "study", "run", "study.yaml", "--trials", "1")[0]
    monkeypatch.setattr(running, "version", lambda _: "9.9")
    code, _, said = run(capsys, "study", "worker", "study.yaml")
    assert (2, True) == (code, "torch 9.9 is not" in said)
    assert 0 == run(capsys, "study", "run", "study.yaml", "--trials", "1")[0]


def test_what_is_measured_is_a_target_of_the_study(capsys: pytest.CaptureFixture[str]) -> None:
    """The message names those there are, and nothing is made."""
    code, _, said = run(capsys, "study", "worker", "study.yaml", "--measures", "gpu")
    assert (2, True) == (code, "given --measures 'gpu'; allowed: fake" in said)
    assert not Path("study.db").exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Wanted(), (True, None)),
        (Wanted(trains=True), (True, ())),
        (Wanted(measures=("cpu",)), (False, ("cpu",))),
        (Wanted(trains=True, measures=("cpu",)), (True, ("cpu",))),
    ],
)
def test_what_a_worker_does(given: Wanted, expected: tuple[bool, tuple[str, ...] | None]) -> None:
    """Neither word means everything, one of them that alone."""
    found = options(given, Search(), 1, "worker")
    assert expected == (found.trains, found.measures)


def test_a_network_file_system_takes_one_process(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is told so; the second is refused before it writes."""
    from archcost.study.records.database import team

    monkeypatch.setattr(team, "kind_of", lambda _: "nfs4")
    code, _, said = run(capsys, "study", "run", "study.yaml", "--trials", "1")
    assert (0, True) == (code, "is on a network file system (nfs4)" in said)
    monkeypatch.setattr(team.Team, "others", lambda _: ("one",))
    with pytest.raises(InputError, match="allowed: one process, or a PostgreSQL"):
        _joined()


def _joined() -> None:
    from teams import memory

    from archcost.study.records.database.team import joined

    with joined(Address(Path("study.db").resolve()), memory(), {}):
        pass


@pytest.mark.parametrize("role", ["run", "worker"])
def test_a_full_disk_is_told_by_whoever_works(role: Any) -> None:
    """In words, as by the one process of a run."""
    where, chosen = Address(Path("study.db").resolve()), options(Wanted(), Search(), 1, role)
    full = StorageInternalError("in a commit")
    full.__cause__ = sqlite3.OperationalError("database or disk is full")
    with pytest.raises(InputError, match="no space left for the storage"), running._held(where, chosen):
        raise full
