"""Storages that somebody has changed: every command reads them, or says in one message what is wrong."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from commands import run
from written_before import FIRST

STATEMENTS = [
    "DROP TABLE trial_params",
    "DROP TABLE trial_intermediate_values",
    "DROP TABLE study_system_attributes",
    "ALTER TABLE trials DROP COLUMN datetime_start",
    "UPDATE trials SET state = 'WEIRD'",
    "UPDATE trials SET state = 'COMPLETE'",
    "UPDATE trials SET state = 'RUNNING'",
    "UPDATE trials SET number = NULL",
    "UPDATE trials SET number = 7",
    "UPDATE trials SET study_id = 9",
    "UPDATE trials SET datetime_start = 'nonsense'",
    "UPDATE trial_params SET distribution_json = 'x'",
    "UPDATE trial_params SET distribution_json = '{}'",
    "UPDATE trial_params SET param_value = 1e9",
    "UPDATE trial_values SET value = 'abc'",
    "UPDATE trial_values SET value = NULL",
    "UPDATE trial_values SET value_type = 'ZZ'",
    "DELETE FROM trial_values WHERE objective = 0",
    "UPDATE trial_user_attributes SET value_json = 'x'",
    "UPDATE trial_user_attributes SET value_json = '[]'",
    "UPDATE trial_user_attributes SET value_json = 'null'",
    "UPDATE OR IGNORE trial_user_attributes SET key = 'archcost:rung:x' WHERE key LIKE 'archcost:rung:%'",
    "UPDATE OR IGNORE trial_user_attributes SET key = 'archcost:columns:1' WHERE key LIKE 'archcost:rung:%'",
    "UPDATE study_user_attributes SET value_json = 'x'",
    "UPDATE study_user_attributes SET value_json = '{}'",
    "UPDATE study_user_attributes SET value_json = '{\"schema\": 1}' WHERE key = 'archcost:about'",
    "UPDATE study_user_attributes SET value_json = '[null, 1]' WHERE key = 'archcost:reference'",
    "UPDATE study_user_attributes SET value_json = '[1]' WHERE key = 'archcost:reference'",
    'UPDATE study_user_attributes SET value_json = \'{"seeds": [1], "scores": [], "tests": [], "samples": []}\' '
    "WHERE key LIKE 'archcost:confirmed:%'",
    "UPDATE study_user_attributes SET value_json = json_set(value_json, '$.same.fit', json('[\"x\"]')) "
    "WHERE key = 'archcost:about'",
    "UPDATE study_directions SET direction = 'UP'",
    "DELETE FROM study_directions",
    "UPDATE alembic_version SET version_num = 'zzz'",
    "DELETE FROM alembic_version",
    "DELETE FROM version_info",
    "UPDATE studies SET study_name = char(27) || '[31m' || char(8238)",
]
VALUES = (None, -1, 0, 1e400, "x", "\x1b[31m", [], {}, True, 10**30, [[[]]], -0.5, "")
COMMANDS = (
    ("study", "status", "study.db"),
    ("study", "front", "study.db"),
    ("study", "export", "study.db"),
    ("export", "study.db", "--trial", "0", "--to", "yaml"),
    ("report", "study.db", "-o", "page.html"),
)


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """A copy of a study's storage to be changed, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(FIRST / "study.db", "study.db")
    with closing(sqlite3.connect("study.db")) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        yield connection


def told(capsys: pytest.CaptureFixture[str]) -> None:
    """Check what every command says."""
    for command in COMMANDS:
        code, out, err = run(capsys, *command)
        assert code in (0, 2), (command, err)
        assert "Traceback" not in err
        assert "\x1b" not in out + err
        messages = sum(line.startswith("archcost: ") for line in err.splitlines())
        assert code == 0 or 1 == messages or err.startswith("trial 0:"), err


@pytest.mark.parametrize("statement", STATEMENTS)
def test_what_others_changed_is_read_or_refused(
    capsys: pytest.CaptureFixture[str], storage: sqlite3.Connection, statement: str
) -> None:
    """Tables, states, distributions, values, attributes and versions that are none: exit code 2 with words."""
    storage.execute(statement)
    storage.commit()
    told(capsys)


@pytest.mark.parametrize("seed", range(300 if "ARCHCOST_FAULTS" in os.environ else 15))
def test_an_attribute_may_hold_anything(
    capsys: pytest.CaptureFixture[str], storage: sqlite3.Connection, seed: int
) -> None:
    """One value somewhere inside what archcost keeps of a study or a trial is another one."""
    chance = random.Random(seed)
    table, key = chance.choice([("trial_user_attributes", "trial_user_attribute_id"),
                                ("study_user_attributes", "study_user_attribute_id")])  # fmt: skip
    rows = storage.execute(f"SELECT {key}, value_json FROM {table}").fetchall()  # noqa: S608  # two tables of ours
    row, text = chance.choice(rows)
    tree = json.loads(text)
    changed = _put(tree, chance.choice(list(_places(tree))), chance.choice(VALUES))
    storage.execute(f"UPDATE {table} SET value_json = ? WHERE {key} = ?", (json.dumps(changed), row))  # noqa: S608
    storage.commit()
    told(capsys)


def _places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    keys = list(tree) if isinstance(tree, dict) else range(min(len(tree), 2)) if isinstance(tree, list) else ()
    for key in keys:
        yield from _places(tree[key], (*path, key))


def _put(tree: Any, path: tuple[Any, ...], value: object) -> Any:
    if not path:
        return value
    inside = tree
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return tree
