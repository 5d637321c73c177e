"""An SQLite storage as it is at one moment, read so that nothing changes.

SQLite makes files of its own beside a database that writes ahead, and empties the log of one that a killed process
left. So nothing is opened that way: what is complete in the one file is read as it is, a log with content together
with its database, and where that cannot be done in place, in a copy of both.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import quote

from archcost import scratch
from archcost.errors import InputError, Mistake, quoted
from archcost.study.records.database.addresses import Address

Ask: TypeAlias = Callable[[str], Sequence[Any]]
"""Returns the rows of a query."""

PATIENCE_S: Final = 60  # for another process's write to end
TABLES: Final = frozenset({"studies", "study_user_attributes", "trials", "trial_user_attributes", "version_info"})
"""Of an Optuna storage, those that tell it from any other database."""

_MAGIC: Final = b"SQLite format 3\0"
_MODE: Final = 18  # where the header says how the file is written
_AHEAD: Final = 2
_TIMES: Final = 5


def there(file: Path) -> bool:
    """Return whether anything is at a path, also if this user may not look at it."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def is_sqlite(file: Path) -> bool:
    """Return whether a file is an SQLite database, as it says itself."""
    try:
        return file.is_file() and _head(file) == _MAGIC  # no pipe is opened: that would wait
    except OSError:
        return False


def _head(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(len(_MAGIC))


def check(address: Address) -> None:
    """Raise InputError if the file of an SQLite storage cannot be read, or is not a study's; nothing is changed."""
    assert address.file is not None
    _copied(address.file, address, None)


def taken(address: Address) -> tuple[sqlite3.Connection, str]:
    """Return what an SQLite storage holds as a database in memory, and what there is to say of how it was read.

    Raises InputError if there is none, or it cannot be read, or is not a study's.
    """
    assert address.file is not None
    with ExitStack() as closing_it:
        memory = closing_it.enter_context(closing(sqlite3.connect(":memory:", check_same_thread=False)))
        note = _copied(address.file, address, memory)
        closing_it.pop_all()  # it is the caller's now
    return memory, note


def recognised(address: Address, tables: frozenset[str], ask: Ask) -> None:
    """Raise InputError if tables are not those of a storage, or it holds no study that archcost made."""
    if not tables >= TABLES:
        raise InputError(Mistake(f"{quoted(str(address))} is another program's database; allowed: a study's storage"))
    held = {str(name) for (name,) in ask("SELECT study_name FROM studies")}
    # by itself, `key` is a word of MySQL's own
    ours = ask("SELECT study_id FROM study_user_attributes AS of_study WHERE of_study.key = 'archcost:about'")
    if len(held) != 1:
        some = f"{len(held)} studies: {', '.join(map(quoted, sorted(held)[:5]))}" if held else "no study"
        raise InputError(Mistake(f"the storage {quoted(str(address))} holds {some}; allowed: one"))
    if not ours:
        raise InputError(Mistake(f"the study in {quoted(str(address))} is not archcost's: another program made it"))


def _copied(file: Path, address: Address, memory: sqlite3.Connection | None) -> str:
    """Look at a database, copy it into memory whole, and return how it was read if that is not as usual."""
    for _ in range(_TIMES):
        _refuse(file, address)
        before = _state(file)
        try:
            with _source(file, address) as (source, whole, note):
                tables = frozenset(name for (name,) in source.execute("SELECT name FROM sqlite_master"))
                recognised(address, tables, lambda query: source.execute(query).fetchall())
                if memory is not None:
                    source.backup(memory)
        except sqlite3.Error as error:
            raise InputError(Mistake(f"the storage {quoted(str(address))} cannot be read: {error}")) from error
        except OSError as error:
            why = error.strerror or error
            raise InputError(Mistake(f"the storage {quoted(str(address))} cannot be read: {why}")) from error
        if whole or _state(file) == before:
            return note
    raise InputError(Mistake(f"the storage {quoted(str(address))} changes while it is read; try again"))


def _refuse(file: Path, address: Address) -> None:
    """Raise InputError if a file is none, or no SQLite database; nothing is opened that waits for a writer."""
    where = quoted(str(address))
    try:
        facts = file.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise InputError(Mistake(f"{where} is not a regular file; allowed: a study's storage"))
        head = _head(file)
    except FileNotFoundError:
        raise InputError(Mistake(f"no study is stored in {where}; 'archcost study run' makes one")) from None
    except OSError as error:
        raise InputError(Mistake(f"the storage {where} cannot be read: {error.strerror or error}")) from None
    if not head:
        raise InputError(Mistake(f"{where} is an empty file; allowed: a study's storage"))
    if head != _MAGIC:
        raise InputError(Mistake(f"{where} is not a study's storage but another kind of file"))


def _state(file: Path) -> tuple[tuple[int, int] | None, ...]:
    """Return what changes when somebody writes to a database and its log."""
    return tuple(_written(path) for path in (file, _log(file), _journal(file)))


def _written(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size


def _log(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def _journal(file: Path) -> Path:
    return file.with_name(f"{file.name}-journal")


class _Source(NamedTuple):
    """A connection through which nothing is written; whole: SQLite keeps what it reads together, whoever writes."""

    connection: sqlite3.Connection
    whole: bool
    note: str = ""


@contextmanager
def _source(file: Path, address: Address) -> Iterator[_Source]:
    """Yield a connection to all that a database holds, and what there is to say of it."""
    with file.open("rb") as opened:
        ahead = opened.read(_MODE + 1)[-1] == _AHEAD
    beside = [path for path in (_log(file), _journal(file)) if path.is_file() and path.stat().st_size]
    made = _log(file).exists() and file.with_name(f"{file.name}-shm").exists()  # the files that SQLite would make
    in_use = ahead and made and os.access(file.parent, os.W_OK) and _journal(file) not in beside
    if in_use or not (ahead or beside):
        with _opened(file, "mode=ro") as connection:
            yield _Source(connection, whole=True)
    elif not beside:
        # SQLite would not look at a log: there is none, and nobody has the database open
        with _opened(file, "immutable=1") as connection:
            yield _Source(connection, whole=False)
    else:
        note = f"{quoted(str(address))} cannot be opened where it is; a copy of it and its log was read"
        with scratch.folder() as folder:
            for path in (file, *beside):
                shutil.copyfile(path, folder / path.name)
            with _opened(folder / file.name, "mode=rw") as connection:
                yield _Source(connection, whole=False, note=note)


@contextmanager
def _opened(file: Path, how: str) -> Iterator[sqlite3.Connection]:
    uri = f"file:{quote(str(file))}?{how}"
    with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE_S)) as connection:
        yield connection
