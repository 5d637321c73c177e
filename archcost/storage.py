"""Where studies are kept: an Optuna storage, made once under a lock; SQLite beside the study, or any URL of a database.

SQLite is used with a write-ahead log: readers and one writer do not wait for each other, and a process that is killed,
or a disk that is full, loses at most the trial it was about to tell.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from archcost.errors import ArchcostError, InputError, Mistake, quoted

_PATIENCE_S: Final = 60  # for another process's write to end
_SQLITE: Final = "sqlite:///"
_FULL: Final = "disk is full"  # as SQLite says it
RESUMES: Final = "what has ended is kept: run again when there is some, to go on"


def address(storage: str, folder: Path) -> str:
    """Return the URL of a storage: a URL as it is, a path as the SQLite file it names, relative to `folder`.

    Raises InputError for no name at all.
    """
    if not storage.strip():
        raise InputError(Mistake(f"storage: given {quoted(storage)}; allowed: a file, or the URL of a database"))
    return storage if "://" in storage else f"{_SQLITE}{(folder / storage).absolute()}"


def shown(url: str) -> str:
    """Return a URL as messages show it: the file of an SQLite one, another one without its password."""
    if url.startswith(_SQLITE):
        return os.path.relpath(url.removeprefix(_SQLITE))
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


def file_of(url: str) -> Path | None:
    """Return the file of an SQLite storage, None for a database elsewhere."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def opened(url: str, *, create: bool = False) -> RDBStorage:
    """Return the storage at a URL; raises InputError where there is none, or it cannot be opened or is not Optuna's.

    create: make what is not there, under a lock, so that of several processes that begin at once one makes it.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what users are told, the command line tells
    file = file_of(url)
    if file is None:
        return _connected(url)
    if not create:
        if not file.is_file():
            raise InputError(Mistake(f"no study is stored in {quoted(shown(url))}; 'archcost study run' makes one"))
        return _connected(url)
    with _alone(file.with_name(f"{file.name}.lock"), "cannot be made"), _told(url):
        if not file.exists():
            _make(file)
        return _connected(url)


def _make(file: Path) -> None:
    """Make an empty storage that writes ahead, whole at once, with its tables.

    Who opens a storage makes the tables that are not there: of two that do so at once, one fails.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        made = RDBStorage(f"{_SQLITE}{part.absolute()}")
        made.remove_session()
        made.engine.dispose()
        with closing(sqlite3.connect(part)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _connected(url: str) -> RDBStorage:
    sqlite = file_of(url) is not None
    arguments: dict[str, Any] = {"connect_args": {"timeout": _PATIENCE_S}} if sqlite else {"pool_pre_ping": True}
    with _told(url):
        try:
            storage = RDBStorage(url, engine_kwargs=arguments, skip_table_creation=False)
        except RuntimeError as error:  # of another Optuna
            raise _unusable(url, error) from error
        if sqlite:
            _write_ahead(storage)
    return storage


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Tell what a storage cannot do inside the context, as InputError: the one place where its errors end."""
    try:
        yield
    except StorageInternalError as error:
        raise _unusable(url, error.__cause__ or error) from error
    except (SQLAlchemyError, sqlite3.Error, ImportError, NoSuchModuleError) as error:
        raise _unusable(url, error) from error


def _unusable(url: str, error: BaseException) -> InputError:
    first = str(getattr(error, "orig", None) or error).strip().splitlines()
    if first and _FULL in first[0]:
        return InputError(Mistake(f"no space left for the storage {quoted(shown(url))}; {RESUMES}"))
    why = first[0] if first else type(error).__name__
    return InputError(Mistake(f"the storage {quoted(shown(url))} cannot be used: {why}"))


def _write_ahead(storage: RDBStorage) -> None:
    @event.listens_for(storage.engine, "connect")
    def _(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA busy_timeout={_PATIENCE_S * 1000}")

    storage.engine.dispose()  # connections that are open already have not heard of it
    with storage.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # kept in the file


@contextmanager
def _alone(lock: Path, what: str) -> Iterator[None]:
    try:
        with FileLock(lock, timeout=_PATIENCE_S):
            yield
    except Timeout:
        raise ArchcostError(f"the storage {what}: another process has held {quoted(str(lock))} for a minute") from None
    except OSError as error:
        raise InputError(Mistake(f"the storage {what} in {quoted(str(lock.parent))}: {error.strerror}")) from None


@contextmanager
def running(url: str) -> Iterator[None]:
    """Be the one process that runs a study inside the context; raises InputError where another one does.

    The system ends the lock with its holder. A database elsewhere is not locked. What the storage cannot do inside, for
    want of space or else, is InputError too.
    """
    with _told(url), _locked(url):
        yield


@contextmanager
def _locked(url: str) -> Iterator[None]:
    file = file_of(url)
    if file is None:
        yield
        return
    lock = FileLock(file.with_name(f"{file.name}.run"))
    try:
        with Path(lock.lock_file).open("a"):  # else a folder that refuses new files would be taken for a lock
            pass
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(Mistake(f"another process runs the study in {quoted(shown(url))} now")) from None
    except OSError as error:
        raise InputError(Mistake(f"the storage {quoted(shown(url))} cannot be written: {error.strerror}")) from None
    with lock:
        lock.release()  # `with` has taken it once more
        yield


def find(storage: RDBStorage, url: str) -> optuna.Study:
    """Return the study of a storage that archcost made; raises InputError where there is none, or several."""
    names = optuna.study.get_all_study_names(storage)  # the summaries would read every trial
    if len(names) != 1:
        held = f"{len(names)} studies: {', '.join(map(quoted, names[:5]))}" if names else "no study"
        raise InputError(Mistake(f"the storage {quoted(shown(url))} holds {held}; allowed: one"))
    return optuna.load_study(study_name=names[0], storage=storage)
