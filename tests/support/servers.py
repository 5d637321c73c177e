"""Servers of databases for tests: thrown away at their end, on 127.0.0.1; who has not the programs for one skips."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import sqlalchemy

SECRET = "hunter2secret"
_OWNER = "archer"


@dataclass(frozen=True)
class Server:
    """A server that runs; dialect: with the driver, as in a URL; home: its own database.

    restart: starts it anew; told how it is stopped: 'fast', or 'immediate' as by a power cut.
    """

    dialect: str
    port: int
    home: str
    restart: Callable[[str], object] = lambda _: None

    def url(self, database: str, user: str = _OWNER, password: str = SECRET, host: str = "127.0.0.1") -> str:
        """Return the URL of a database."""
        return f"{self.dialect}://{user}:{password}@{host}:{self.port}/{database}"

    def sql(self, statement: str, database: str = "") -> list[Any]:
        """Return the rows of a statement."""
        engine = sqlalchemy.create_engine(self.url(database or self.home), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                found = connection.exec_driver_sql(statement)
                return [tuple(row) for row in found] if found.returns_rows else []
        finally:
            engine.dispose()

    def tables(self, database: str) -> list[str]:
        """Return the names of a database's tables."""
        engine = sqlalchemy.create_engine(self.url(database))
        try:
            return sorted(sqlalchemy.inspect(engine).get_table_names())
        finally:
            engine.dispose()


@contextmanager
def postgresql(listen: str = "127.0.0.1", **environment: str) -> Iterator[Server]:
    """Start a PostgreSQL; listen: on which addresses; environment: what the server has in its own besides."""
    pytest.importorskip("psycopg", reason="psycopg, the driver for PostgreSQL, is not installed")
    folders = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    make, control = (_program(name, folders) for name in ("initdb", "pg_ctl"))
    port = _free()
    with _folder() as folder:
        (folder / "word").write_text(SECRET)
        data, log = folder / "data", folder / "log"
        how = ("-U", _OWNER, f"--pwfile={folder / 'word'}", "-A", "scram-sha-256", "-N", "-E", "UTF8", "--locale=C")
        _run([make, "-D", str(data), *how], log)
        with (data / "pg_hba.conf").open("a") as known:
            known.write("host all all all scram-sha-256\n")
        options = f"-p {port} -k {folder} -c listen_addresses={listen} -F"
        do = [control, "-D", str(data), "-w", "-l", str(folder / "server.log")]
        _run([*do, "-o", options, "start"], log, environment)
        try:
            yield Server("postgresql+psycopg", port, "postgres", lambda mode: _run([*do, "-m", mode, "restart"], log))
        finally:
            _run([*do, "-m", "immediate", "stop"], log)


@contextmanager
def mariadb() -> Iterator[Server]:
    """Start a MariaDB."""
    pytest.importorskip("pymysql", reason="pymysql, the driver for MariaDB, is not installed")
    make, serve = (_program(name, ["/usr/sbin"]) for name in ("mariadb-install-db", "mariadbd"))
    port = _free()
    with _folder() as folder:
        data, log = folder / "data", folder / "log"
        first = folder / "first.sql"
        first.write_text(f"CREATE USER {_OWNER} IDENTIFIED BY '{SECRET}';\nGRANT ALL ON *.* TO {_OWNER};\n", "utf-8")
        _run([make, "--no-defaults", f"--datadir={data}", "--skip-test-db"], log)
        where = (f"--datadir={data}", f"--socket={folder / 's'}", f"--pid-file={folder / 'pid'}", f"--port={port}")
        command = [serve, "--no-defaults", *where, "--bind-address=127.0.0.1", f"--init-file={first}"]
        with log.open("ab") as told, subprocess.Popen(command, stdout=told, stderr=told, **_unprivileged()) as process:
            try:
                found = Server("mysql+pymysql", port, "mysql")
                _wait(found, log)
                yield found
            finally:
                process.kill()


def _wait(server: Server, log: Path) -> None:
    for _ in range(600):
        with suppress(sqlalchemy.exc.OperationalError):
            server.sql("SELECT 1")
            return
        time.sleep(0.1)
    raise AssertionError(f"the server has not started: {log.read_text('utf-8')[-2000:]}")


def _program(name: str, folders: list[str]) -> str:
    """Return the path of a server's program; skips if it is not installed."""
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"{name}, of the server, is not installed")
    return found


def _run(command: list[str], log: Path, environment: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run a program to its end; what stays behind of it holds no pipe of ours open."""
    found = {**os.environ, **environment}
    with log.open("ab") as told:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=told, stderr=told, check=False, env=found, **_unprivileged()
        )
    assert 0 == ended.returncode, log.read_text("utf-8")[-2000:]


def _unprivileged() -> dict[str, Any]:
    """Return as whom a server runs: none does as root."""
    if os.getuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a folder of the server's user; its path is short, as that of a socket has to be."""
    with tempfile.TemporaryDirectory(prefix="db-", dir="/tmp", ignore_cleanup_errors=True) as name:
        if not os.getuid():
            nobody = pwd.getpwnam("nobody")
            os.chown(name, nobody.pw_uid, nobody.pw_gid)
        yield Path(name)


def _free() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
