"""Requests to measure: who trains leaves them in the storage, who has the device answers."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Delete, Engine, Insert, Select, Update, select
from sqlalchemy.exc import IntegrityError

from archcost.study.records.database.outage import patiently
from archcost.study.records.database.own_tables import REQUESTS, there

MEASURE: Final = "measure:"
"""What the lease of a request begins with."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be measured on a target; name: TRIAL:TARGET, with :PLACE if it is one setup measured again."""

    name: str
    target: str
    asked: str


def named(trial: int, target: str, place: int | None = None) -> str:
    """Return the name of a request."""
    return f"{trial}:{target}" if place is None else f"{trial}:{target}:{place}"


@dataclass(frozen=True)
class Requests:
    """The requests of a storage."""

    engine: Engine

    def ask(self, request: Request) -> None:
        """Leave a request; one of that name is left as it is."""
        values = {"name": request.name, "target": request.target, "asked": request.asked, "given": ""}
        with suppress(IntegrityError):  # it was heard before the server stopped answering
            patiently(self._write, REQUESTS.insert().values(**values))

    def waiting(self, targets: Collection[str] | None = None) -> tuple[Request, ...]:
        """Return the requests on some targets, or on any, that nobody has answered."""
        query = select(REQUESTS.c.name, REQUESTS.c.target, REQUESTS.c.asked).where(REQUESTS.c.given == "")
        if targets is not None:
            query = query.where(REQUESTS.c.target.in_(list(targets)))
        return tuple(Request(*row) for row in patiently(self._read, query))

    def give(self, name: str, given: str) -> None:
        """Answer a request."""
        patiently(self._write, REQUESTS.update().where(REQUESTS.c.name == name).values(given=given))

    def given(self, name: str) -> str:
        """Return the answer to a request, '' if there is none yet."""
        found = patiently(self._read, select(REQUESTS.c.given).where(REQUESTS.c.name == name))
        return str(found[0][0]) if found else ""

    def forget(self, trial: int) -> None:
        """Remove the requests of a trial that is over."""
        mine = REQUESTS.c.name.startswith(f"{trial}:", autoescape=True)
        patiently(self._write, REQUESTS.delete().where(mine))

    def _read(self, query: Select[Any]) -> list[tuple[str, ...]]:
        with self.engine.connect() as connection:
            return [tuple(map(str, row)) for row in connection.execute(query)]

    def _write(self, statement: Insert | Update | Delete) -> None:
        with self.engine.begin() as connection:
            connection.execute(statement)


def shown(engine: Engine) -> int:
    """Return how many requests wait in a storage, 0 if it is one of an earlier version."""
    return len(Requests(engine).waiting()) if there(engine) else 0
