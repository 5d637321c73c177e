"""Studies whose networks, data, training and metrics are code of the user's own."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from commands import run
from own_code import STUDY, written
from planted import again

from archcost.study.records.database.addresses import address
from archcost.study.records.reasons import Reason
from archcost.study.records.stored import Stored, find

CODE = ("--allow-code", "--workers", "2")


def study(folder: Path) -> Stored:
    """Return what a study in a folder has kept."""
    return find(address("study.db", folder))


def reasons(folder: Path) -> dict[int, Reason]:
    """Return why trials failed, by the argument `what`."""
    found = {}
    for each in study(folder).trials():
        if each.reason is not None and each.reason.kind != "known":  # of which the grid has no other one
            found[int(each.point["0.args.what"])] = each.reason
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a study that has run, in a folder with the code that it names; who writes there takes a copy."""
    file = written(tmp_path_factory.mktemp("ran"))
    ended = again(file.parent, ("study", "run", str(file), *CODE))
    assert 0 == ended.returncode, ended.stderr
    return file


@pytest.fixture
def copied(ran: Path, tmp_path: Path) -> Path:
    """The file of a copy of that study, of a test's own."""
    shutil.copytree(ran.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / ran.name


def test_a_network_of_ones_own_is_searched(capsys: pytest.CaptureFixture[str], ran: Path) -> None:
    """Counted, trained, confirmed and tested; its front names the code and the arguments as YAML."""
    _, out, _ = run(capsys, "study", "front", str(ran), "--json")
    members = json.loads(out)["members"]
    best = members[0]
    assert {"module"} == {each["family"] for each in members}
    assert 'factory: "mynet:Small"' in best["yaml"]
    width = best["point"]["0.args.width"]
    # 9 positions of a 3 x 3 kernel on one channel, and a linear layer to ten classes
    assert (width * (9 * 9 + 10), 10 * width + 10 + 10 * width) == (best["macs"], best["params"])
    assert any(each["confirmed"] and each["test"] is not None for each in members)


@pytest.mark.parametrize("command", [("study", "run"), ("study", "run", "--dry-run")])
def test_without_consent_nothing_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Each piece of code is named with its place; none of it is imported, and nothing is made beside the study."""
    keys = "fit: {epochs: 2, code: 'mytrain:fit', evaluate: 'mytrain:evaluate'}"
    text = STUDY.replace("data: {name: digits, examples: 200}", "data: {code: 'mydata:splits'}")
    file = written(tmp_path, text.replace("fit: {epochs: 2, rungs: [1, 2]}", keys))
    for name in ("mynet", "mytrain", "mydata"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", "utf-8")
    before = sorted(tmp_path.iterdir())
    code, out, err = run(capsys, *command, str(file))
    assert (2, "") == (code, out)
    for key in ("models.0.factory", "data.code", "fit.code", "fit.evaluate"):
        assert f"{key}: " in err
    assert 4 == err.count("runs only with --allow-code")
    assert before == sorted(tmp_path.iterdir())


def test_reading_a_study_runs_no_code(capsys: pytest.CaptureFixture[str], copied: Path, tmp_path: Path) -> None:
    """Status, front, table and report need no consent: they import nothing of what the study names."""
    (tmp_path / "mynet.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", "utf-8")
    for command in (("study", "status"), ("study", "front"), ("study", "table")):
        assert 0 == run(capsys, *command, str(copied))[0]
    assert 0 == run(capsys, "report", str(copied), "-o", str(tmp_path / "report.html"))[0]
    assert not (tmp_path / "ran").exists()


HOSTILE = {
    1: ("code", "'mynet:strange' failed: SystemExit: enough"),
    2: ("code", "the process ended by itself with code 7"),
    3: ("refused", "refused: no such width (ValueError at "),
    6: ("memory", "out of memory: "),
    7: ("code", "'mynet:strange' failed"),
    8: ("code", "cannot run on the data's inputs"),
    9: ("input", "'mynet:strange' returned an object of type 'str'; allowed: a torch.nn.Module"),
    10: ("code", "KeyboardInterrupt"),
    11: ("input", "the network gives 3 scores, and the data have 10 classes; allowed: one for each class"),
}
"""What a factory does that is no network of the data, and why its trial ends."""


def test_what_code_does_ends_its_own_trial(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A factory that exits, raises, fills the memory or wants a GPU; the others' trials are complete, and only the
    front is on standard output.
    """
    text = STUDY.replace("'mynet:Small', args: {width: {int: [2, 6]}}", "'mynet:strange', args: {what: {int: [0, 11]}}")
    file = written(tmp_path, text.replace("trials: 3, sampler: random", "trials: 12, sampler: grid"))
    code, out, err = run(capfd, "study", "run", str(file), *CODE)
    assert 0 == code, err
    found = reasons(tmp_path)
    assert {what: kind for what, (kind, _) in HOSTILE.items()} == {what: each.kind for what, each in found.items()}
    for what, (_, words) in HOSTILE.items():
        assert words in found[what].text
    complete = {each.point["0.args.what"] for each in study(tmp_path).trials() if each.state == "complete"}
    assert {0, 4, 5} == complete
    counted = {each.point["0.args.what"] for each in study(tmp_path).trials() if each.counts}
    assert {*HOSTILE} - {3} == counted - complete  # that point is none, as one over a limit
    assert "printed where results go" not in out
    assert "mynet.py:" in found[3].text  # where it was raised


PICKY = """
from torch import nn


def picky(width=4, groups=2, classes=10):
    if width % groups:
        raise ERROR(f"groups {groups} do not divide width {width}")
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, classes))
"""


@pytest.mark.parametrize("error", ["ValueError", "TypeError"])
def test_arguments_that_do_not_go_together_cost_no_trial(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, error: str
) -> None:
    """They are told in a preview; of six points three are networks, and all three are tried in three trials."""
    (tmp_path / "choosy.py").write_text(PICKY.replace("ERROR", error), "utf-8")
    args = "'choosy:picky', args: {width: {int: [2, 7]}}"
    file = written(tmp_path, STUDY.replace("'mynet:Small', args: {width: {int: [2, 6]}}", args))
    code, out, err = run(capsys, "study", "run", str(file), "--dry-run", *CODE)
    assert (0, True) == (code, "50.0% feasible" in out), out + err
    assert "refused: groups 2 do not divide width 3" in out
    code, _, err = run(capsys, "study", "run", str(file), "--workers", "1", *CODE)
    assert 0 == code, err
    trials = study(tmp_path).trials()
    assert [2, 4, 6] == sorted(each.point["0.args.width"] for each in trials if each.counts)
    refused = [each for each in trials if each.reason and each.reason.kind == "refused"]
    assert len(refused) == len({each.point["0.args.width"] for each in refused})  # none is tried again
    assert {"refused"} >= {each.fate for each in refused}


def test_a_space_of_refused_arguments_is_the_users_mistake(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Exit code 2, with what the factory says of them."""
    (tmp_path / "choosy.py").write_text(PICKY.replace("ERROR", "ValueError"), "utf-8")
    args = "'choosy:picky', args: {groups: {choice: [3, 5]}}"
    file = written(tmp_path, STUDY.replace("'mynet:Small', args: {width: {int: [2, 6]}}", args))
    code, _, err = run(capsys, "study", "run", str(file), *CODE)
    assert (2, True) == (code, "do not divide width 4" in err), err


def test_what_code_forks_ends_with_its_trial(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A copy that would sleep for ten minutes is gone when the study is."""
    network = "import os, time\nfrom torch import nn\n\ndef forks(width, classes):\n"
    body = "    if os.fork() == 0:\n        open('PID', 'a').write(f'{os.getpid()} ')\n        time.sleep(600)\n"
    file = written(tmp_path, STUDY.replace("mynet:Small", "forking:forks").replace("trials: 3", "trials: 1"))
    made = "    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, classes))\n"
    text = (network + body + made).replace("PID", str(tmp_path / "pid"))
    (tmp_path / "forking.py").write_text(text, "utf-8")
    assert 0 == run(capsys, "study", "run", str(file), *CODE)[0]
    forked = list(map(int, (tmp_path / "pid").read_text("utf-8").split()))
    assert forked
    deadline = time.monotonic() + 20
    while (alive := [pid for pid in forked if _lives(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [] == alive


def _lives(pid: int) -> bool:
    """Return whether a process is there and has not ended."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return False


def test_training_and_metrics_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The metric is searched and shown as it is, larger is better; the test split is evaluated once confirmed."""
    text = STUDY.replace("{error: min}", "{metric: right, goal: max}")
    keys = "fit: {epochs: 2, code: 'mytrain:fit', evaluate: 'mytrain:evaluate', args: {lr: 0.02}}"
    file = written(tmp_path, text.replace("fit: {epochs: 2, rungs: [1, 2]}", keys))
    code, _, err = run(capsys, "study", "run", str(file), *CODE)
    assert 0 == code, err
    _, out, _ = run(capsys, "study", "table", str(file))
    rows = list(csv.DictReader(io.StringIO(out)))
    assert all(0 <= float(row["right"]) <= 1 for row in rows)
    _, out, _ = run(capsys, "study", "front", str(file), "--json")
    front = json.loads(out)
    assert ["right", "macs"] == front["objectives"]
    rights = [each["right"] for each in front["members"]]
    assert sorted(rights, reverse=True) == rights  # best first
    tested = [each["test"] for each in front["members"] if each["confirmed"]]
    assert tested
    assert all(0 <= value <= 1 for value in tested)


FITS = {
    "no generator": ("code: 'mytrain:nothing'", "input", "returned int; allowed: a generator"),
    "no such function": ("code: 'mytrain:fitt'", None, "'mytrain' has nothing called 'fitt' (did you mean 'fit'?)"),
    "a loss that is not finite": ("code: 'mytrain:fit', args: {gives: .inf}", None, "infinity"),
    "text in place of a number": ("code: 'mytrain:fit', args: {gives: many}", "input", "allowed: a name and a number"),
    "an argument it does not take": ("code: 'mytrain:fit', args: {rate: 1}", None, "fit.args.rate: no argument of"),
}
"""A fit of the user's own, how a trial ends with it (None: the study does not begin), and the words."""


@pytest.mark.parametrize("case", FITS)
def test_a_training_that_is_none_ends_its_trial(capsys: pytest.CaptureFixture[str], tmp_path: Path, case: str) -> None:
    """With its reason; what cannot be imported is refused before anything runs."""
    keys, kind, words = FITS[case]
    file = written(tmp_path, STUDY.replace("rungs: [1, 2]", keys).replace("trials: 3", "trials: 1"))
    code, _, err = run(capsys, "study", "run", str(file), *CODE)
    if kind is None:
        assert 2 == code
        assert words in err or "finite" in err
        assert not (tmp_path / "study.db").exists()
        return
    assert 3 == code
    (only,) = (each.reason for each in study(tmp_path).trials() if each.reason)
    assert (kind, True) == (only.kind, words in only.text)


def test_a_training_may_end_early(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Its network is scored as it is then."""
    keys = "code: 'mytrain:fit', args: {ends: 1}"
    file = written(tmp_path, STUDY.replace("epochs: 2, rungs: [1, 2]", f"epochs: 5, {keys}"))
    code, _, err = run(capsys, "study", "run", str(file), *CODE)
    assert 0 == code, err
    assert {"complete"} == {each.state for each in study(tmp_path).trials()}


@pytest.mark.parametrize("form", ["tensors", "bytes", "loose"])
def test_data_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str) -> None:
    """Tensors, arrays of bytes, or Datasets and loaders: a module and a family train on them, and are tested."""
    models = (
        "models:\n  - {family: module, factory: 'mynet:Small', args: {width: {int: [2, 3]}}}\n"
        "  - {family: bottleneck, block: basic, depths: [1], widths: [4]}\n"
    )
    text = models + STUDY[STUDY.index("data:") :].replace(", rungs: [1, 2]", "").replace(
        "data: {name: digits, examples: 200}", f"data: {{code: 'mydata:splits', args: {{form: {form}}}}}"
    )
    file = written(tmp_path, text.replace("trials: 3, sampler: random", "trials: 3, sampler: grid"))
    code, _, err = run(capsys, "study", "run", str(file), *CODE)
    assert 0 == code, err
    every = study(tmp_path).trials()
    assert ({"complete"}, {"module", "bottleneck"}) == (
        {each.state for each in every},
        {each.begun.family for each in every if each.begun},
    )
    _, out, _ = run(capsys, "study", "front", str(file), "--json")
    confirmed = [each for each in json.loads(out)["members"] if each["confirmed"]]
    assert confirmed
    assert {form != "bytes"} == {each["test"] is not None for each in confirmed}


def test_changed_code_is_named(capsys: pytest.CaptureFixture[str], copied: Path, tmp_path: Path) -> None:
    """Going on says which file is another one; with consent to that it goes on."""
    with (tmp_path / "mynet.py").open("a", encoding="utf-8") as text:
        text.write("# another line\n")
    code, _, err = run(capsys, "study", "run", str(copied), "--trials", "4", *CODE)
    assert 2 == code
    assert "'mynet.py' changed since the study ran" in err
    assert "--code-changed" in err
    assert 0 == run(capsys, "study", "run", str(copied), "--trials", "4", *CODE, "--code-changed")[0]
    assert 4 == sum(each.counts for each in study(tmp_path).trials())


def test_what_changes_nothing_is_no_other_network(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An argument that the network does not use: its points are one network, trained once; one that makes another
    function of it is another one, though no count tells them apart.
    """
    args = "args: {spare: {int: [1, 2]}, act: {choice: [relu, tanh]}}"
    text = STUDY.replace("args: {width: {int: [2, 6]}}", args).replace("trials: 3, sampler: random", "trials: 4")
    text = text.replace(", rungs: [1, 2]", "")
    file = written(tmp_path, text.replace("confirm: {seeds: 1, members: 1}", "confirm: {members: 0}"))
    assert 0 == run(capsys, "study", "run", str(file), "--allow-code", "--workers", "1")[0]
    every = [each for each in study(tmp_path).trials() if each.ended and each.state == "complete"]
    trained = {each.point["0.args.act"] for each in every if each.ended and each.ended.repeats is None}
    repeats = {each.point["0.args.act"] for each in every if each.ended and each.ended.repeats is not None}
    assert ({"relu", "tanh"}, {"relu", "tanh"}) == (trained, repeats)


def test_a_limit_holds_for_code(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What is over it is not trained and does not count."""
    file = written(tmp_path, f"{STUDY}limits: {{params: 70}}\n".replace("sampler: random", "sampler: grid"))
    code, _, err = run(capsys, "study", "run", str(file), *CODE)
    assert 0 == code, err
    over = [each for each in study(tmp_path).trials() if each.reason and each.reason.kind != "known"]
    assert {"limit"} == {each.reason.kind for each in over if each.reason}
    assert not any(each.counts for each in over)


def test_columns_of_a_family_have_metrics_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A fractal network trained and evaluated by code of one's own: every column is scored by it."""
    fractal = "models: [{family: fractal, columns: 2, widths: [{int: [4, 8]}], drop_path: {global: 0.5}}]\n"
    text = fractal + STUDY[STUDY.index("data:") :].replace("{error: min}", "{metric: right, goal: max}")
    keys = "epochs: 1, code: 'mytrain:fit', evaluate: 'mytrain:evaluate'"
    file = written(tmp_path, text.replace("epochs: 2, rungs: [1, 2]", keys).replace("trials: 3", "trials: 1"))
    code, _, err = run(capsys, "study", "run", str(file), *CODE)
    assert 0 == code, err
    (trial,) = study(tmp_path).trials()
    assert trial.ended is not None
    scores = [each.score for each in trial.ended.parts]
    assert [0, 1, 2] == [each.column for each in trial.ended.parts]
    assert all(each is not None and 0 <= each.metrics["right"] <= 1 for each in scores)


def test_code_that_hangs_ends_its_own_trial(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It is silent for longer than the study has patience: killed, and the others are complete."""
    hanging = "import time\nfrom mynet import Small\n\n\ndef net(what, classes):\n    time.sleep(600 * what)\n"
    text = STUDY.replace("mynet:Small", "hanging:net").replace("width: {int: [2, 6]}", "what: {int: [0, 1]}")
    file = written(tmp_path, text.replace("trials: 3, sampler: random", "trials: 2, sampler: grid, patience: 3s"))
    (tmp_path / "hanging.py").write_text(hanging + "    return Small(classes=classes)\n", "utf-8")
    code, _, err = run(capsys, "study", "run", str(file), *CODE)
    assert 0 == code, err
    assert {0: "complete", 1: "failed"} == {each.point["0.args.what"]: each.state for each in study(tmp_path).trials()}
    assert "silent" == reasons(tmp_path)[1].kind


def test_a_metric_that_is_missing_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With what came in its place; a study in which no trial has it ends with 3."""
    text = STUDY.replace("{error: min}", "{metric: recall, goal: max}")
    keys = "epochs: 2, rungs: [1, 2], code: 'mytrain:fit', evaluate: 'mytrain:evaluate'"
    file = written(tmp_path, text.replace("epochs: 2, rungs: [1, 2]", keys).replace("trials: 3", "trials: 2"))
    code, _, err = run(capsys, "study", "run", str(file), *CODE)
    assert 3 == code
    assert "'mytrain:evaluate' gave no 'recall', which is an objective; it gave 'error', 'right' or 'seen'" in err


def test_a_report_and_a_choice_have_metrics_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Confirmed ones too; the command that exports asks for consent, as that runs the code."""
    text = STUDY.replace("{error: min}", "{metric: right, goal: max}")
    keys = "epochs: 1, code: 'mytrain:fit', evaluate: 'mytrain:evaluate'"
    file = written(tmp_path, text.replace("epochs: 2, rungs: [1, 2]", keys))
    assert 0 == run(capsys, "study", "run", str(file), *CODE)[0]
    code, out, err = run(capsys, "choose", str(file), "--json")
    assert 0 == code, err
    assert json.loads(out)["export"].endswith(" --allow-code")
    code, _, err = run(capsys, "report", str(file), "-o", str(tmp_path / "r.html"))
    assert 0 == code, err
    assert f"archcost export {file}" in (tmp_path / "r.html").read_text("utf-8")
