"""Studies in a database's server: a PostgreSQL that is started for them, and a MariaDB, where they are installed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import optuna
import pytest
from commands import run
from optuna.storages import RDBStorage
from servers import SECRET, Server, mariadb, postgresql

from archcost.errors import InputError
from archcost.study.records import trials
from archcost.study.records.database import locks, storage
from archcost.study.records.database.addresses import address
from archcost.study.records.stored import find

STUDY = """
name: on a server
models: [{family: bottleneck, block: basic, depths: [1], widths: {scale: [8], by: {choice: [1, 2]}}}]
data: {name: digits, examples: 200}
objectives: [{error: min}, {latency: min, target: fake, threads: 1}]
fit: {epochs: 1, rungs: [1]}
search: {trials: 1}
confirm: {members: 0}
"""
READERS = (
    ("study", "status", "{}"),
    ("study", "front", "{}", "--json"),
    ("study", "export", "{}"),
    ("report", "{}", "-o", "page.html"),
    ("export", "{}", "--trial", "0", "--to", "yaml"),
)
RUN = ("study", "run", "study.yaml", "--storage", "{}")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL."""
    with postgresql() as found:
        yield found


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a study."""
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(STUDY, "utf-8")


def database(server: Server, name: str) -> str:
    """Return the URL of a new database."""
    server.sql(f'CREATE DATABASE "{name}"')
    return server.url(name)


def connections(server: Server) -> int:
    """Return how many connections to other databases are open; those that end have a moment for it."""
    ours = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname <> current_database()"
    for _ in range(50):
        if not server.sql(ours)[0][0]:
            return 0
        time.sleep(0.1)
    return int(server.sql(ours)[0][0])


@dataclass(frozen=True)
class Shell:
    """The command line as these tests use it: nobody sees a password, and no connection is left."""

    capsys: pytest.CaptureFixture[str]
    server: Server

    def __call__(self, url: str, command: tuple[str, ...], *more: str) -> tuple[int, str]:
        """Return the exit code and all that a command printed."""
        code, out, err = run(self.capsys, *(part.format(url) for part in command), *more)
        assert SECRET not in out + err
        assert 0 == connections(self.server)
        return code, out + err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], server: Server) -> Shell:
    """The command line."""
    return Shell(capsys, server)


def begin(store: RDBStorage) -> None:
    """Make a study as archcost marks its own."""
    study = optuna.create_study(study_name="one", storage=store, directions=["minimize"])
    about = {"schema": 1, "name": "one", "objectives": [["error", None]], "labels": ["error"]}
    trials.remember(study, "about", about)


def test_a_study_is_run_and_read_in_a_server(server: Server, shell: Shell) -> None:
    """All commands work, goes on in its folder of weights, and who may only read can; another database has its own."""
    url = database(server, "whole")
    assert 0 == shell(url, RUN)[0]
    assert (0, True) == (shell(url, RUN, "--trials", "2")[0], len(find(address(url, Path())).trials()) >= 2)
    server.sql("CREATE ROLE reader LOGIN PASSWORD 'hunter2secret'")
    server.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", "whole")
    for command in READERS:
        assert 0 == shell(server.url("whole", "reader"), command)[0]
    code, said = shell(server.url("whole", "reader"), RUN, "--trials", "3")
    assert (2, True) == (code, "permission denied" in said)
    assert 0 == shell(url, ("export", "{}", "--to", "pt2", "-o", "x.pt2"), "--trial", str(_member(url)))[0]
    assert SECRET not in Path("page.html").read_text("utf-8")
    assert 0 == shell(database(server, "another"), RUN, "--time", "1ms")[0]
    folders = sorted(Path().glob("on-a-server-????????????.weights"))
    kept = {json.loads((each / "study.json").read_text("utf-8"))["study"] for each in folders}
    assert kept == {find(address(server.url(name), Path())).identity for name in ("whole", "another")}
    assert (2, 2) == (len(folders), len(list(Path().glob("*.weights"))))


def _member(url: str) -> int:
    return find(address(url, Path())).front().members[0].trial.number


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_study_goes_on(server: Server, shell: Shell, number: int, code: int) -> None:
    """Nobody else runs it meanwhile; then its lock is free, and what ran is asked for again."""
    url = database(server, f"interrupted {number}")
    longer = ("--workers", "1", "--set", "fit.epochs=4", "--set", "fit.rungs=[4]")
    command = [sys.executable, "-m", "archcost", *(part.format(url) for part in RUN), *longer]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        _wait_for_a_trial(url)
        with pytest.raises(InputError, match="another process runs the study"), locks.running(address(url, Path())):
            pass
        os.kill(process.pid, number)
        _, told = process.communicate(timeout=60)
    assert (code, False) == (process.returncode, SECRET in told)
    assert 0 == connections(server)
    ended, said = shell(url, RUN, *longer)
    assert 0 == ended, said
    every = find(address(url, Path())).trials()
    (lost,) = [each for each in every if each.fate == "interrupted"]
    assert lost.point in [each.point for each in every if each.state == "complete"]


def _wait_for_a_trial(url: str) -> None:
    for _ in range(600):
        try:
            if any(each.begun for each in find(address(url, Path())).trials()):
                return
        except InputError:
            pass  # not yet made
        time.sleep(0.1)
    raise AssertionError("no trial began")


@pytest.mark.parametrize(
    ("name", "statement", "said"),
    [
        ("trials", "CREATE TABLE trials (a INT)", "another program's database"),
        ("params", "CREATE TABLE trial_params (a INT)", "another program's database"),
        ("alembic", "CREATE TABLE alembic_version (version_num VARCHAR(32))", "another program's database"),
        ("optuna", "", "the study in 'postgresql+psycopg://archer:***@127.0.0.1:"),
    ],
)
def test_what_is_anothers_stays_as_it_is(server: Server, shell: Shell, name: str, statement: str, said: str) -> None:
    """A database with a table that Optuna would take for its own, or with another program's study, is refused."""
    url = database(server, f"other {name}")
    if statement:
        server.sql(statement, f"other {name}")
    else:
        theirs = RDBStorage(url)
        optuna.create_study(study_name="theirs", storage=theirs)
        storage.close(theirs)
    before = server.tables(f"other {name}")
    for command in (*READERS, RUN):
        code, words = shell(url, command)
        assert (2, True) == (code, said in words), words
    assert before == server.tables(f"other {name}")
    assert [Path("study.yaml")] == list(Path().iterdir())


def test_readers_make_nothing(server: Server, shell: Shell) -> None:
    """In a database with nothing of a storage's there is no study, and they leave it so; one may be stored there."""
    url = database(server, "kept")
    server.sql("CREATE TABLE kept (a INT)", "kept")
    for command in READERS:
        code, words = shell(url, command)
        assert (2, True) == (code, "no study is stored in" in words), words
    assert ["kept"] == server.tables("kept")
    storage.close(storage.opened(address(url, Path()), begin))
    assert "one" == find(address(url, Path())).name


def test_what_a_killed_maker_left_is_made_use_of(server: Server) -> None:
    """Tables without a study are none yet: readers say so, a run makes it."""
    where = address(database(server, "half"), Path())
    storage.close(RDBStorage(where.url))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no study is stored"):
        find(where)
    storage.close(storage.opened(where, begin))
    assert "one" == find(where).name


def test_who_looks_while_a_study_is_made_waits_for_it(server: Server) -> None:
    """A study that says not yet what it is, is not taken for another program's; its maker is waited for."""
    where = address(database(server, "in the making"), Path())
    saw: list[object] = []

    def look() -> None:
        saw.append(storage.check(where))
        saw.append(find(where).name)

    others = Thread(target=look)

    def slowly(store: RDBStorage) -> None:
        study = optuna.create_study(study_name="one", storage=store, directions=["minimize"])
        others.start()
        others.join(0.5)
        about = {"schema": 1, "name": "one", "objectives": [["error", None]], "labels": ["error"]}
        trials.remember(study, "about", about)

    storage.close(storage.opened(where, slowly))
    others.join()
    assert [True, "one"] == saw


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_no_password_is_shown_where_nothing_works(server: Server, shell: Shell, debug: tuple[str, ...]) -> None:
    """Wrong password, user, database, port, host or option: exit code 2 and words."""
    here, wrong = f"127.0.0.1:{server.port}", f"{SECRET}x"
    for url in (
        server.url("postgres", password=wrong),
        server.url("postgres", "nobody"),
        server.url("none"),
        f"postgresql+psycopg://archer:{SECRET}@127.0.0.1:1/postgres",
        f"postgresql+psycopg://archer:{SECRET}@host.invalid/postgres",
        f"postgresql+psycopg://archer:p@{SECRET}@host.invalid/postgres",
        f"postgresql+psycopg://{here}/postgres?user=archer&password={wrong}",
        f"postgresql+psycopg://{here}/postgres?user=archer&password={SECRET}&other=1",
    ):
        for command in (READERS[0], RUN):
            assert 2 == shell(url, command, *debug)[0], url


def test_a_password_may_hold_any_character(server: Server) -> None:
    """Braces too, which Optuna would fill in."""
    server.sql("CREATE ROLE odd LOGIN SUPERUSER PASSWORD 'p{w}%%40@s:/?#'")
    database(server, "odd")
    where = address(server.url("odd", "odd", quote("p{w}%40@s:/?#", safe="{}")), Path())
    storage.close(storage.opened(where, begin))
    assert "one" == find(where).name


def test_a_lock_is_kept_by_who_does_nothing(server: Server) -> None:
    """A limit on idle connections is not one on it, and no transaction is left open; after its end it is free."""
    where = address(database(server, "idle"), Path())
    if server.sql("SELECT 1 FROM pg_settings WHERE name = 'idle_session_timeout'"):
        server.sql("ALTER DATABASE idle SET idle_session_timeout = '100ms'")
    with locks.running(where):
        time.sleep(0.5)
        assert [("idle",)] == server.sql("SELECT state FROM pg_stat_activity WHERE datname = 'idle'")
        with pytest.raises(InputError, match="another process runs the study"), locks.running(where):
            pass
    with locks.running(where):
        pass


def test_who_loses_the_lock_takes_it_again(server: Server) -> None:
    """A connection that was cut is made anew, and others are kept out as before; at the end the lock is free."""
    where = address(database(server, "lost"), Path())
    with locks.running(where) as hold:
        _cut(server)
        hold.check()
        with pytest.raises(InputError, match="another process runs the study"), locks.running(where):
            pass
    with locks.running(where):
        pass


def test_who_lost_the_lock_to_another_ends(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that run a study after an outage, one goes on."""
    where = address(database(server, "taken"), Path())
    monkeypatch.setattr(locks, "PATIENCE_S", 0)
    with locks.running(where) as hold:
        _cut(server)
        with locks.running(where), pytest.raises(InputError, match="another process runs the study"):
            hold.check()


def _cut(server: Server) -> None:
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")


def test_mariadb_keeps_studies_too() -> None:
    """Whatever the database's name: it is locked, read, and holds a trial with more samples than 64 KiB."""
    with mariadb() as server:
        name = "d" * 64
        server.sql(f"CREATE DATABASE {name}")
        server.sql("SET GLOBAL wait_timeout = 1")
        where = address(server.url(name), Path())
        with locks.running(where):
            store = storage.opened(where, begin)
            storage.find(store).ask().set_user_attr("long", "x" * 100_000)
            storage.close(store)
            time.sleep(1.5)
            with pytest.raises(InputError, match="another process runs the study"), locks.running(where):
                pass
        assert ("one", 1) == (find(where).name, len(find(where).trials()))
