"""Storages, weights and JSON of earlier versions: read as they were written, shown as they were shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import run
from written_before import FIRST, copied, killed

from archcost.study.records import weights_folder
from archcost.study.records.database.addresses import address
from archcost.study.records.stored import find


def _json(text: str) -> Any:
    return json.loads(text)


def test_a_front_of_before_is_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Members, values, chances, intervals and networks are those that the earlier version printed."""
    code, out, _ = run(capsys, "study", "front", str(copied(tmp_path)), "--json")
    now, before = _json(out), _json((FIRST / "front.json").read_text("utf-8"))
    assert 0 == code
    for each in now["members"] + now["left"]:  # doubts as values were added since: `why` says the same
        assert [{"way": 0, "kind": "warmup", "value": 17, "limit": None}] == each.pop("doubts")
        assert each.pop("way") is None  # ways to run were added since
    assert {**before, "archcost": now["archcost"], "study": now["study"]} == now


def test_trials_of_before_are_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Every row of the table, whatever became of its trial; a whole network had column 0 then, and has none now."""
    code, out, _ = run(capsys, "study", "export", str(copied(tmp_path)), "--format", "json")
    before = [{**row, "column": row["column"] or None} for row in _json((FIRST / "trials.json").read_text("utf-8"))]
    now = _json(out)
    assert {None} == {row.pop("way") for row in now}  # ways to run were added since
    assert (0, before) == (code, now)


def test_weights_of_before_are_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The network of a trial, and a column of it, come with the weights that the earlier version kept."""
    file = copied(tmp_path)
    for name in ("0", "0/2"):
        code, out, err = run(capsys, "export", str(file), "--trial", name, "--to", "pt2", "-o", str(tmp_path / "x.pt2"))
        assert (0, True) == (code, "weights of trial 0" in out), err


def test_weights_that_two_storages_shared_are_nobodys(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The earlier version gave two storages one folder: whose weights are in it cannot be told."""
    file = copied(tmp_path)
    shutil.copy(tmp_path / "study.db", tmp_path / "study.sqlite")
    code, _, err = run(capsys, "export", str(file), "--trial", "0", "--to", "pt2", "-o", str(tmp_path / "x.pt2"))
    assert (2, True) == (code, "no weights of trial 0" in err)


def test_weights_of_another_network_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A file without a mark has to fit the network's graph."""
    file = copied(tmp_path)
    shutil.copy(tmp_path / "study.weights" / "0.pt", tmp_path / "study.weights" / "1.pt")
    names = [each.number for each in find(address("study.db", tmp_path)).trials() if each.state == "complete"]
    other = next(number for number in names if number != 0)
    shutil.copy(tmp_path / "study.weights" / "0.pt", tmp_path / "study.weights" / f"{other}.pt")
    code, _, err = run(capsys, "export", str(file), "--trial", str(other), "--to", "pt2", "-o", str(tmp_path / "x.pt2"))
    assert (2, True) == (code, "cannot read" in err)


def test_a_study_of_before_goes_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What was tried stays, more is tried; new weights are kept in a folder that is marked, the old ones stay."""
    file = copied(tmp_path)
    before = find(address("study.db", tmp_path)).trials()
    code, _, err = run(capsys, "study", "run", str(file), "--trials", "6", "--set", "confirm.members=0")
    stored = find(address("study.db", tmp_path))
    assert 0 == code, err
    assert before == stored.trials()[: len(before)]
    assert len(before) < len(stored.trials())
    assert (tmp_path / "study.weights" / "0.pt").is_file()
    assert f'{{"study": "{stored.identity}"}}\n' == (tmp_path / "study.db.weights" / "study.json").read_text("utf-8")
    assert [(tmp_path / "study.weights" / "0.pt", True)] == [weights_folder.files(stored)(stored.trials()[0])]


def test_what_a_killed_run_of_before_left_is_read(tmp_path: Path) -> None:
    """The trial that had ended is in the log alone."""
    states = [each.state for each in find(address(str(killed(tmp_path)), tmp_path)).trials()]
    assert ["complete", "running"] == states


@pytest.mark.parametrize("name", ["profile.json", "counts.json", "compare.json"])
def test_json_of_before_becomes_a_report(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    """What `profile --json` and `compare --json` printed is read by `report`."""
    code, _, err = run(capsys, "report", str(FIRST / name), "-o", str(tmp_path / "page.html"))
    assert (0, True) == (code, (tmp_path / "page.html").is_file()), err
