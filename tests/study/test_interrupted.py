"""Studies that are interrupted at an epoch lose nothing trained: by Ctrl-C, a kill, or the time limit."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from planted import STUDY, again, begun, planted

from archcost.study.records import confirmed, open_trainings
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.database.addresses import address
from archcost.study.records.stored import Stored, find

_QUICK = """
import os

from archcost.study.phases import confirm, search_loop
from archcost.study.workers.pace import Pace
from archcost.study.workers.messages import Trained


def interrupt(number, epoch, nth):
    real, reserve, came = Pace.hear, search_loop.reserve_s, []

    def hear(self, event, now):
        real(self, event, now)
        if isinstance(event, Trained) and event.seconds and event.epoch == epoch:
            came.append(event)
            if len(came) == nth and number:
                os.kill(os.getpid(), number)

    Pace.hear = hear
    search_loop.reserve_s = lambda *given: 1e9 if not number and len(came) >= nth else reserve(*given)
"""
LONGER = STUDY.replace("epochs: 2, rungs: [1, 2]", "epochs: 6, rungs: [2, 6], precision: float32")
LONGER = LONGER.replace("trials: 3", "trials: 1").replace("seeds: 1", "seeds: 2")
RUN = ("study", "run", "study.yaml", "--workers", "1")
ALONE = ("--set", "confirm.members=0")
TIME = 0
CODES = {signal.SIGKILL: -9, signal.SIGINT: 130, TIME: 0}


def interrupted(folder: Path, number: int, epoch: int, nth: int, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a study that gets a signal, or whose time is over, when an epoch of its n-th training has ended."""
    (folder / "quick.py").write_text(_QUICK, "utf-8")
    what = f"import quick; quick.interrupt({int(number)}, {epoch}, {nth})"
    where = ("archcost.study.workers.processes", "server", "before")
    command = (*RUN, *more, *(("--time", "1h") if number == TIME else ()))
    return planted(folder, where, 1, what, command, also="kept_always")


def stored(folder: Path) -> Stored:
    """Return the study in a folder."""
    return find(address("study.db", folder))


def weights(folder: Path, trial: int) -> dict[str, torch.Tensor]:
    """Return the weights of a trial."""
    held: dict[str, torch.Tensor] = torch.load(folder / "study.db.weights" / f"{trial}.pt", weights_only=True)[
        "weights"
    ]
    return held


def seeds(folder: Path, name: str) -> Confirmed:
    """Return what was confirmed of a network."""
    found = confirmed.confirmed(stored(folder).study, name)
    assert found is not None
    return replace(found, samples=())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the study that is never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    begun(folder, LONGER)
    ended = again(folder, RUN)
    assert 0 == ended.returncode, ended.stderr
    return folder


@pytest.mark.parametrize("number", CODES)
def test_an_interrupted_trial_goes_on(whole: Path, tmp_path: Path, number: int) -> None:
    """Its point is asked for again and ends with the weights, rungs and samples it would have had; time is added."""
    begun(tmp_path, LONGER)
    ended = interrupted(tmp_path, number, 3, 1, *ALONE)
    assert CODES[number] == ended.returncode, ended.stderr
    study = stored(tmp_path)
    kept = open_trainings.summary(study)
    assert (1, True) == (kept["trainings"], kept["epochs"] >= (4 if number == TIME else 3)), kept
    assert f"kept         {kept['epochs']} epochs of 1 training under way or interrupted" in \
        again(tmp_path, ("study", "status", "study.db")).stdout  # fmt: skip
    rest = again(tmp_path, (*RUN, *ALONE))
    assert 0 == rest.returncode, rest.stderr
    lost, found = stored(tmp_path).trials()
    assert lost.ended is not None
    assert found.ended is not None
    assert ("interrupted", "complete") == (lost.fate, found.fate)
    assert lost.ended.seconds > 0 < found.ended.before_s
    (expected,) = stored(whole).trials()
    assert expected.rungs.keys() == found.rungs.keys()
    assert [each[0] for each in expected.rungs.values()] == [each[0] for each in found.rungs.values()]
    assert lost.rungs[2] == found.rungs[2]  # the latency of both is from the same samples
    before, now = weights(whole, 0), weights(tmp_path, 1)
    assert before.keys() == now.keys()
    assert all(torch.equal(value, now[name]) for name, value in before.items())
    assert {"trainings": 0, "epochs": 0} == open_trainings.summary(stored(tmp_path))
    assert {"1.pt", "study.json"} == {each.name for each in (tmp_path / "study.db.weights").iterdir()}


def test_the_only_point_of_a_space_is_asked_for_again(tmp_path: Path) -> None:
    """A network without anything to choose has no parameters, and is a point all the same."""
    fixed = "models: [{family: bottleneck, block: basic, depths: [1], widths: [8]}]"
    begun(tmp_path, "\n".join(fixed if line.startswith("models:") else line for line in LONGER.splitlines()))
    assert 130 == interrupted(tmp_path, signal.SIGINT, 3, 1, *ALONE).returncode
    rest = again(tmp_path, (*RUN, *ALONE))
    assert 0 == rest.returncode, rest.stderr
    assert ["interrupted", "complete"] == [each.fate for each in stored(tmp_path).trials()]


def test_an_interrupted_seed_goes_on(whole: Path, tmp_path: Path) -> None:
    """The seed that was done is kept, the second goes on from its epoch; together they give what they would have."""
    begun(tmp_path, LONGER)
    ended = interrupted(tmp_path, signal.SIGINT, 3, 3)
    assert 130 == ended.returncode, ended.stderr
    first, expected = seeds(tmp_path, "0"), seeds(whole, "0")
    assert ((1,), expected.scores[:1]) == (first.seeds, first.scores)
    kept = open_trainings.summary(stored(tmp_path))
    assert (1, True) == (kept["trainings"], kept["epochs"] >= 3), kept
    rest = again(tmp_path, RUN)
    assert (0, True) == (rest.returncode, "confirming 0 with 1 seed" in rest.stderr), rest.stderr
    assert expected == seeds(tmp_path, "0")
    assert {"trainings": 0, "epochs": 0} == open_trainings.summary(stored(tmp_path))


def test_a_damaged_checkpoint_is_told_and_the_study_goes_on(whole: Path, tmp_path: Path) -> None:
    """The trial begins again, and its weights are those it would have had."""
    begun(tmp_path, LONGER)
    interrupted(tmp_path, signal.SIGINT, 3, 1, *ALONE)
    (path,) = (tmp_path / "study.db.weights").glob("*.checkpoint")
    path.write_bytes(path.read_bytes()[:-100])
    assert 0 == open_trainings.summary(stored(tmp_path))["trainings"]
    rest = again(tmp_path, (*RUN, *ALONE))
    assert 0 == rest.returncode, rest.stderr
    said = " ".join(rest.stderr.split())  # it is wrapped
    assert "trial 1: a training begins again: cannot read '" in said
    assert "it is damaged, or no checkpoint; this training is not kept while the file is there " in said
    before, now = weights(whole, 0), weights(tmp_path, 1)
    assert all(torch.equal(value, now[name]) for name, value in before.items())
    assert path.exists()


def test_what_nobody_asks_for_again_is_removed(tmp_path: Path) -> None:
    """With the end of a study that has all its trials; not before, by a run that is asked for fewer."""
    begun(tmp_path, LONGER.replace("trials: 1", "trials: 2"))
    interrupted(tmp_path, signal.SIGKILL, 3, 1, *ALONE)
    (path,) = (tmp_path / "study.db.weights").glob("*.checkpoint")
    own, held = path.with_name(f"{'0' * 64}.checkpoint"), path.read_bytes()
    own.write_bytes(held)  # the study's own, of a point that is not asked for
    ended = again(tmp_path, (*RUN, "--trials", "1", *ALONE))
    assert (0, [own]) == (ended.returncode, list(path.parent.glob("*.checkpoint"))), ended.stderr
    ended = again(tmp_path, (*RUN, *ALONE))
    assert (0, []) == (ended.returncode, list(path.parent.glob("*.checkpoint"))), ended.stderr
