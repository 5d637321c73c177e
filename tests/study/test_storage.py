"""Where studies are kept: made once, found again, never by two runs at a time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage

from archcost.errors import InputError
from archcost.study.records import trials
from archcost.study.records.database import locks, snapshot, storage
from archcost.study.records.database.addresses import Address, address
from archcost.study.records.reasons import Reason
from archcost.study.records.stored import find
from archcost.study.records.trials import Ended

MAKE = """
import sys, optuna, sqlalchemy
from archcost.study.records import trials
from archcost.study.records.database import locks, storage
from archcost.study.records.database.addresses import address
from pathlib import Path
def begin(store):
    study = optuna.create_study(study_name="one", storage=store, directions=["minimize"])
    trials.remember(study, "about", {"schema": 1})
"""
ONE = (
    MAKE
    + """
where = address(sys.argv[1], Path.cwd())
store = storage.opened(where, begin)
storage.find(store).ask()
"""
)


def where(folder: Path) -> Address:
    """Return where the study of a test is stored."""
    return address("study.db", folder)


def begin(store: RDBStorage) -> None:
    """Make a study as archcost marks its own."""
    study = optuna.create_study(study_name="one", storage=store, directions=["minimize"])
    trials.remember(study, "about", {"schema": 1, "name": "one", "objectives": [["error", None]], "labels": ["error"]})


def python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a script to its end."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_several_processes_make_one(tmp_path: Path) -> None:
    """All begin at once, all work, and there is one study with a trial of each."""
    made = [subprocess.Popen([sys.executable, "-c", ONE, str(tmp_path / "study.db")]) for _ in range(4)]
    assert [0, 0, 0, 0] == [each.wait(120) for each in made]
    memory, _ = snapshot.taken(where(tmp_path))
    with closing(memory):
        assert [(4,)] == memory.execute("SELECT COUNT(*) FROM trials").fetchall()


def test_sqlite_writes_ahead(tmp_path: Path) -> None:
    """The mode is kept in the file, and was its from the beginning: it is there whole or not at all."""
    storage.close(storage.opened(where(tmp_path), begin))
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        assert ("wal",) == connection.execute("PRAGMA journal_mode").fetchone()


def test_one_process_runs_a_study(tmp_path: Path) -> None:
    """The second is refused while the first has it, not after; every URL of the file is the file."""
    again = f"{MAKE}\nwith locks.running(address(sys.argv[1], Path.cwd())): pass"
    names = [tmp_path / "study.db", f"sqlite:///{tmp_path}/study.db", f"sqlite+pysqlite:///{tmp_path}/x/../study.db"]
    (tmp_path / "x").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "study.db")
    with locks.running(where(tmp_path)):
        refused = [python(again, name) for name in (*names, tmp_path / "link.db")]
    assert all("another process runs the study" in each.stderr for each in refused)
    assert 0 == python(again, names[0]).returncode


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_never_enters(value: float) -> None:
    """Optuna would take minus infinity for the best of all; it is a failure here."""
    study = optuna.create_study(directions=["minimize", "minimize"])
    trial = study.ask()
    trials.end(study, trial, Ended(), [value, 1.0])
    (found,) = trials.read(study, {})
    reason = Reason("not_finite", "its result is not finite")
    assert ("failed", reason, ()) == (found.state, found.reason, found.values)


def test_a_foreign_attribute_is_refused() -> None:
    """What another program wrote under our names is one message, no traceback."""
    study = optuna.create_study()
    trial = study.ask()
    trial.set_user_attr("archcost:ended", {"parts": "<script>", "reason": 5})
    study.tell(trial, 1.0)
    with pytest.raises(InputError, match=r"trial 0 is not archcost's: parts"):
        trials.read(study, {})


FULL = f"""{MAKE}
where = address(sys.argv[1], Path.cwd())
with locks.running(where):
    store = storage.opened(where, begin)
    study = storage.find(store)
    with store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    @sqlalchemy.event.listens_for(store.engine, "connect")
    def _(connection, _):
        connection.execute(f"PRAGMA max_page_count={{pages + 2}}")
    store.engine.dispose()
    for i in range(100):
        study.set_user_attr(str(i), "x" * 1500)
"""


def test_a_full_disk_is_told_with_the_storage(tmp_path: Path) -> None:
    """A database that may not grow says what a disk without space does: one message, and it is whole."""
    ended = python(FULL, tmp_path / "study.db")
    assert "InputError: no space left for the storage" in ended.stderr
    memory, _ = snapshot.taken(where(tmp_path))
    with closing(memory):
        assert [("ok",)] == memory.execute("PRAGMA quick_check").fetchall()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder of Linux that takes no files")
def test_a_folder_that_takes_no_files_is_no_lock() -> None:
    """Nobody runs a study there: it cannot be written."""
    with pytest.raises(InputError, match=r"x\.db' cannot be written"), locks.running(Address(Path("/proc/x.db"))):
        pass


def test_who_reads_while_a_storage_is_made_keeps_nobody_from_making_it(tmp_path: Path) -> None:
    """A reader that looks all the time finds no storage or a whole one; the maker is not disturbed."""
    found, over = set(), threading.Event()
    places = [address(f"{number}.db", tmp_path) for number in range(3)]

    def look() -> None:
        while not over.is_set():
            for place in places:
                try:
                    find(place)
                except InputError as error:
                    found.add(str(error).partition(" in '")[0])

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for place in places:
            storage.close(storage.opened(place, begin))
    finally:
        over.set()
        reader.join()
    assert found <= {"no study is stored"}


def test_a_storage_of_several_names_is_not_run(tmp_path: Path) -> None:
    """Each hard link would have a log of its own: together they would damage it."""
    storage.close(storage.opened(where(tmp_path), begin))
    (tmp_path / "other.db").hardlink_to(tmp_path / "study.db")
    with pytest.raises(InputError, match="has several names"), locks.running(where(tmp_path)):
        pass
