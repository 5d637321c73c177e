"""Leases: who does which work on a study, so that of many processes one does each.

A lease is a row of one table beside Optuna's. It is taken by one conditional UPDATE that raises its number, and kept
by a beat. Who stalled for longer than a lease lasts finds another number there: what it did meanwhile is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, field
from threading import Lock
from typing import Any, Final
from uuid import uuid4

import sqlalchemy
from sqlalchemy import Double, Engine, func, literal, select
from sqlalchemy.exc import IntegrityError

from archcost import scratch
from archcost.scratch import Owner
from archcost.study.records.database.clock import now_s
from archcost.study.records.database.outage import patiently
from archcost.study.records.database.own_tables import LEASES as TABLE
from archcost.study.records.database.own_tables import there

BEAT_S: Final = 5.0
"""How often a lease is renewed."""
LASTS_S: Final = 30.0
"""How long a lease lasts after its last beat."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A right to do some work; number: which one of that name, with which all that is written of it goes."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Held:
    """A lease as others see it; about: what its holder said of it; lives: whether its holder is heard of."""

    lease: Lease
    owner: str
    about: Mapping[str, Any]
    lives: bool


@dataclass(slots=True)
class _Row:
    """A lease as it is stored; left_s: until it ends, by the server's clock."""

    lease: Lease
    owner: str
    beat: int
    left_s: float
    about: str


def _now_s(engine: Engine) -> sqlalchemy.ColumnElement[float]:
    """Return the time by which a lease ends, for a statement: a server's own, of a file that of its one machine."""
    match engine.dialect.name:
        case "postgresql":
            return func.extract("epoch", func.clock_timestamp()).cast(Double)
        case "mysql" | "mariadb":
            return func.unix_timestamp(func.now(6)).cast(Double)
        case _:
            return literal(now_s())


@dataclass
class Watch:
    """What one process has seen of the leases of others: a holder lives as long as its lease is renewed.

    clock: seconds that no change of a system's clock moves.
    """

    clock: Callable[[], float] = now_s
    _seen: dict[str, tuple[Lease, str, int, float]] = field(default_factory=dict)

    def lives(self, row: _Row) -> bool:
        """Return whether a lease's holder lives: as far as this process can see, and has waited to see.

        A lease is over at once if its holder is known to have ended on this machine. If its time is over by the
        server's clock, it ends after two beats that did not come; and if that clock was moved, when none has come for
        as long as a lease lasts.
        """
        now = self.clock()
        said = (row.lease, row.owner, row.beat)
        known = self._seen.get(row.lease.name)
        if known is None or known[:3] != said:
            known = self._seen[row.lease.name] = (*said, now)
        silent_s = now - known[3]
        if _is_dead(row.owner):
            return False
        return silent_s < (2.5 * BEAT_S if row.left_s < 0 else LASTS_S + BEAT_S)


def _is_dead(owner: str) -> bool:
    known = owner_of(owner)
    return known is not None and scratch.is_dead(known)


def owner_of(text: str) -> Owner | None:
    """Return the process that a lease's owner names, None if that is none."""
    parts = text.split("-")
    if len(parts) != 6 or not (parts[0].isdecimal() and parts[1].isdecimal()):  # an Owner's, and a mark
        return None
    return Owner(int(parts[0]), int(parts[1]), *parts[2:5])


class Leases:
    """The leases that this process holds in a storage, and those of others.

    A thread of its holder calls `renew` every `BEAT_S`; what is lost is then known by `lost`.
    """

    def __init__(self, engine: Engine, watch: Watch | None = None) -> None:
        self._engine, self._watch = engine, watch or Watch()
        self.me: Final = "-".join([*map(str, astuple(scratch.this())), uuid4().hex])
        self._lock = Lock()
        self._mine: dict[str, Lease] = {}
        self._lost: set[Lease] = set()

    def take(self, name: str, about: Mapping[str, Any] | None = None) -> Lease | None:
        """Return the lease of a name, None if another process that lives has it; about: what others are told of it."""
        return patiently(self._take, name, json.dumps(about or {}))

    def _take(self, name: str, about: str) -> Lease | None:
        row = next(iter(_rows(self._engine, TABLE.c.name == name)), None)
        if row is not None and row.owner == self.me and name not in self._mine:
            return self._noted(row.lease)  # taken, before the server stopped answering
        if row is not None and row.owner and self._lives(row):
            return None
        lease = Lease(name, row.lease.number + 1 if row else 1)
        new = {"owner": self.me, "beat": 0, "until_s": self._end, "about": about}
        return self._noted(lease) if self._taken(row, lease, new) else None

    def _noted(self, lease: Lease) -> Lease:
        with self._lock:
            self._mine[lease.name] = lease
        return lease

    def _taken(self, row: _Row | None, lease: Lease, new: Mapping[str, Any]) -> bool:
        """Write a lease; return whether no other process was faster."""
        if row is None:
            with suppress(IntegrityError), self._engine.begin() as connection:
                connection.execute(TABLE.insert().values(name=lease.name, number=lease.number, **new))
                return True
            return False
        same = (TABLE.c.name == lease.name) & (TABLE.c.number == row.lease.number) & (TABLE.c.beat == row.beat)
        same &= TABLE.c.owner == row.owner
        with self._engine.begin() as connection:
            return connection.execute(TABLE.update().where(same).values(number=lease.number, **new)).rowcount == 1

    def renew(self) -> None:
        """Say that this process lives; what another one has taken is lost."""
        with self._lock:
            mine = dict(self._mine)
        if not mine:
            return
        with self._engine.begin() as connection:
            more = {"beat": TABLE.c.beat + 1, "until_s": self._end}
            connection.execute(TABLE.update().where(TABLE.c.owner == self.me).values(**more))
            query = select(TABLE.c.name, TABLE.c.number).where(TABLE.c.owner == self.me)
            still = {Lease(name, number) for name, number in connection.execute(query)}
        with self._lock:
            self._lost |= {each for each in mine.values() if each not in still and self._mine.get(each.name) == each}

    def lost(self, lease: Lease) -> bool:
        """Return whether another process is known to have taken a lease of this one."""
        with self._lock:
            return lease in self._lost

    def holds(self, lease: Lease) -> bool:
        """Return whether a lease is this process's still, as the storage says: what is written of it counts."""
        rows = patiently(_rows, self._engine, TABLE.c.name == lease.name)
        return any(each.lease == lease and each.owner == self.me for each in rows)

    def give_back(self, lease: Lease) -> None:
        """End a lease that this process may hold; its number stays, so that none is given twice."""
        with self._lock:
            self._lost.discard(lease)
            if self._mine.get(lease.name) == lease:
                del self._mine[lease.name]
        same = (TABLE.c.name == lease.name) & (TABLE.c.number == lease.number) & (TABLE.c.owner == self.me)
        patiently(self._write, TABLE.update().where(same).values(owner=""))

    def tidy(self, prefix: str) -> None:
        """Remove the leases of a prefix that nobody holds, or whose process has ended here; their names are used once.

        Not those of other names: their numbers stay.
        """
        rows = patiently(_rows, self._engine, TABLE.c.name.startswith(prefix, autoescape=True))
        over = [row.lease.name for row in rows if not row.owner or _is_dead(row.owner)]
        if over:
            patiently(self._write, TABLE.delete().where(TABLE.c.name.in_(over)))

    def every(self, prefix: str = "") -> tuple[Held, ...]:
        """Return the leases that somebody holds, those whose holder is not heard of any more among them."""
        held = (TABLE.c.owner != "") & TABLE.c.name.startswith(prefix, autoescape=True)
        rows = patiently(_rows, self._engine, held)
        return tuple(Held(row.lease, row.owner, json.loads(row.about), self._lives(row)) for row in rows)

    def living(self, prefix: str = "") -> dict[str, Held]:
        """Return the leases whose holders live, by name; this process's own among them."""
        return {each.lease.name: each for each in self.every(prefix) if each.lives}

    @property
    def _end(self) -> sqlalchemy.ColumnElement[float]:
        """When a lease ends whose last beat is now."""
        return _now_s(self._engine) + LASTS_S

    def _write(self, statement: sqlalchemy.Update | sqlalchemy.Delete) -> None:
        with self._engine.begin() as connection:
            connection.execute(statement)

    def _lives(self, row: _Row) -> bool:
        return row.owner == self.me or self._watch.lives(row)


def _rows(engine: Engine, where: sqlalchemy.ColumnElement[bool]) -> Sequence[_Row]:
    left_s = TABLE.c.until_s - _now_s(engine)
    columns = (TABLE.c.name, TABLE.c.number, TABLE.c.owner, TABLE.c.beat, left_s, TABLE.c.about)
    with engine.connect() as connection:
        found = connection.execute(select(*columns).where(where))
        return [_Row(Lease(name, number), *rest) for name, number, *rest in found]


def shown(engine: Engine) -> tuple[Held, ...]:
    """Return the leases that somebody holds, by one look: whether a holder lives is as its lease says.

    () if the storage is one of an earlier version.
    """
    if not there(engine):
        return ()
    rows, local = _rows(engine, TABLE.c.owner != ""), engine.dialect.name == "sqlite"
    return tuple(Held(row.lease, row.owner, json.loads(row.about), _goes_on(row, local=local)) for row in rows)


def _goes_on(row: _Row, *, local: bool) -> bool:
    owner, own = owner_of(row.owner), scratch.this()
    if owner is None or scratch.is_dead(owner, own) or (local and owner.boot != own.boot):
        return False
    return row.left_s >= 0


@contextmanager
def held(leases: Leases, name: str, about: Mapping[str, Any] | None = None) -> Iterator[Lease | None]:
    """Hold a lease inside the context, None if another process has it."""
    lease = leases.take(name, about)
    try:
        yield lease
    finally:
        if lease is not None:
            leases.give_back(lease)
