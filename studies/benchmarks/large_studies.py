"""Studies of many trials in SQLite and in PostgreSQL, filled in bulk in the form that archcost writes.

The trials are those of tests/support/stored_studies.py; where a search goes on with them, they have points of a space
of six choices of five, as the cells of NAS-Bench-201, and values from a formula.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import optuna
import sqlalchemy
from optuna.distributions import CategoricalDistribution, distribution_to_json
from optuna.storages._rdb.models import BaseModel
from optuna.trial import FrozenTrial

from archcost.search.domains import Choice, Pick, Point
from archcost.study.records.database import own_tables, storage
from archcost.study.records.database.addresses import address
from archcost.study.records.trials import Recorded

sys.path.append(str(Path(__file__).parents[2] / "tests" / "support"))

from servers import Server, postgresql
from stored_studies import Wanted, made

OPERATIONS: Final = Choice(("none", "skip", "conv1", "conv3", "pool"))
EDGES: Final = tuple(f"edge{edge}" for edge in range(6))
FEW, MANY = 5, 250
"""Samples in each of the eight bursts of a latency: hardly any, and 2,000 in all, as a second of 500 us each has."""
_COST: Final = (0.0, 0.1, 1.0, 3.0, 0.5)


def draw(pick: Pick) -> object:
    """Pick the operations of a cell."""
    return [pick(edge, OPERATIONS) for edge in EDGES]


def values(point: Point) -> tuple[float, float]:
    """Return a made-up error and a logarithm of a latency; they pull apart, and no two cells have the same error."""
    places = [OPERATIONS.options.index(point[edge]) for edge in EDGES]
    cost = sum(_COST[place] * (1 + edge / 3) for edge, place in enumerate(places))
    return 5 + 60 / (1 + cost) + random.Random(str(places)).uniform(0, 3), cost / 10


@dataclass
class Places:
    """Where studies are: a folder, and a server's databases, numbered; kinds: the storages that are wanted."""

    folder: Path
    server: Server | None
    _count: int = 0
    _templates: dict[str, str] = field(default_factory=dict)

    def copy(self, file: Path, kind: str, *, plain: bool) -> str:
        """Return the URL of a copy of a study in a file; plain: without the write-ahead log that archcost asks for."""
        self._count += 1
        if kind == "sqlite":
            new = self.folder / f"copy{self._count}.db"
            shutil.copy(file, new)
            if plain:
                connection = sqlite3.connect(new)
                connection.execute("PRAGMA journal_mode=DELETE")
                connection.close()
            return f"sqlite:///{new}"
        assert self.server is not None
        if file.name not in self._templates:
            self._templates[file.name] = f"filled{len(self._templates)}"
            self.server.sql(f"CREATE DATABASE {self._templates[file.name]}")
            _copied(file, self.server.url(self._templates[file.name]))
        self.server.sql(f"CREATE DATABASE copy{self._count} TEMPLATE {self._templates[file.name]}")
        return self.server.url(f"copy{self._count}")

    def drop(self, url: str) -> None:
        """Remove a copy."""
        if url.startswith("sqlite"):
            for each in self.folder.glob(f"{Path(url.removeprefix('sqlite:///')).name}*"):
                each.unlink()
        elif self.server is not None:
            self.server.sql(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")


@contextmanager
def places(folder: Path, kinds: list[str]) -> Iterator[Places]:
    """Yield where studies are made, with a PostgreSQL that ends with the context if it is wanted."""
    if "postgresql" not in kinds:
        yield Places(folder, None)
        return
    with postgresql() as server:
        yield Places(folder, server)


def _copied(file: Path, url: str) -> None:
    """Copy all tables of a study in a file into an empty database of a PostgreSQL."""
    there, here = sqlalchemy.create_engine(url), sqlalchemy.create_engine(f"sqlite:///{file}")
    storage.close(optuna.storages.RDBStorage(url))  # makes the tables
    own_tables.make(there)
    with there.begin() as into, here.connect() as source:
        for table in BaseModel.metadata.sorted_tables:
            if table.name == "version_info":
                continue
            rows = [dict(row) for row in source.execute(sqlalchemy.select(table)).mappings()]
            for first in range(0, len(rows), 1000):
                into.execute(table.insert(), rows[first : first + 1000])
            for column in table.primary_key.columns if rows else ():  # the next row has the next number
                name = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
                into.exec_driver_sql(f"SELECT setval({name}, max({column.name})) FROM {table.name}")  # noqa: S608  # Optuna's own names
    with there.connect().execution_options(isolation_level="AUTOCOMMIT") as into:
        into.exec_driver_sql("ANALYZE")
    there.dispose()
    here.dispose()


def shown(folder: Path, trials: int, size: int = MANY) -> Path:
    """Return the file of a study whose networks have real graphs, for commands; it is kept in the folder."""
    file = folder / f"shown{trials}x{size}.db"
    if not file.exists():
        _written(file, made(wanted=Wanted(trials=trials, size=size)).study, trials)
    return file


def searched(folder: Path, trials: int, size: int = FEW) -> Path:
    """Return the file of a study that a search goes on with, kept in the folder: trials of made-up cells, all ended."""
    file = folder / f"searched{trials}x{size}.db"
    if file.exists():
        return file
    study = made(wanted=Wanted(trials=max(trials, 20), confirmed=0, only="complete", size=size)).study
    chance, kinds = random.Random(trials), CategoricalDistribution(OPERATIONS.options)
    for each in study.get_trials(deepcopy=False):
        point: Point = {edge: chance.choice(OPERATIONS.options) for edge in EDGES}
        each.distributions = dict.fromkeys(EDGES, kinds)
        each.params, each.values = point, values(point)
    _written(file, study, trials)
    return file


def _written(file: Path, study: Recorded, trials: int) -> None:
    """Write a study, and of its trials the first ones, as rows: Optuna's own way takes a transaction for each trial."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def begin(store: optuna.storages.RDBStorage) -> None:
        new = optuna.create_study(study_name="small", storage=store, directions=["minimize"] * 2)
        for name, value in study.user_attrs.items():
            new.set_user_attr(name, value)
        with store.engine.begin() as connection:
            for table, rows in _rows(study.get_trials(deepcopy=False)[:trials]).items():
                connection.execute(BaseModel.metadata.tables[table].insert(), rows)

    storage.close(storage.opened(address(str(file), Path.cwd()), begin))


def _rows(every: list[FrozenTrial]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of trials, by table."""
    rows: dict[str, list[dict[str, Any]]] = {f"trial{name}": [] for name in ("s", "_params", "_values")}
    rows["trial_user_attributes"] = []
    for each in every:
        mark = {"trial_id": each.number + 1}
        dates = {"datetime_start": each.datetime_start, "datetime_complete": each.datetime_complete}
        rows["trials"].append({**mark, "number": each.number, "study_id": 1, "state": each.state.name, **dates})
        for name, value in each.params.items():
            kind = each.distributions[name]
            stored = {"param_value": kind.to_internal_repr(value), "distribution_json": distribution_to_json(kind)}
            rows["trial_params"].append({**mark, "param_name": name, **stored})
        for place, value in enumerate(each.values or ()):
            rows["trial_values"].append({**mark, "objective": place, "value": value, "value_type": "FINITE"})
        for name, value in each.user_attrs.items():
            rows["trial_user_attributes"].append({**mark, "key": name, "value_json": json.dumps(value)})
    return rows
