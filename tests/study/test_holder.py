"""Whether a process runs a study: told by its lock, which is looked at only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from commands import run as typed
from servers import postgresql
from stored_studies import Wanted, made

from archcost.study.records.database import holder, locks
from archcost.study.records.database.addresses import Address, address

HOLD = """
import sys, time
from pathlib import Path
from archcost.study.records.database import locks
from archcost.study.records.database.addresses import address
with locks.running(address(sys.argv[1], Path.cwd())):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def kept(tmp_path: Path) -> Address:
    """Where a study is stored of which one trial is under way."""
    made(tmp_path / "study.db", Wanted(trials=20))
    return address("study.db", tmp_path)


def held(where: str | Path) -> subprocess.Popen[str]:
    """Return a process that runs a study."""
    started = subprocess.Popen([sys.executable, "-c", HOLD, str(where)], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert "held\n" == started.stdout.readline()
    return started


def killed(process: subprocess.Popen[str]) -> None:
    """End a process as nobody can prepare for."""
    process.kill()
    process.communicate()


def test_a_study_runs_until_its_process_is_gone(kept: Address) -> None:
    """Also if that was killed; the file of the lock stays, and says nothing."""
    assert kept.file is not None
    assert holder.runs(kept) is False
    process = held(kept.file)
    assert holder.runs(kept) is True
    killed(process)
    assert locks.run_lock(kept.file).exists()
    assert holder.runs(kept) is False


def test_looking_changes_nothing(kept: Address) -> None:
    """No file is made or written, and the lock of a run stays with it."""
    assert kept.file is not None
    before = {path: path.stat().st_mtime_ns for path in kept.file.parent.iterdir()}
    assert holder.runs(kept) is False
    assert before == {path: path.stat().st_mtime_ns for path in kept.file.parent.iterdir()}
    process = held(kept.file)
    try:
        assert [True] * 3 == [holder.runs(kept) for _ in range(3)]
    finally:
        killed(process)


def test_a_run_begins_while_others_look(kept: Address) -> None:
    """Whoever looks keeps no run from its lock."""
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            holder.runs(kept)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    with locks.running(kept):
        pass
    for each in lookers:
        each.start()
    try:
        for _ in range(20):
            with locks.running(kept):
                assert holder.runs(kept) is True
    finally:
        over.set()
        for each in lookers:
            each.join()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads every file")
def test_a_lock_that_may_not_be_read_says_nothing(kept: Address) -> None:
    """Of a study of another user."""
    assert kept.file is not None
    lock = locks.run_lock(kept.file)
    lock.touch(0o000)
    assert holder.runs(kept) is None


def test_status_says_that_a_run_has_ended(
    kept: Address, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was under way is interrupted, and the next run tries it again; while a process runs it, it is running."""
    assert kept.file is not None
    monkeypatch.chdir(kept.file.parent)
    line = "  1 trial was under way when the run ended: run again to go on"
    process = held(kept.file)
    code, out, _ = typed(capsys, "study", "status", "study.db")
    assert (0, True, False) == (code, "1 running" in out, line in out)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    code, out, _ = typed(capsys, "study", "status", "study.db")
    assert (0, True, False) == (code, "1 interrupted" in out, "running" in out)
    assert line in out.splitlines()


def test_status_as_json_says_who_was_lost(kept: Address, capsys: pytest.CaptureFixture[str]) -> None:
    """The numbers of the trials; none while the study runs."""
    assert kept.file is not None
    now = json.loads(typed(capsys, "study", "status", str(kept.file), "--json")[1])
    assert (False, [19], 1, False) == (
        now["runs"],
        now["lost"],
        now["states"]["interrupted"],
        "running" in now["states"],
    )
    with locks.running(kept):
        now = json.loads(typed(capsys, "study", "status", str(kept.file), "--json")[1])
    assert (True, [], 1) == (now["runs"], now["lost"], now["states"]["running"])


def test_a_postgresql_is_asked_for_its_lock() -> None:
    """Of this database alone; the lock stays with its run."""
    with postgresql() as server:
        for name in ("one", "two"):
            server.sql(f'CREATE DATABASE "{name}"')
        one, two = (address(server.url(name), Path()) for name in ("one", "two"))
        assert (False, False) == (holder.runs(one), holder.runs(two))
        with locks.running(one) as hold:
            assert (True, False) == (holder.runs(one), holder.runs(two))
            hold.check()
        assert holder.runs(one) is False
