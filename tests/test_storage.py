"""Where studies are kept: made once, found again, never by two runs at a time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import optuna
import pytest

from archcost import storage, trials
from archcost.errors import InputError
from archcost.trials import Ended

MAKE = """
import sys, optuna
from archcost import storage
store = storage.opened(sys.argv[1], create=True)
optuna.create_study(study_name="one", storage=store, directions=["minimize"], load_if_exists=True).ask()
"""


def _url(folder: Path) -> str:
    return storage.address("study.db", folder)


def test_several_processes_make_one(tmp_path: Path) -> None:
    """All begin at once, all work, and there is one study with a trial of each."""
    made = [subprocess.Popen([sys.executable, "-c", MAKE, _url(tmp_path)]) for _ in range(4)]
    assert [0, 0, 0, 0] == [each.wait(120) for each in made]
    assert 4 == len(storage.find(storage.opened(_url(tmp_path)), _url(tmp_path)).trials)


def test_sqlite_writes_ahead(tmp_path: Path) -> None:
    """The mode is kept in the file."""
    storage.opened(_url(tmp_path), create=True)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        assert ("wal",) == connection.execute("PRAGMA journal_mode").fetchone()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no study is stored"), (b"no database at all, but long enough to be one" * 50, "cannot be used")],
)
def test_what_is_no_storage_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    """A file that is missing or something else is one clear message."""
    if content:
        (tmp_path / "study.db").write_bytes(content)
    with pytest.raises(InputError, match=message):
        storage.opened(_url(tmp_path))


def test_a_storage_of_others_is_refused(tmp_path: Path) -> None:
    """None or two studies in it are told."""
    store = storage.opened(_url(tmp_path), create=True)
    with pytest.raises(InputError, match="holds no study"):
        storage.find(store, _url(tmp_path))
    for name in ("one", "two"):
        optuna.create_study(study_name=name, storage=store)
    with pytest.raises(InputError, match="holds 2 studies: 'one', 'two'"):
        storage.find(store, _url(tmp_path))


def test_one_process_runs_a_study(tmp_path: Path) -> None:
    """The second is refused while the first has it, not after."""
    again = "import sys; from archcost import storage\nwith storage.running(sys.argv[1]): pass"
    command = [sys.executable, "-c", again, _url(tmp_path)]
    with storage.running(_url(tmp_path)):
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "another process runs the study" in refused.stderr
    assert 0 == subprocess.run(command, check=False).returncode


def test_passwords_are_not_shown() -> None:
    """A database's URL is told without them."""
    assert "postgresql://me:***@host/db" == storage.shown("postgresql://me:secret@host/db")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_never_enters(value: float) -> None:
    """Optuna would take minus infinity for the best of all; it is a failure here."""
    study = optuna.create_study(directions=["minimize", "minimize"])
    trial = study.ask()
    trials.end(study, trial, Ended(), [value, 1.0])
    (found,) = trials.read(study, {})
    assert ("failed", "its result is not finite", ()) == (found.state, found.reason, found.values)


def test_a_foreign_attribute_is_refused() -> None:
    """What another program wrote under our names is one message, no traceback."""
    study = optuna.create_study()
    trial = study.ask()
    trial.set_user_attr("archcost:ended", {"parts": "<script>", "reason": 5})
    study.tell(trial, 1.0)
    with pytest.raises(InputError, match=r"trial 0 is not archcost's: parts"):
        trials.read(study, {})


FULL = """
import sys, optuna
from archcost import storage
with storage.running(sys.argv[1]):
    study = optuna.create_study(storage=storage.opened(sys.argv[1], create=True))
    with study._storage._backend.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    @storage.event.listens_for(study._storage._backend.engine, "connect")
    def _(connection, _):
        connection.execute(f"PRAGMA max_page_count={pages + 2}")
    study._storage._backend.engine.dispose()
    for i in range(100):
        study.set_user_attr(str(i), "x" * 1500)
"""


def test_a_full_disk_is_told_with_the_storage(tmp_path: Path) -> None:
    """A database that may not grow says what a disk without space does: one message, and it is whole."""
    ended = subprocess.run([sys.executable, "-c", FULL, _url(tmp_path)], capture_output=True, text=True, check=False)
    assert "InputError: no space left for the storage" in ended.stderr
    assert storage.find(storage.opened(_url(tmp_path)), _url(tmp_path)).user_attrs


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder of Linux that takes no files")
def test_a_folder_that_takes_no_files_is_no_lock() -> None:
    """Nobody runs a study there: it cannot be written."""
    with pytest.raises(InputError, match=r"x\.db' cannot be written"), storage.running("sqlite:////proc/x.db"):
        pass


def test_no_name_is_no_storage(tmp_path: Path) -> None:
    """An empty one would be the folder itself."""
    with pytest.raises(InputError, match="storage: given ''; allowed: a file"):
        storage.address("", tmp_path)


def test_a_storage_is_never_there_without_writing_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks at a study in the moment it is made does not keep it from that mode: it has it before its tables."""
    modes = []

    def connected(_: str) -> None:
        with sqlite3.connect(tmp_path / "study.db") as connection:
            modes.append(connection.execute("PRAGMA journal_mode").fetchone())

    monkeypatch.setattr(storage, "_connected", connected)
    storage.opened(_url(tmp_path), create=True)
    assert [("wal",)] == modes


def test_who_reads_while_a_storage_is_made_keeps_nobody_from_making_it(tmp_path: Path) -> None:
    """A reader that looks all the time finds no storage or a whole one; the maker is not disturbed."""
    found, over = set(), threading.Event()
    urls = [storage.address(f"{number}.db", tmp_path) for number in range(3)]

    def look() -> None:
        while not over.is_set():
            for url in urls:
                try:
                    storage.opened(url)
                except InputError as error:
                    found.add(str(error).partition(" in '")[0])

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for url in urls:
            storage.opened(url, create=True)
    finally:
        over.set()
        reader.join()
    assert found <= {"no study is stored"}
