"""Reading changes nothing: what is not ours is refused untouched, and what is ours is read wherever it lies."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from commands import run
from written_before import FIRST, copied, killed

from archcost.errors import InputError
from archcost.study.records import trials
from archcost.study.records.database import snapshot, storage
from archcost.study.records.database.addresses import address
from archcost.study.records.reasons import Reason
from archcost.study.records.stored import find

STUDY = """
models: [{family: bottleneck, block: basic, depths: [1], widths: [8]}]
data: {name: digits, examples: 200}
objectives: [{error: min}, {latency: min, target: fake, threads: 1}]
"""


def listing(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file of a folder with its content and the time it was written."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def _sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def _optunas(path: Path) -> None:
    store = optuna.storages.RDBStorage(f"sqlite:///{path}")
    optuna.create_study(study_name="theirs", storage=store).enqueue_trial({"x": 1})
    storage.close(store)


def _changed(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        shutil.copy(FIRST / "study.db", path)
        _sql(path, statement)

    return change


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "another program's": (lambda path: _sql(path, "CREATE TABLE t (a)"), "is another program's database"),
    "another program's, that writes ahead": (
        lambda path: _sql(path, "PRAGMA journal_mode=WAL", "CREATE TABLE t (a)"),
        "is another program's database",
    ),
    "one with a table of that name": (
        lambda path: _sql(path, "CREATE TABLE trials (a)"),
        "is another program's database",
    ),
    "optuna's own": (_optunas, "is not archcost's: another program made it"),
    "without its study": (_changed("DELETE FROM studies"), "holds no study; allowed: one"),
    "with two studies": (_changed("INSERT INTO studies VALUES (7, 'other')"), "holds 2 studies: 'fx', 'other'"),
    "text": (
        lambda path: path.write_text("root:x:0:0:root:/root:/bin/bash\n" * 9, "utf-8"),
        "is not a study's storage",
    ),
    "nothing": (lambda path: path.touch(), "is an empty file"),
    "cut off": (lambda path: path.write_bytes((FIRST / "study.db").read_bytes()[:5000]), "cannot be read"),
    "a folder": (lambda path: path.mkdir(), "is not a regular file; allowed: a study's storage"),
    "a pipe": (os.mkfifo, "is not a regular file; allowed: a study's storage"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_ours_is_refused_untouched(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """No command makes, changes or locks anything there or beside it, and each says in one message what is there."""
    monkeypatch.chdir(tmp_path)
    make, message = FOREIGN[kind]
    make(tmp_path / "study.db")
    (tmp_path / "study.yaml").write_text(STUDY, "utf-8")
    before = listing(tmp_path), sorted(tmp_path.iterdir())
    for command in (
        ("study", "status", "study.yaml"),
        ("study", "front", "study.db", "--json"),
        ("study", "export", "study.db"),
        ("export", "study.yaml", "--trial", "0", "--to", "yaml"),
        ("report", "study.db", "-o", "page.html"),
        ("study", "run", "study.yaml"),
    ):
        code, out, err = run(capsys, *command)
        assert (2, "", True) == (code, out, message in err), (command, err)
        assert 1 == err.count("archcost: ")
    assert before == (listing(tmp_path), sorted(tmp_path.iterdir()))


def test_a_study_is_read_without_a_trace(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Nothing in its folder is other than before, to the byte and the second."""
    file = copied(tmp_path)
    before = listing(tmp_path)
    for command in ("status", "front", "export"):
        assert (0, "") == run(capsys, "study", command, str(file))[::2]
    assert before == listing(tmp_path)


def test_a_log_without_its_index_is_read_from_a_copy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What a killed process left has its last trials in the log alone; SQLite would make files to read them there."""
    file = killed(tmp_path)
    before = listing(tmp_path)
    code, out, err = run(capsys, "study", "status", str(file))
    assert (0, True) == (code, "1 complete" in out)
    assert "cannot be opened where it is; a copy of it and its log was read" in err
    assert before == listing(tmp_path)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield a folder, and what makes it one that nobody can write to."""
    folder = tmp_path / "kept"
    folder.mkdir()
    mounts = []

    def lock() -> None:
        if os.getuid():
            folder.chmod(0o555)
            return
        for command in (["mount", "--bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder]):
            if subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip("root writes anywhere, and cannot mount here")
            mounts.append(folder)

    yield folder, lock
    if mounts:
        subprocess.run(["umount", mounts[0]], check=True)
    folder.chmod(0o755)


WRITES = """
import sys, time, optuna
from pathlib import Path
from archcost.study.records import trials
from archcost.study.records.database import storage
from archcost.study.records.database.addresses import address
def begin(store):
    study = optuna.create_study(study_name="one", storage=store, directions=["minimize"])
    about = {"schema": 1, "name": "one", "objectives": [["error", None]], "labels": ["error"]}
    trials.remember(study, "about", about)
where = address(sys.argv[1], Path.cwd())
study = storage.find(storage.opened(where, begin))
for number in range(10_000):
    trials.end(study, study.ask(), trials.Ended(), [float(number)])
    print(number, flush=True)
"""


def test_no_trial_is_missing_of_a_killed_run_on_a_read_only_mount(
    capsys: pytest.CaptureFixture[str], read_only: tuple[Path, Callable[[], None]]
) -> None:
    """Every trial that was acknowledged before the kill is there, and the output says that a copy was read."""
    folder, lock = read_only
    command = [sys.executable, "-c", WRITES, str(folder / "study.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(12)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().split()]
    assert (folder / "study.db-wal").stat().st_size
    lock()
    code, out, err = run(capsys, "study", "status", str(folder / "study.db"), "--json")
    found = find(address("study.db", folder))
    assert (0, True) == (code, "a copy of it and its log was read" in err), out
    values = [each.values for each in found.trials() if each.state == "complete"]
    assert [(float(number),) for number in told] == values[: len(told)]


def test_a_finished_study_on_a_read_only_mount_is_read(
    capsys: pytest.CaptureFixture[str], read_only: tuple[Path, Callable[[], None]]
) -> None:
    """As it is, without a copy; a run there is refused in words."""
    folder, lock = read_only
    file = copied(folder)
    before = listing(folder)
    lock()
    code, out, err = run(capsys, "study", "front", str(file))
    assert (0, "", True) == (code, err, "0/2" in out)
    code, _, err = run(capsys, "study", "run", str(file))
    assert (2, True) == (code, "cannot be written" in err), err
    assert before == listing(folder)


def test_what_is_read_is_of_one_moment(tmp_path: Path) -> None:
    """While one writes all the time, each reading is whole: as many values as complete trials, and ever more."""
    command = [sys.executable, "-c", WRITES, str(tmp_path / "study.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        threading.Thread(target=process.stdout.readline, daemon=True).start()
        counts: list[int] = []
        while not (tmp_path / "study.db").exists():
            pass
        for _ in range(10):
            memory, _ = snapshot.taken(address("study.db", tmp_path))
            with closing(memory):
                (complete,) = memory.execute("SELECT COUNT(*) FROM trials WHERE state = 'COMPLETE'").fetchone()
                (values,) = memory.execute("SELECT COUNT(*) FROM trial_values").fetchone()
            assert complete == values
            counts.append(complete)
        process.kill()
    assert counts == sorted(counts)


def test_a_file_of_another_user_is_said_to_be_unreadable(tmp_path: Path) -> None:
    """In one message, whoever asks."""
    if not os.getuid():
        pytest.skip("root reads everything")
    shutil.copy(FIRST / "study.db", tmp_path / "study.db")
    (tmp_path / "study.db").chmod(0)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        storage.check(address("study.db", tmp_path))


@pytest.mark.parametrize("state", ["complete", "failed"])
def test_a_trial_ends_once(caplog: pytest.LogCaptureFixture, state: str) -> None:
    """Told again, it stays as it was: the same is nothing new, another end is logged."""
    study = optuna.create_study()
    trial = study.ask()
    first = trials.end(study, trial, trials.Ended(reason=Reason("bug", "one")), [1.0])
    assert first
    again = trials.end if state == "complete" else trials.fail
    values = ([1.0],) if state == "complete" else ()
    assert not again(study, trial, trials.Ended(reason=Reason("bug", "one")), *values)  # type: ignore[operator]
    (found,) = trials.read(study, {})
    assert ("complete", (1.0,), "one") == (found.state, found.values, found.why)
    assert (state == "failed") == ("trial 0 ended as COMPLETE already" in caplog.text)
