"""The tables that archcost has beside Optuna's: leases of work, and requests to measure."""

from __future__ import annotations

from typing import Final

import sqlalchemy
from sqlalchemy import BigInteger, Column, Double, Engine, MetaData, String, Table, Text

_TABLES: Final = MetaData()
_LONG: Final = Text().with_variant(Text(2**24), "mysql", "mariadb")
"""Text of a graph and its samples: a MySQL is told how long it may be, a PostgreSQL must not be."""

LEASES: Final = Table(
    "archcost_leases",
    _TABLES,
    Column("name", String(250), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("owner", String(200), nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("until_s", Double, nullable=False),
    Column("about", Text, nullable=False),
)
REQUESTS: Final = Table(
    "archcost_requests",
    _TABLES,
    Column("name", String(250), primary_key=True),
    Column("target", String(250), nullable=False),
    Column("asked", _LONG, nullable=False),
    Column("given", _LONG, nullable=False),
)


def make(engine: Engine) -> None:
    """Make the tables of a storage that has none."""
    _TABLES.create_all(engine)


def there(engine: Engine) -> bool:
    """Return whether a storage has the tables: one of an earlier version has none."""
    return sqlalchemy.inspect(engine).has_table(REQUESTS.name)
