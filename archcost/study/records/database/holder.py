"""Whether a process runs a study: its lock is looked at, and not taken."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import sqlalchemy
from filelock import lock_descriptor, unlock_descriptor

from archcost.study.records.database import connections, locks
from archcost.study.records.database.addresses import Address

# an advisory lock of one number: its halves are two columns
_POSTGRESQL: Final = sqlalchemy.text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND classid = :high "
    "AND objid = :low AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_MYSQL: Final = sqlalchemy.text("SELECT IS_USED_LOCK(CONCAT(:name, ' ', MD5(DATABASE()))) IS NOT NULL")


def runs(address: Address) -> bool | None:
    """Return whether a process runs the study at an address now, None if that cannot be told.

    Raises InputError if a database cannot be asked.
    """
    return _held(locks.run_lock(address.file)) if address.file else _held_there(address)


def _held(lock: Path) -> bool | None:
    """Return whether a file is locked. One that is not is so for a moment, which a run that begins waits for."""
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:  # of another user
        return None
    try:
        return not _free(descriptor)
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(descriptor)


def _free(descriptor: int) -> bool:
    if sys.platform == "win32":
        free = lock_descriptor(descriptor, blocking=False)
    else:
        import fcntl  # noqa: PLC0415  # there is none on Windows

        free = False
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: readers do not see each other
            free = True
    if free:
        unlock_descriptor(descriptor)
    return free


def _held_there(address: Address) -> bool | None:
    with connections.connected(address) as connection:
        match connection.dialect.name:
            case "postgresql":
                halves = {"high": locks.NUMBER >> 32, "low": locks.NUMBER & 0xFFFFFFFF}
                return bool(connection.execute(_POSTGRESQL, halves).scalar())
            case "mysql" | "mariadb":
                return bool(connection.execute(_MYSQL, {"name": locks.LOCK}).scalar())
            case _:
                return None
