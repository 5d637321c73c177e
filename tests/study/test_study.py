"""A study from Python: run from a script without a guard, off the main thread, interrupted, and read again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from forked import Forked

import archcost
from archcost.study.study import Member, Study

GIVEN: dict[str, Any] = {
    "models": [
        {"family": "fractal", "columns": {"int": [1, 2]}, "widths": {"scale": [8, 16], "by": {"choice": [1, 2]}}},
    ],
    "data": {"name": "digits", "examples": 300},
    "objectives": [{"error": "min"}, {"latency": "min", "target": "fake", "threads": 1}],
    "fit": {"epochs": 1},
    "search": {"trials": 3, "seed": 3},
    "confirm": {"members": 1, "seeds": 2},
}
SCRIPT = f"""
import archcost

print("main runs")
study = archcost.Study({GIVEN!r}).run(trials=2, workers=2)
print(len(study.front()) > 0, study.best(latency="1 s").take is not None, len(study.frame()) >= 2)
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A small study, run to its end once, off the main thread."""
    folder = tmp_path_factory.mktemp("from-python")
    file = folder / "study.yaml"
    file.write_text("\n".join(f"{key}: {value!r}" for key, value in GIVEN.items()).replace("'", '"'), "utf-8")
    study = archcost.Study(file)
    found: list[Study] = []
    thread = threading.Thread(target=lambda: found.append(study.run()))
    thread.start()
    thread.join()
    assert found == [study]
    return study


def test_a_front_has_typed_members(done: Study) -> None:
    """In base units, with the YAML of a network that can be loaded; one of them is confirmed."""
    members = done.front()
    assert all(isinstance(each, Member) and {*each.objectives} == {"error", "latency_s"} for each in members)
    (sure,) = [each for each in members if each.confirmed] or [None]
    assert sure is None or (sure.seeds, {*sure.intervals}) == (2, {"error", "latency_s"})
    assert len({each.name for each in members}) == len(members) > 0


def test_a_member_is_a_network(done: Study, tmp_path: Path) -> None:
    """Its YAML is the network whose counts it has."""
    first = done.front()[0]
    (tmp_path / "network.yaml").write_text(first.yaml, "utf-8")
    found = archcost.load(tmp_path / "network.yaml")
    assert (first.params, first.macs, first.digest) == (found.cost.params, found.cost.macs, found.digest)


def test_the_best_is_what_the_command_chooses(done: Study) -> None:
    """Numbers are in base units, texts have units; nothing in the budget is no error."""
    assert done.best(latency=1.0).to_dict() == done.best(latency="1 s").to_dict()
    found = done.best(latency=1.0, params="1M")
    assert found.take in {each.name for each in done.front()}
    assert found.budget == {"latency": 1.0, "params": 1_000_000}
    nothing = done.best(params=1)
    assert (nothing.take, nothing.nearest is not None) == (None, True)


def test_what_is_no_limit_is_a_mistake(done: Study) -> None:
    """With its name."""
    with pytest.raises(archcost.InputError, match="latency: given '5'; allowed: a time above 0 in us, ms or s"):
        done.best(latency="5")
    with pytest.raises(archcost.InputError, match="given -1; allowed: an integer of at least 1"):
        done.best(macs=-1)


def test_a_frame_has_a_row_for_each_trial(done: Study) -> None:
    """With the columns of `archcost study table`."""
    frame = done.frame()
    assert {"trial", "error", "latency_s", "on_front", "params"} <= {*frame.columns}
    assert [*frame["number"].unique()] == [0, 1, 2]
    assert {*frame.loc[frame["on_front"], "trial"]} == {each.name for each in done.front()}


def test_a_study_goes_on(done: Study) -> None:
    """Run again with as many trials, nothing is tried; it is the same study."""
    before = done.frame()
    assert [*before["trial"]] == [*done.run(trials=3).frame()["trial"]]


def test_a_script_without_a_guard_runs_once(tmp_path: Path) -> None:
    """Children do not import it again; a mapping's study is stored in the current folder."""
    (tmp_path / "script.py").write_text(SCRIPT, "utf-8")
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False, env=_environment()
    )
    assert (ended.stdout.splitlines(), ended.returncode) == (["main runs", "True True True"], 0), ended.stderr
    assert (tmp_path / "study.db").is_file()


def test_an_interruption_is_passed_on(tmp_path: Path) -> None:
    """As KeyboardInterrupt, with what had ended kept, and no child left."""
    given = {**GIVEN, "search": {"trials": 1000, "seed": 1}, "fit": {"epochs": 30}, "data": {"name": "digits"}}
    script = (
        "import archcost, multiprocessing\n"
        f"study = archcost.Study({given!r})\n"
        "try:\n"
        "    study.run()\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', multiprocessing.active_children(), len(study.frame()) > 0)\n"
    )
    with Forked(script, [], tmp_path) as process:
        end = time.monotonic() + 120
        while not _under_way(tmp_path) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        ended = process.ended()
    assert (ended.stdout, ended.returncode) == ("interrupted [] True\n", 0), ended.stderr


def _under_way(folder: Path) -> bool:
    """Return whether a trial of the study has begun."""
    study = archcost.Study({**GIVEN, "storage": str(folder / "study.db")})
    try:
        return len(study.frame()) > 0
    except archcost.InputError:  # not yet made
        return False


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_mistakes_of_a_mapping_name_their_keys() -> None:
    """All at once; there is no line to name."""
    with pytest.raises(archcost.InputError) as wrong:
        archcost.Study({**GIVEN, "objectives": [{"error": "max"}], "extra": 1})
    said = [str(each) for each in wrong.value.mistakes]
    assert any("objectives.0.error" in each for each in said)
    assert any("extra" in each for each in said)


def test_a_mapping_holds_plain_values() -> None:
    """What YAML could not say is refused, with what is allowed."""
    with pytest.raises(archcost.InputError, match=r"no plain mapping: .*; allowed: texts, finite numbers"):
        archcost.Study({**GIVEN, "name": object()})


def test_a_study_that_was_not_run_says_so(tmp_path: Path) -> None:
    """There is no storage yet."""
    study = archcost.Study({**GIVEN, "storage": str(tmp_path / "none.db")})
    with pytest.raises(archcost.InputError, match=r"no study is stored|there is no"):
        study.front()


def test_a_study_that_can_be_nothing_is_an_error(tmp_path: Path) -> None:
    """Where all that ran failed, the reasons are raised; here no network is within the limits."""
    study = archcost.Study({**GIVEN, "limits": {"params": 1}, "storage": str(tmp_path / "study.db")})
    with pytest.raises(archcost.InputError, match="params"):
        study.run()


def test_reading_loads_no_torch(done: Study) -> None:
    """A study is looked at without what trains."""
    script = (
        "import sys, archcost\n"
        f"study = archcost.Study({str(done._folder / 'study.yaml')!r})\n"
        "study.front(), study.best(latency=1.0)\n"
        "print(sorted({'torch', 'pandas', 'plotly'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
