"""Studies as users meet them: run, interrupted, resumed, looked at, taken from; on digits and the fake target."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
from commands import run
from forked import ARCHCOST, Forked
from planted import again

import archcost
from archcost.nets.weights import Trained
from archcost.study.records.database.addresses import address
from archcost.study.records.stored import find

STUDY = """
models:
  - {family: fractal, columns: {int: [1, 2]}, widths: {scale: [8, 16], by: {choice: [1, 2]}}, drop_path: {global: 0.5}}
  - {family: bottleneck, block: basic, depths: [1, 1], widths: {scale: [8, 16], by: {choice: [1, 2, 3]}}}
data: {name: digits, examples: 300}
objectives: [{error: min}, {latency: min, target: fake, threads: 1}]
limits: {params: 30k}
fit: {epochs: 2, rungs: [1, 2]}
search: {trials: 5, seed: 3}
confirm: {seeds: 2, members: 2}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A small study's file, in a folder of its own."""
    path = tmp_path / "small" / "study.yaml"
    path.parent.mkdir()
    path.write_text(STUDY, "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same study, run to its end once."""
    path = tmp_path_factory.mktemp("done") / "study.yaml"
    path.write_text(STUDY, "utf-8")
    ended = again(path.parent, ("study", "run", str(path)))
    assert 0 == ended.returncode, ended.stderr
    return str(path)


def test_a_front_is_found_and_confirmed(capsys: pytest.CaptureFixture[str], done: str) -> None:
    """Members are not dominated, confirmed ones have seeds, a chance and a test result, columns their parent's name."""
    code, out, _ = run(capsys, "study", "front", done, "--json")
    assert 0 == code
    found = json.loads(out)
    assert ["error", "latency"] == found["objectives"]
    points = [(each["error"], each["latency_s"]) for each in found["members"]]
    assert points == sorted(points)
    assert [b for _, b in points] == sorted((b for _, b in points), reverse=True)
    confirmed = [each for each in found["members"] if each["seeds"]]
    assert confirmed
    assert all(2 == each["seeds"] and 0 <= each["test"] <= 1 and 0 <= each["probability"] <= 1 for each in confirmed)
    assert all("/" in each["trial"] for each in found["members"] if each["shared_weights"])
    assert found["hypervolume"] > 0


def test_the_same_network_comes_out_of_its_yaml(capsys: pytest.CaptureFixture[str], done: str, tmp_path: Path) -> None:
    """Every member's YAML is the network whose digest and counts the front shows."""
    code, out, err = run(capsys, "study", "front", done, "--json", "--yaml", str(tmp_path / "members"))
    assert (0, True) == (code, "written:" in err)
    for each in json.loads(out)["members"]:
        model = archcost.load(tmp_path / "members" / f"{each['trial'].replace('/', '-column-')}.yaml")
        assert (each["digest"], each["params"], each["macs"]) == (model.digest, model.cost.params, model.cost.macs)


def test_tables_fit_a_terminal(capsys: pytest.CaptureFixture[str], done: str) -> None:
    """Front, status and the dry run have no line of more than 80 columns."""
    for arguments in (("front", done), ("status", done), ("run", done, "--dry-run")):
        code, out, _ = run(capsys, "study", *arguments)
        assert 0 == code
        assert [] == [line for line in out.splitlines() if len(line) > 80]


def test_every_trial_is_a_row(capsys: pytest.CaptureFixture[str], done: str) -> None:
    """csv and json hold the same rows; what was told FAIL has its reason and does not count."""
    rows = list(csv.DictReader(io.StringIO(run(capsys, "study", "export", done)[1])))
    again = json.loads(run(capsys, "study", "export", done, "--format", "json")[1])
    assert [row["trial"] for row in rows] == [row["trial"] for row in again]
    assert all(row["reason"] for row in again if row["state"] in ("failed", "pruned"))
    status = json.loads(run(capsys, "study", "status", done, "--json")[1])
    assert 5 == status["counted"]
    assert all(row["params"] is None or row["params"] <= 30_000 for row in again if row["state"] == "complete")


def test_running_again_adds_nothing_and_more_trials_go_on(capsys: pytest.CaptureFixture[str], done: str) -> None:
    """`trials` is a total; `patience` and `share` may change."""
    before = json.loads(run(capsys, "study", "status", done, "--json")[1])
    changes = ("--set", "search.patience=20m", "--set", "search.share=25%")
    assert 0 == run(capsys, "study", "run", done, *changes)[0]
    again = json.loads(run(capsys, "study", "status", done, "--json")[1])
    assert before["states"]["complete"] == again["states"]["complete"]
    assert before["counted"] == again["counted"]


def test_a_space_that_is_known_begins_no_trial(capsys: pytest.CaptureFixture[str], file: str) -> None:
    """Once every point was tried, another run says so and leaves the trials as they are."""
    widths = "{scale: [8, 16], by: {choice: [1, 2]}}"
    models = f"models=[{{family: bottleneck, block: basic, depths: [1, 1], widths: {widths}}}]"
    changes = ("--set", models, "--set", "confirm.members=0", "--set", "fit.epochs=1", "--set", "fit.rungs=[1]")
    counts = []
    for _ in range(2):
        code, _, said = run(capsys, "study", "run", file, *changes)
        assert (0, True) == (code, "no new point was found" in said)
        counts.append(len(find(address("study.db", Path(file).parent)).trials()))
    assert counts[0] == counts[1]


def test_data_that_a_killed_study_left_are_removed(
    capsys: pytest.CaptureFixture[str], file: str, tmp_path: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder of temporary files is gone with the next run; one that nobody is known to own is named and stays."""
    place = short_path
    (place / "archcost-9kx_2p0a").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    locks = {"archcost-9kx_2p0a", f"archcost-{os.getuid()}"}

    def left() -> list[str]:
        return [path.name for path in place.glob("archcost-*/data.pt")]

    command = ["study", "run", file, "--workers", "1", "--set", "fit.epochs=60", "--set", "fit.rungs=[60]"]
    with Forked(ARCHCOST, command, tmp_path, TMPDIR=str(place)) as process:
        _wait_for_a_trial(file, process)
        os.kill(process.pid, signal.SIGKILL)
        process.ended()
    assert ["data.pt"] == left()
    other = ("--set", "search.trials=1", "--set", "confirm.members=0", "--storage", str(tmp_path / "other.db"))
    code, _, err = run(capsys, "study", "run", file, *other)
    assert (0, []) == (code, left()), err
    assert {path.name for path in place.glob("archcost-*")} <= locks
    assert " of an unknown owner, left as found: archcost-9kx_2p0a; remove what no running archcost uses\n" in err


def test_a_changed_study_is_refused(capsys: pytest.CaptureFixture[str], done: str) -> None:
    """Other templates, data or training would mix what is not comparable; trials and confirm may change."""
    code, _, err = run(capsys, "study", "run", done, "--set", "fit.epochs=3", "--set", "fit.rungs=[3]")
    assert 2 == code
    assert "'fit' of the study changed" in err


def test_networks_can_be_taken(capsys: pytest.CaptureFixture[str], done: str, tmp_path: Path) -> None:
    """As YAML, and with its weights as a torch program."""
    found = json.loads(run(capsys, "study", "front", done, "--json")[1])["members"][0]
    code, out, _ = run(capsys, "export", done, "--trial", found["trial"], "--to", "yaml")
    assert (0, found["yaml"]) == (code, out)
    code, out, _ = run(capsys, "export", done, "--trial", found["trial"], "--to", "pt2", "-o", str(tmp_path / "x.pt2"))
    assert (0, True) == (code, "weights of " in out)
    code, _, err = run(capsys, "export", done, "--trial", "77", "--to", "yaml")
    assert (2, True) == (code, "no complete trial '77'" in err)


def test_trials_that_are_offered_have_weights(tmp_path: Path) -> None:
    """Those of trials that have left the front are gone: the others are named."""
    model = archcost.load("resnet-20")
    with pytest.raises(archcost.InputError, match=r"no weights of trial 0: .*; allowed: 12"):
        Trained(
            model, model, 0, tmp_path / "0.pt", "of trial 0", absent="kept are those of the front; allowed: 12"
        ).net()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupted_study_goes_on(
    capsys: pytest.CaptureFixture[str], file: str, tmp_path: Path, number: int, code: int
) -> None:
    """Ctrl-C, a termination or a kill: nothing that was told is lost, and what ran is asked for again."""
    longer = ("--set", "fit.epochs=60", "--set", "fit.rungs=[60]")
    with Forked(ARCHCOST, ["study", "run", file, "--workers", "1", *longer], tmp_path) as process:
        _wait_for_a_trial(file, process)
        os.kill(process.pid, number)
        told = process.ended()
    assert (code, number != signal.SIGKILL) == (told.returncode, "0 trials kept; run again to go on" in told.stderr)
    rest = (*longer, "--trials", "1", "--set", "confirm.members=0")
    ended, _, err = run(capsys, "study", "run", file, *rest)
    assert 0 == ended, err
    trials = find(address("study.db", Path(file).parent)).trials()
    (lost,) = [each for each in trials if each.fate == "interrupted"]
    assert lost.point in [each.point for each in trials if each.state == "complete"]
    assert "1 interrupted" in run(capsys, "study", "status", file)[1]


def _wait_for_a_trial(file: str, process: Forked) -> None:
    """Wait until a study has begun a trial, which it keeps before it starts it."""
    where = address("study.db", Path(file).parent)
    for _ in range(1800):
        assert process.poll() is None, process.ended().stderr
        if (where.file or Path()).is_file() and any(each.begun for each in find(where).trials()):
            return
        time.sleep(0.1)
    raise AssertionError("no trial began")


@pytest.mark.parametrize(
    ("change", "where", "message"),
    [
        ("models=[{family: bottleneck, depths: [{choice: []}], widths: [8]}]", "models", "an empty domain"),
        ("data.name=digitz", "data.name", "unknown data set 'digitz' (did you mean 'digits'?)"),
        ("objectives.0={perplexity: min}", "objectives.0.perplexity", "digits is image data, which has no perplexity"),
        ("limits.params=10", "limits.params", "over the limit on params, the smallest has 1,442; allowed: 10"),
        ("models.1.family=fractall", "models", "unknown family 'fractall'"),
        ("search.sampler=cmaes", "search.sampler", "given 'cmaes'"),
        ("fit.rungs=[1, 3]", "fit.rungs", "given 3 as the last; allowed: 2"),
        ("objectives.1.target=abacus", "target", "unknown target 'abacus'"),
        ("objectives.1.threads=65", "objectives.1.threads", "given 65; allowed: 1 to 64, the CPUs of target 'fake'"),
    ],
)
def test_an_impossible_study_is_refused(
    capsys: pytest.CaptureFixture[str], file: str, change: str, where: str, message: str
) -> None:
    """Before anything runs, with exit code 2 and the key; no storage is made."""
    code, _, err = run(capsys, "study", "run", file, "--set", change)
    assert 2 == code
    assert message in err
    assert where in err
    assert not Path(file).with_name("study.db").exists()


def test_a_trial_that_is_silent_for_too_long_is_ended(capsys: pytest.CaptureFixture[str], file: str) -> None:
    """A measurement may take 10 minutes, the study has patience for 2 s: its key is named."""
    way = "objectives.1={latency: min, threads: 1, precision: 0.000001, time: 10m}"
    patience = ("--set", "search={trials: 1, patience: 2s}")
    code, _, err = run(capsys, "study", "run", file, "--workers", "1", "--set", way, *patience)
    assert 3 == code
    reason = "target: hung: no progress for 2 s, killed; 'search.patience' allows more"
    assert f"no trial is complete: 1 x {reason}" in err


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_cannot_be_measured_here_is_refused(
    capsys: pytest.CaptureFixture[str], file: str, dry: tuple[str, ...]
) -> None:
    """A GPU that is not there ends a run before it begins, with exit code 3, the objective and the reason."""
    code, _, err = run(capsys, "study", "run", file, "--set", "objectives.1.target=cuda:99", *dry)
    assert 3 == code
    assert "archcost: objectives.1: cannot measure on cuda:99/eager" in err
    assert not Path(file).with_name("study.db").exists()


def test_why_no_trial_is_complete_is_told(capsys: pytest.CaptureFixture[str], file: str) -> None:
    """Once for all trials that ended for the same, though each has a number of its own."""
    limits = ("--set", "limits={latency: 10 us}", "--set", "models=[{family: bottleneck, depths: [1], widths: [8]}]")
    code, _, err = run(capsys, "study", "run", file, *limits)
    assert (2, True) == (code, "no trial is complete: 1 x limits: latency 1.00 ms; allowed: 10.0 us" in err)
