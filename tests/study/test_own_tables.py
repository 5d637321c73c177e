"""The tables beside Optuna's can be made in every database that studies are kept in."""

from __future__ import annotations

import pytest
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.schema import CreateTable

from archcost.study.records.database.own_tables import REQUESTS


@pytest.mark.parametrize(
    ("dialect", "kind"),
    [(postgresql.dialect(), "TEXT"), (sqlite.dialect(), "TEXT"), (mysql.dialect(), "TEXT(16777216)")],
)
def test_long_texts_have_room(dialect: Dialect, kind: str) -> None:
    """A MySQL, which takes 64 KiB unless it is told, is told; a PostgreSQL knows no length of a text."""
    made = str(CreateTable(REQUESTS).compile(dialect=dialect))
    columns = dict(line.strip().split(maxsplit=1) for line in made.splitlines() if "NOT NULL" in line)
    assert [f"{kind} NOT NULL"] * 2 == [columns[name].rstrip(",") for name in ("asked", "given")]
