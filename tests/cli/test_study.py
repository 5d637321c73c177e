"""What the study commands print of a storage that somebody else wrote: its texts stay texts."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from commands import run
from stored_studies import Wanted, made

from archcost.study.records import trials
from archcost.study.records.part import achieved
from archcost.study.records.reasons import Reason
from archcost.study.records.stored import Stored
from archcost.study.records.trials import Begun, Ended, remember

ATTACK = "=1+1\x1b[2J\nnext\u202e"
SHOWN = r"=1+1\x1b[2J\nnext\u202e"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A storage in which every text attacks a terminal or a spreadsheet; its best network too."""
    file = tmp_path_factory.mktemp("hostile") / "study.db"
    stored = made(file, Wanted(trials=20, hostile=True))
    best = stored.front().members[0]
    assert best.trial.begun is not None
    assert best.part.score is not None
    begun = replace(best.trial.begun, family=ATTACK, origin=ATTACK, identity="another")
    _tried(stored, begun, Ended((replace(best.part, score=replace(best.part.score, error=0.0)),)))
    _tried(stored, begun, Ended((best.part,), reason=Reason("bug", ATTACK)))
    remember(stored.study, "about", {**stored.study.user_attrs["archcost:about"], "labels": [ATTACK, "latency"]})
    return str(file)


def _tried(stored: Stored, begun: Begun, ended: Ended) -> None:
    """Add a trial to a study: failed where it has a reason."""
    trial = stored.study.ask()
    trials.begin(trial, begun)
    if ended.reason:
        trials.fail(stored.study, trial, ended)
    else:
        trials.end(stored.study, trial, ended, achieved(ended.parts[0], stored.objectives))


def _acting(text: str) -> set[str]:
    """Return the characters a terminal would act on."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")} - {"\n"}


@pytest.mark.parametrize("command", [("front", "--format", "csv"), ("table",)])
def test_tables_for_spreadsheets_act_on_nothing(capsys: pytest.CaptureFixture[str], hostile: str, command: str) -> None:
    """Every trial is one line, and nothing in it a formula or an escape character; numbers stay numbers."""
    code, out, err = run(capsys, "study", command[0], hostile, *command[1:])
    assert (0, set()) == (code, _acting(out + err))
    heads, *rows = csv.reader(io.StringIO(out))
    assert len(out.splitlines()) == 1 + len(rows)
    families = [row[heads.index("family")] for row in rows]
    assert f"'{SHOWN}" in families
    assert not [cell for row in (heads, *rows) for cell in row if cell.startswith(("=", "+", "@"))]
    assert all(float(row[heads.index("params")]) > 0 for row in rows if row[heads.index("params")])


@pytest.mark.parametrize(
    "command",
    [("status",), ("status", "--json"), ("front",), ("front", "--json"), ("table", "--format", "json")],
)
def test_nothing_printed_acts_on_a_terminal(
    capsys: pytest.CaptureFixture[str], hostile: str, command: tuple[str, ...]
) -> None:
    """Tables show escapes, JSON holds the texts as they are."""
    code, out, err = run(capsys, "study", command[0], hostile, *command[1:])
    assert (0, set()) == (code, _acting(out + err))
    assert (json.dumps(ATTACK) if "json" in command[-1] else SHOWN) in out


def test_a_file_that_is_written_is_what_is_printed(
    capsys: pytest.CaptureFixture[str], hostile: str, tmp_path: Path
) -> None:
    """`-o` changes where, not what."""
    path = tmp_path / "trials.csv"
    assert 0 == run(capsys, "study", "table", hostile, "-o", str(path))[0]
    assert run(capsys, "study", "table", hostile)[1] == path.read_text("utf-8")


@pytest.mark.parametrize("options", [(), ("--format", "json")])
def test_the_first_name_of_the_table_stays(
    capsys: pytest.CaptureFixture[str], hostile: str, options: tuple[str, ...]
) -> None:
    """`study export` prints what `study table` prints."""
    first = run(capsys, "study", "export", hostile, *options)
    assert first == run(capsys, "study", "table", hostile, *options)
    assert (0, True) == (first[0], len(first[1].splitlines()) > 20)
