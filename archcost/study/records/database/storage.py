"""Where a study is kept while it runs: an Optuna storage, made whole, used by one run.

SQLite is used with a write-ahead log: readers and one writer do not wait for each other, and a process that is killed,
or a disk that is full, loses at most the trial it was about to tell.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import optuna
import sqlalchemy
from filelock import FileLock, Timeout
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import BaseModel
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from archcost.errors import ArchcostError, InputError, Mistake, quoted
from archcost.study.records.database import snapshot
from archcost.study.records.database.addresses import Address
from archcost.study.records.database.snapshot import PATIENCE_S, TABLES, recognised
from archcost.study.workers.signals import held_back

_FULL: Final = "disk is full"  # as SQLite says it
LOCK: Final = "archcost study run"
"""What the lock of a run is called in a MySQL."""
_MONTH_S: Final = 30 * 86400
_NO_END: Final = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"  # since 14
NUMBER: Final = 0x61726368636F7374
"""The lock of a run in a PostgreSQL, whose advisory locks have numbers: "archcost"."""
_MADE: Final = frozenset({*BaseModel.metadata.tables, "alembic_version"})  # what Optuna would make, or take for its own
_LOOK_S: Final = 0.5  # for which a run waits for its lock: who only looks at it has it for less
RESUMES: Final = "what has ended is kept: run again when there is some, to go on"

Begin = Callable[[RDBStorage], object]
"""Makes the study in a storage that has none."""


def opened(address: Address, begin: Begin | None = None) -> RDBStorage:
    """Return the storage at an address, to write to; raises InputError if there is none, or it is not a study's.

    begin: if there is none, make it with the study that this makes, under a lock, so that of several processes that
    begin at once one makes it. Whoever opens a storage closes it with `close`.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what users are told, the command line tells
    file = address.file
    if file is None:
        return _on_server(address, begin)
    if begin is None or snapshot.there(file):
        check(address)
        return _connected(address, file)
    with _alone(file.with_name(f"{file.name}.lock"), "cannot be made"), told(address):
        if not file.exists():
            _make(file, begin)
        return _connected(address, file)


def close(storage: RDBStorage) -> None:
    """Close the connections of a storage."""
    storage.remove_session()
    storage.engine.dispose()


def check(address: Address) -> bool:
    """Return whether a study is stored at an address; nothing is made or changed there or beside it.

    Raises InputError if something else is there, or a study could not be stored.
    """
    if address.file is None:
        with _engine(address) as engine:
            return _recognised(address, engine)
    if snapshot.there(address.file):
        snapshot.check(address)
        return True
    if not address.file.parent.is_dir():
        raise InputError(Mistake(f"the storage {quoted(str(address))} cannot be made: there is no such folder"))
    return False


def remaining(address: Address) -> Callable[[], None]:
    """Return what raises InputError once the file of a storage is gone: what is written to it then is lost."""
    first = _number(address.file)

    def check() -> None:
        if _number(address.file) != first:
            raise InputError(Mistake(f"the storage {quoted(str(address))} was removed or replaced while it was used"))

    return check


def _number(file: Path | None) -> int | None:
    try:
        return None if file is None else file.stat().st_ino
    except OSError:
        return None


def reading(address: Address) -> tuple[RDBStorage, str]:
    """Return what is stored at an address, to read, and what there is to say of it: of a file as it is at this moment.

    Raises InputError if there is no study, or it cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if address.file is None:
        return _on_server(address, None), ""
    memory, note = snapshot.taken(address)
    return _stored("sqlite://", {"creator": lambda: memory, "poolclass": StaticPool}, address), note


def _make(file: Path, begin: Begin) -> None:
    """Make a storage that writes ahead, whole at once, with its tables and its study."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        made = RDBStorage("sqlite://", engine_kwargs=_to(part))
        try:
            begin(made)
        finally:
            close(made)
        with closing(sqlite3.connect(part)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _to(file: Path) -> dict[str, Any]:
    """Return how SQLAlchemy connects to a file, whatever characters are in its name."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(file, timeout=PATIENCE_S, check_same_thread=False)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA busy_timeout={PATIENCE_S * 1000}")
        return connection

    return {"creator": connect, "poolclass": QueuePool}


def _connected(address: Address, file: Path) -> RDBStorage:
    storage = _stored("sqlite://", _to(file), address)
    with told(address), storage.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # kept in the file
    return storage


def _stored(url: str, arguments: dict[str, Any], address: Address) -> RDBStorage:
    """Return the Optuna storage of tables that are there; raises InputError if it is another Optuna's."""
    with told(address):
        try:
            storage = RDBStorage(url, engine_kwargs=arguments, skip_compatibility_check=True, skip_table_creation=True)
            weakref.finalize(storage, storage.engine.dispose)  # also if nobody comes to close it
            storage._version_manager.check_table_schema_compatibility()
        except (RuntimeError, AssertionError) as error:  # of another Optuna; of none
            raise _unusable(address, error) from error
    return storage


def _on_server(address: Address, begin: Begin | None) -> RDBStorage:
    with _engine(address) as engine:
        there = _recognised(address, engine)
    if not there and begin is None:
        raise InputError(Mistake(f"no study is stored in {quoted(str(address))}; 'archcost study run' makes one"))
    if begin is not None and not there:
        with told(address), held_back():  # a study that is there in part would be taken for another program's
            made = RDBStorage(_template(address.url), engine_kwargs={"poolclass": NullPool})
            try:
                _widen(made)
                begin(made)
            finally:
                close(made)
    return _stored(_template(address.url), {"pool_pre_ping": True}, address)


def _widen(made: RDBStorage) -> None:
    """Let MySQL, which would take 64 KiB, keep all samples of a trial."""
    if made.engine.dialect.name in ("mysql", "mariadb"):
        with made.engine.begin() as connection:
            for table in ("study_user_attributes", "trial_user_attributes"):
                connection.exec_driver_sql(f"ALTER TABLE {table} MODIFY value_json LONGTEXT")


def _template(url: str) -> str:
    """Return a URL for Optuna, which would fill in what is in braces."""
    return url.replace("{", "{{").replace("}", "}}")


@contextmanager
def _engine(address: Address) -> Iterator[sqlalchemy.Engine]:
    with told(address):
        engine = sqlalchemy.create_engine(address.url)
        try:
            yield engine
        finally:
            engine.dispose()


def _recognised(address: Address, engine: sqlalchemy.Engine) -> bool:
    """Return whether a database holds a study of ours, False if a storage's tables are not there, or empty.

    Raises InputError if some of them are there, or it is another program's storage.
    """
    tables = frozenset(sqlalchemy.inspect(engine).get_table_names())
    if not tables & _MADE:
        return False
    with engine.connect() as connection:
        if tables >= TABLES and not connection.exec_driver_sql("SELECT 1 FROM studies").first():
            return False  # its maker was killed before there was a study
        recognised(address, tables, lambda query: connection.exec_driver_sql(query).fetchall())
    return True


@contextmanager
def told(address: Address) -> Iterator[None]:
    """Tell what a storage cannot do inside the context, as InputError: the one place where its errors end."""
    try:
        yield
    except StorageInternalError as error:
        raise _unusable(address, error.__cause__ or error) from error
    except (SQLAlchemyError, sqlite3.Error, ImportError, NoSuchModuleError) as error:
        raise _unusable(address, error) from error


def _unusable(address: Address, error: BaseException) -> InputError:
    first = str(getattr(error, "orig", None) or error).strip().splitlines()
    if first and _FULL in first[0]:
        return InputError(Mistake(f"no space left for the storage {quoted(str(address))}; {RESUMES}"))
    why = first[0] if first else type(error).__name__
    return InputError(Mistake(f"the storage {quoted(str(address))} cannot be used: {address.hidden(why)}"))


@contextmanager
def connected(address: Address) -> Iterator[sqlalchemy.Connection]:
    """Yield a connection to a database on a server that lasts no longer than the context."""
    with _engine(address) as engine, engine.connect() as connection:
        yield connection


@contextmanager
def _alone(lock: Path, what: str) -> Iterator[None]:
    try:
        with FileLock(lock, timeout=PATIENCE_S):
            yield
    except Timeout:
        raise ArchcostError(f"the storage {what}: another process has held {quoted(str(lock))} for a minute") from None
    except OSError as error:
        raise InputError(Mistake(f"the storage {what} in {quoted(str(lock.parent))}: {error.strerror}")) from None


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
    with _engine(address) as engine, engine.connect() as bare:
        connection = bare.execution_options(isolation_level="AUTOCOMMIT")
        match engine.dialect.name:
            case "postgresql":
                connection.exec_driver_sql(_NO_END)
                held = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({NUMBER})").scalar()
            case "mysql" | "mariadb":
                connection.exec_driver_sql(f"SET SESSION wait_timeout = {_MONTH_S}")  # 8 hours by default
                # a name of 64 characters at most
                name = sqlalchemy.text("SELECT GET_LOCK(CONCAT(:name, ' ', MD5(DATABASE())), 0)")
                held = connection.execute(name, {"name": LOCK}).scalar()
            case other:
                yield Hold(
                    f"a {other} database is not locked: archcost cannot tell whether another process runs this study"
                )
                return
        if not held:
            raise InputError(Mistake(f"another process runs the study in {quoted(str(address))} now"))
        yield Hold(check=lambda: connection.exec_driver_sql("SELECT 1"))  # a server that has ended lets others in


def find(storage: RDBStorage) -> optuna.Study:
    """Return the one study of a storage, which was recognised when that was opened."""
    (name,) = optuna.study.get_all_study_names(storage)  # the summaries would read every trial
    return optuna.load_study(study_name=name, storage=storage)
