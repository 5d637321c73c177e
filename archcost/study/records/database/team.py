"""Those who work on a study at once: each has its leases, and knows those of the others."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any, Final

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from archcost.errors import InputError, Mistake, quoted
from archcost.study.records.database import locks
from archcost.study.records.database.addresses import Address
from archcost.study.records.database.leases import BEAT_S, Held, Lease, Leases
from archcost.study.records.database.network_folder import kind_of

WORKER: Final = "worker:"
"""What the lease is called by which a process is known to work on a study."""
TRIAL: Final = "trial:"
"""What the lease of a trial is called."""
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Team:
    """This process among all that work on a study; note: what there is to say of where the study is."""

    leases: Leases
    address: Address
    engine: sqlalchemy.Engine
    note: str = ""
    ended: Event = field(default_factory=Event)

    def alone(self) -> AbstractContextManager[None]:
        """Be the one of them inside the context: for what is read, decided and written in a moment."""
        return locks.alone(self.address, self.engine)

    def others(self) -> tuple[Held, ...]:
        """Return the other processes that work on the study."""
        living = self.leases.living(WORKER)
        return tuple(each for each in living.values() if each.owner != self.leases.me)

    def dropped(self, lease: Lease, what: str) -> bool:
        """Return whether a lease is another process's by now, and log that what came late is dropped."""
        if self.leases.holds(lease):
            return False
        _LOG.warning("%s of %s, lease %d, came too late and is dropped", what, lease.name, lease.number)
        return True

    def _beat(self) -> None:
        while not self.ended.wait(BEAT_S):
            with suppress(SQLAlchemyError, sqlite3.Error):  # a server that does not answer is asked again
                self.leases.renew()


@contextmanager
def joined(address: Address, engine: sqlalchemy.Engine, about: Mapping[str, Any]) -> Iterator[Team]:
    """Be one of those that work on a study inside the context; about: what others are told of this process.

    Raises InputError if the study's file is on a network file system and another process works on it: SQLite's locks
    do not hold there.
    """
    leases = Leases(engine)
    team = Team(leases, address, engine, _noted(address))
    if team.note and team.others():
        words = f"{quoted(str(address))} is on a network file system, where a second process would damage it"
        raise InputError(Mistake(f"{words}; allowed: one process, or a PostgreSQL as the 'storage' of several"))
    leases.tidy(WORKER)
    said = {"host": socket.gethostname(), "pid": os.getpid(), **about}
    mine = leases.take(f"{WORKER}{leases.me}", said)
    thread = Thread(target=team._beat, name="leases", daemon=True)
    thread.start()
    try:
        yield team
    finally:
        team.ended.set()
        thread.join()
        if mine is not None:
            with suppress(SQLAlchemyError, sqlite3.Error):  # it ends by itself
                leases.give_back(mine)


def _noted(address: Address) -> str:
    if address.file is None or not (kind := kind_of(address.file.parent)):
        return ""
    return f"{quoted(str(address))} is on a network file system ({kind}): only one process can work on it"
