"""Locks of a study: of its one run, and of short work that one process does at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy
from filelock import FileLock, Timeout
from sqlalchemy.exc import DBAPIError

from archcost.errors import ArchcostError, InputError, Mistake, quoted
from archcost.study.records.database import connections
from archcost.study.records.database.addresses import Address
from archcost.study.records.database.connections import told
from archcost.study.records.database.outage import is_cut, patiently
from archcost.study.records.database.snapshot import PATIENCE_S

LOCK: Final = "archcost study run"
"""What the lock of a run is called in a MySQL."""
_MONTH_S: Final = 30 * 86400
_IDLE: Final = (  # an earlier server than PostgreSQL 14 ends no connection for that, and has no such setting
    "CASE WHEN current_setting('idle_session_timeout', true) IS NULL THEN 'none'"
    " ELSE set_config('idle_session_timeout', '{}', false) END"
)
_KNOWS: Final = "SELECT set_config(name, '10', false) FROM pg_settings WHERE name LIKE 'tcp_keepalives_%%'"
"""Lets the server know within two minutes that the other end is gone."""
NUMBER: Final = 0x61726368636F7374
"""The lock of a run in a PostgreSQL, whose advisory locks have numbers: "archcost"."""
_SHORT: Final = {
    "postgresql": (  # a process that is stopped inside keeps nobody out for long
        f"SELECT CASE WHEN pg_try_advisory_lock({NUMBER + 1}) THEN {_IDLE.format(f'{PATIENCE_S // 2}s')} END",
        f"SELECT pg_advisory_unlock({NUMBER + 1}), {_IDLE.format(0)}",
    ),
    **dict.fromkeys(
        ("mysql", "mariadb"),
        tuple(f"SELECT {each}" for each in (
            f"GET_LOCK(CONCAT('{LOCK} writes ', MD5(DATABASE())), 1)",
            f"RELEASE_LOCK(CONCAT('{LOCK} writes ', MD5(DATABASE())))",
        )),
    ),
}  # fmt: skip
"""How a server's lock for short work is asked for, and given up."""
_SOON_S: Final = 0.01
_LOOK_S: Final = 0.5  # for which a run waits for its lock: who only looks at it has it for less


@dataclass(frozen=True, slots=True)
class Hold:
    """Being the one process that runs a study; note: what there is to say of that; check: raises where that is lost."""

    note: str = ""
    check: Callable[[], object] = lambda: None


@contextmanager
def running(address: Address) -> Iterator[Hold]:
    """Be the one process that runs a study inside the context.

    The system, or the database's server, ends the lock with its holder. What the storage cannot do inside, for want of
    space or else, is InputError. Raises InputError if another process runs the study.
    """
    with told(address), _locked(address.file) if address.file else _locked_there(address) as hold:
        yield hold


@contextmanager
def beside(address: Address) -> Iterator[Hold]:
    """Be one of several processes inside the context; what the storage cannot do inside is InputError here too."""
    with told(address):
        yield Hold()


def run_lock(file: Path) -> Path:
    """Return the file that who runs the study in an SQLite storage has locked."""
    return file.with_name(f"{file.name}.run")


@contextmanager
def _locked(file: Path) -> Iterator[Hold]:
    where = quoted(str(Address(file)))
    lock = FileLock(run_lock(file))
    refuse_links(file)
    try:
        with Path(lock.lock_file).open("a"):  # else a folder that refuses new files would be taken for a lock
            pass
        lock.acquire(timeout=_LOOK_S)
    except Timeout:
        raise InputError(Mistake(f"another process runs the study in {where} now")) from None
    except OSError as error:
        raise InputError(Mistake(f"the storage {where} cannot be written: {error.strerror}")) from None
    with lock:
        lock.release()  # `with` has taken it once more
        yield Hold()


def refuse_links(file: Path) -> None:
    """Raise InputError if a storage's file has several names: each has a log of its own, which together damage it."""
    if file.exists() and file.stat().st_nlink > 1:
        where = quoted(str(Address(file)))
        raise InputError(Mistake(f"{where} has several names (hard links); allowed: one, or a symbolic link to it"))


@contextmanager
def _locked_there(address: Address) -> Iterator[Hold]:
    """Hold a lock of the database's own, on a connection that does nothing else, and is not ended for that."""
    with connections.engine(address) as engine:
        if engine.dialect.name not in _SHORT:
            words = f"a {engine.dialect.name} database is not locked"
            yield Hold(f"{words}: archcost cannot tell whether another process runs this study")
            return
        there = _There(address, engine)
        there.take()
        try:
            yield Hold(check=there.check)
        finally:
            there.close()


@dataclass
class _There:
    """The lock of a run in a database; connection: the one that has it, None if none does."""

    address: Address
    engine: sqlalchemy.Engine
    connection: sqlalchemy.Connection | None = None

    def take(self) -> None:
        """Take the lock; raises InputError if another process has it."""
        self.connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if self.engine.dialect.name == "postgresql":
            self.connection.exec_driver_sql(f"SELECT {_IDLE.format(0)}")
            self.connection.exec_driver_sql(_KNOWS)
            held = self.connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({NUMBER})").scalar()
        else:
            self.connection.exec_driver_sql(f"SET SESSION wait_timeout = {_MONTH_S}")  # 8 hours by default
            # a name of 64 characters at most
            name = sqlalchemy.text("SELECT GET_LOCK(CONCAT(:name, ' ', MD5(DATABASE())), 0)")
            held = self.connection.execute(name, {"name": LOCK}).scalar()
        if not held:
            self.close()
            raise InputError(Mistake(f"another process runs the study in {quoted(str(self.address))} now"))

    def check(self) -> None:
        """Take the lock again if its connection was cut; raises InputError if another process was faster."""
        assert self.connection is not None
        try:
            self.connection.exec_driver_sql("SELECT 1")
        except DBAPIError as error:
            if not is_cut(error):
                raise
            self._again()

    def _again(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            self.close()
            try:
                patiently(self.take)
            except InputError:  # the server may not know yet that the connection was cut
                if time.monotonic() >= end:
                    raise
                time.sleep(1.0)
            else:
                return

    def close(self) -> None:
        """End the connection, and so the lock."""
        if self.connection is not None:
            with suppress(DBAPIError):  # it was cut
                self.connection.invalidate()
            self.connection.close()
            self.connection = None


@contextmanager
def alone(address: Address, engine: sqlalchemy.Engine) -> Iterator[None]:
    """Be the one process inside the context of all that work on a study: what is read, decided and written is whole.

    The system, or the database's server, ends the lock with its holder. Raises ArchcostError if another process is
    inside for longer than a minute. A database that has no locks of its own is not locked.
    """
    if address.file is not None:
        with creating(address.file.with_name(f"{address.file.name}.lock"), "cannot be written"):
            yield
        return
    lock, unlock = _SHORT.get(engine.dialect.name, ("", ""))
    if not lock:
        yield
        return
    connection = patiently(_taken, engine, lock, address)
    try:
        yield
    finally:
        try:
            connection.exec_driver_sql(unlock)
        except DBAPIError as error:
            if not is_cut(error):  # else the server has ended the lock
                raise
        finally:
            connection.close()


def _taken(engine: sqlalchemy.Engine, lock: str, address: Address) -> sqlalchemy.Connection:
    """Return a connection that has a short lock; who holds it for long is stopped, or far away, and is waited for."""
    with ExitStack() as closing_it:
        connection = closing_it.enter_context(engine.connect().execution_options(isolation_level="AUTOCOMMIT"))
        end = time.monotonic() + PATIENCE_S
        while not connection.exec_driver_sql(lock).scalar():
            if time.monotonic() >= end:
                where = quoted(str(address))
                raise ArchcostError(f"the storage {where} is busy: another process has written to it for a minute")
            time.sleep(_SOON_S)
        closing_it.pop_all()
        return connection


@contextmanager
def creating(lock: Path, what: str) -> Iterator[None]:
    """Hold the lock of a file inside the context; raises ArchcostError if another process does for a minute."""
    taken = FileLock(lock, timeout=PATIENCE_S, poll_interval=_SOON_S)
    try:
        taken.acquire()
    except Timeout:
        raise ArchcostError(f"the storage {what}: another process has held {quoted(str(lock))} for a minute") from None
    except OSError as error:
        raise InputError(Mistake(f"the storage {what} in {quoted(str(lock.parent))}: {error.strerror}")) from None
    try:
        yield
    finally:
        taken.release()
