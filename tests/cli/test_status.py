"""What a study says of itself in words: the status, and the networks of its front."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from commands import run
from fronts import fronted, part, told
from optuna.distributions import CategoricalDistribution, IntDistribution
from stored_studies import Wanted, made

from archcost.cli.study.lines import unconfirmed_lines
from archcost.study.records import tables, trials
from archcost.study.records.best.due import outstanding
from archcost.study.records.best.standings import Standing
from archcost.study.records.part import achieved
from archcost.study.records.trials import Begun, Ended


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The study's folder is the current one, so that its path, which stands in a line, is short."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("trials", "only"), [(60, ""), (4, "complete"), (4, "running")])
@pytest.mark.usefixtures("here")
def test_the_status_is_plain_english(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, trials: int, only: str
) -> None:
    """How many networks were tried, and how many of them twice; nothing of what there is none of; 80 columns."""
    stored = made(tmp_path / "study.db", Wanted(trials=trials, only=only))
    code, out, _ = run(capsys, "study", "status", str(stored.address))
    counted = sum(each.counts for each in stored.trials())
    repeats = sum(each.ended is not None and each.ended.repeats is not None for each in stored.trials())
    assert (0, bool(counted), bool(repeats)) == (code, f"  {counted} network" in out, "took its result" in out)
    assert (True, False) == (max(map(len, out.splitlines())) <= 80, "known answer" in out)


@pytest.mark.usefixtures("here")
def test_a_file_that_says_otherwise_than_what_is_stored_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Another study's file beside a storage, or one that has changed: what is shown is what is stored."""
    made(tmp_path / "study.db", Wanted(trials=4))
    (tmp_path / "other.yaml").write_text(
        "models: [{family: bottleneck, depths: [1], widths: {choice: [[8], [16]]}}]\n"
        "data: {name: digits}\nobjectives: [{error: min}, {latency: min}]\n",
        "utf-8",
    )
    for command in ("status", "front", "table"):
        code, out, err = run(capsys, "study", command, "other.yaml")
        assert (0, True, 1) == (code, bool(out), err.count("'other.yaml', which says otherwise of 'models'")), err
        assert "otherwise" not in run(capsys, "study", command, "study.db")[2]
        assert 0 == run(capsys, "study", command, "gone.yaml", "--storage", "study.db")[0]


@pytest.mark.usefixtures("here")
def test_what_was_drawn_of_a_network_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """By the names of the arguments if code makes it; in the front, in the status and in the choice."""
    stored = made(tmp_path / "study.db", Wanted(trials=5))
    best = stored.front().members[0]
    spaces = {"0.args.width": CategoricalDistribution([0.5]),
              "0.args.blocks": IntDistribution(3, 3), "0.args.sizes.by": IntDistribution(2, 2)}  # fmt: skip
    assert isinstance(stored.study, optuna.Study)
    assert best.trial.begun is not None
    assert best.part.score is not None
    trial = stored.study.ask(spaces)
    trials.begin(trial, Begun("random", "net", "module", best.trial.begun.yaml, "other"))
    whole = replace(best.part, digest="other", score=replace(best.part.score, error=0.0), samples=best.part.samples)
    trials.end(stored.study, trial, Ended((whole,)), achieved(whole, stored.objectives))
    for command in (("study", "front"), ("study", "status"), ("choose",)):
        _, out, err = run(capsys, *command, str(stored.address))
        assert f"{trial.number}      width=0.5 blocks=3 sizes.by=2" in out.splitlines(), out + err
        assert max(map(len, out.splitlines()[:-1])) <= 80


@pytest.mark.parametrize(("most", "soon", "never"), [(0, 0, 0), (3, 0, 2), (4, 1, 1), (9, 2, 0)])
def test_what_is_not_confirmed_says_how_it_comes_to_be(most: int, soon: int, never: int) -> None:
    """By another run, or by more members than the study asks for; those first without which the front loses most."""
    whole = fronted(told(*(part(str(i), 0.1 * (5 - i), 0.1 * (i + 1)) for i in range(5))))
    held = [replace(each, standing=Standing(1.0, (), ())) for each in whole.members[:3]]
    assert (5, 0.0) == (len(whole.members), whole.members[0].values[0] - min(m.values[0] for m in whole.members))
    now = replace(whole, members=(*held, *whole.members[3:]), reference=None)
    found = outstanding(now, most)
    assert (soon if most else 0, never if most else 2) == tuple(map(len, found))
    said = list(unconfirmed_lines(now, most))
    assert ("", True) == ("".join(said) if soon + never == 0 else "", all(len(line) <= 80 for line in said))
    assert [bool(soon), bool(never)] == [words in " ".join(map(str.strip, said)) for words in (
        "running the study again confirms them", "--set confirm.members=5 confirms all")]  # fmt: skip


def test_what_is_no_key_of_a_template_is_not_drawn() -> None:
    """The number of the template, and a parameter that somebody else has added."""
    study = optuna.create_study()
    study.ask({"model": IntDistribution(1, 1), "1.widths.by": IntDistribution(2, 2), "slope": IntDistribution(3, 3)})
    (trial,) = trials.read(study, {})
    assert {"widths.by": 2} == tables.drawn(trial)
