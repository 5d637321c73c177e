"""Teams of one process, whose leases are in memory."""

from __future__ import annotations

import sqlalchemy
from sqlalchemy.pool import StaticPool

from archcost.study.records.database import own_tables
from archcost.study.records.database.addresses import Address
from archcost.study.records.database.leases import Leases
from archcost.study.records.database.team import Team


def memory() -> sqlalchemy.Engine:
    """Return an empty table of leases in memory, for any thread."""
    made = sqlalchemy.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    own_tables.make(made)
    return made


def lonely() -> Team:
    """Return a team of this process alone."""
    engine = memory()
    return Team(Leases(engine), Address(None, "memory"), engine)
