"""Where a study is kept while it runs: an Optuna storage, made whole, used by one run.

SQLite is used with a write-ahead log: readers and one writer do not wait for each other, and a process that is killed,
or a disk that is full, loses at most the trial it was about to tell.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import BaseModel
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from archcost.errors import InputError, Mistake, quoted
from archcost.study.records.database import connections, locks, outage, own_tables, snapshot
from archcost.study.records.database.addresses import Address
from archcost.study.records.database.outage import PatientStorage
from archcost.study.records.database.snapshot import PATIENCE_S, TABLES, recognised
from archcost.study.records.database.together import WholeStorage
from archcost.study.workers.signals import held_back

_MADE: Final = frozenset({*BaseModel.metadata.tables, "alembic_version"})  # what Optuna would make, or take for its own

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
    with locks.creating(file.with_name(f"{file.name}.lock"), "cannot be made"), connections.told(address):
        if not file.exists():
            _make(file, begin)
        return _connected(address, file)


def engine_of(study: optuna.Study) -> sqlalchemy.Engine:
    """Return the engine of the storage that a study is in, which Optuna keeps behind its cache."""
    held = study._storage
    backend = getattr(held, "_backend", held)
    assert isinstance(backend, RDBStorage)
    return backend.engine


def close(storage: RDBStorage) -> None:
    """Close the connections of a storage."""
    storage.remove_session()
    storage.engine.dispose()


def check(address: Address) -> bool:
    """Return whether a study is stored at an address; nothing is made or changed there or beside it.

    Raises InputError if something else is there, or a study could not be stored.
    """
    if address.file is None:
        with connections.engine(address) as engine:
            return _settled(address, engine)
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
            own_tables.make(made.engine)
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
    with connections.told(address):
        with storage.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # kept in the file
        if not own_tables.there(storage.engine):  # an earlier version made it
            with locks.alone(address, storage.engine):
                own_tables.make(storage.engine)
    return storage


def _stored(url: str, arguments: dict[str, Any], address: Address, kind: type[RDBStorage] = WholeStorage) -> RDBStorage:
    """Return the Optuna storage of tables that are there; raises InputError if it is another Optuna's."""
    with connections.told(address):
        try:
            storage = kind(url, engine_kwargs=arguments, skip_compatibility_check=True, skip_table_creation=True)
            weakref.finalize(storage, storage.engine.dispose)  # also if nobody comes to close it
            storage._version_manager.check_table_schema_compatibility()
        except (RuntimeError, AssertionError) as error:  # of another Optuna; of none
            raise connections.unusable(address, error) from error
    return storage


def _on_server(address: Address, begin: Begin | None) -> RDBStorage:
    with connections.engine(address) as engine:
        there = _settled(address, engine)
        if not there and begin is None:
            raise InputError(Mistake(f"no study is stored in {quoted(str(address))}; 'archcost study run' makes one"))
        if begin is not None:
            with (
                connections.told(address),
                locks.alone(address, engine),
            ):  # of those that begin at once, one makes the study
                if not _recognised(address, engine):
                    _make_there(address, begin)
                own_tables.make(engine)
    how = {"pool_pre_ping": True, **outage.arguments(address.url)}
    return _stored(_template(address.url), how, address, PatientStorage)


def _make_there(address: Address, begin: Begin) -> None:
    with held_back():  # a study that is there in part would be taken for another program's
        made = RDBStorage(_template(address.url), engine_kwargs={"poolclass": NullPool})
        try:
            _widen(made)
            begin(made)
        finally:
            close(made)


def _widen(made: RDBStorage) -> None:
    """Let MySQL, which would take 64 KiB, keep all samples of a trial."""
    if made.engine.dialect.name in ("mysql", "mariadb"):
        with made.engine.begin() as connection:
            for table in ("study_user_attributes", "trial_user_attributes"):
                connection.exec_driver_sql(f"ALTER TABLE {table} MODIFY value_json LONGTEXT")


def _template(url: str) -> str:
    """Return a URL for Optuna, which would fill in what is in braces."""
    return url.replace("{", "{{").replace("}", "}}")


def _settled(address: Address, engine: sqlalchemy.Engine) -> bool:
    """Return what `_recognised` does once nobody makes a study there: a part of one looks like another program's."""
    with suppress(InputError):
        return _recognised(address, engine)
    with locks.alone(address, engine):
        return _recognised(address, engine)


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


def find(storage: RDBStorage) -> optuna.Study:
    """Return the one study of a storage, which was recognised when that was opened."""
    (name,) = optuna.study.get_all_study_names(storage)  # the summaries would read every trial
    return optuna.load_study(study_name=name, storage=storage)
