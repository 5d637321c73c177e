"""Confirming a front: who is trained again and how often, what is measured by turns, and when it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from datasets_small import images
from fronts import again, fronted, part, taken, told
from plans import WORKPLACE, drawn, planned

from archcost.data import shared
from archcost.errors import InputError
from archcost.study import jobs
from archcost.study.options import Workplace
from archcost.study.parts import parts
from archcost.study.phases import confirm as confirming
from archcost.study.plan import StudyPlan
from archcost.study.records import confirmed, trials
from archcost.study.records.front import Candidate, File, Front, as_searched, candidates, front
from archcost.study.records.part import achieved
from archcost.study.records.trials import Begun, Ended
from archcost.training.score import Score

STANDS = "latencies stand as they were measured by turns in an earlier run"


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Callable[[optuna.Study, dict[str, float], int], tuple[str, ...]]:
    """Confirms so many members, each of which is found to have the error given instead of being trained."""

    def run(study: optuna.Study, errors: dict[str, float], members: int) -> tuple[str, ...]:
        def seeds(_: object, __: object, ___: object, candidate: Candidate, ____: object) -> bool:
            confirmed.keep(study, candidate.name, again(errors[candidate.name]))
            return True

        monkeypatch.setattr(confirming, "_seeds", seeds)
        plan = planned(objectives=[{"error": "min"}], confirm={"seeds": 1, "members": members})
        return confirming.confirm(
            study, plan, WORKPLACE, lambda: fronted(study), lambda: fronted(study), lambda _: None
        )

    return run


def test_who_takes_the_place_of_another_is_confirmed_too(
    pretended: Callable[[optuna.Study, dict[str, float], int], tuple[str, ...]],
) -> None:
    """The best of three does worst when trained again: the second stands in its place, and is trained again as well."""
    study = told(part("a", 0.1), part("b", 0.2), part("c", 0.5))
    assert ("0", "1") == pretended(study, {"0": 0.9, "1": 0.2, "2": 0.5}, 1)
    now = fronted(study)
    assert (["1"], 1, ["0"]) == ([each.name for each in now.members], now.confirmed, [each.name for each in now.left])


def test_no_more_members_are_confirmed_than_wanted(
    pretended: Callable[[optuna.Study, dict[str, float], int], tuple[str, ...]],
) -> None:
    """Of two members one is enough where it stays on the front."""
    study = told(part("a", 0.1, 0.2), part("b", 0.2, 0.1))
    assert ("0",) == pretended(study, {"0": 0.1, "1": 0.2}, 1)


def test_what_an_earlier_run_confirmed_counts_too(
    pretended: Callable[[optuna.Study, dict[str, float], int], tuple[str, ...]],
) -> None:
    """Of two members one is enough, which was confirmed before; the other is confirmed if two are asked for."""
    study = told(part("a", 0.1, 0.2), part("b", 0.2, 0.1))
    confirmed.keep(study, "1", again(0.2))
    assert () == pretended(study, {"0": 0.1}, 1)
    assert ("0",) == pretended(study, {"0": 0.1}, 2)


def test_members_that_are_not_confirmed_are_measured_beside_the_others(
    monkeypatch: pytest.MonkeyPatch, plan: StudyPlan
) -> None:
    """The front compares what was measured by turns alone; who was not trained again gets samples and no seed."""
    study = told(part("a", 0.1, 0.2), part("b", 0.2, 0.1), part("c", 0.3, 0.3))
    confirmed.keep(study, "0", again(0.1))
    monkeypatch.setattr(confirming.turns, "measuring", lambda _, __, networks: networks)
    monkeypatch.setattr(confirming.turns, "measured", lambda _, job, *__: (tuple(taken(0.5) for _ in job), ""))
    now = fronted(study)
    beside = {each.file: each for each in now.members}
    assert confirming._turns(study, plan, WORKPLACE, beside, now, lambda _: None)
    after = {each.name: each for each in fronted(study).members}
    held = confirmed.everything(study)
    assert ({"0", "2"}, {"0", "1"}, ()) == (set(after), set(held), held["1"].seeds)
    assert [0.5, None] == [after["0"].latencies()[0].median_s, after["2"].standing]
    assert {str(each) for each in beside} == set(confirming.turned(study).files)


@pytest.mark.parametrize(("count", "measured"), [(40, 40), (41, 1)])
def test_of_a_long_front_the_confirmed_are_measured(count: int, measured: int) -> None:
    """More networks would take minutes in each way."""
    study = told(*(part(str(place), 0.01 * place, 10.0 - 0.1 * place) for place in range(count)))
    confirmed.keep(study, "7", again(0.07))
    now = fronted(study)
    assert (count, measured) == (len(now.members), len(confirming._comparable(now)))


def test_without_a_confirmed_member_nothing_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """No seed could be trained: the front rests on the search alone, whose measurements compare with each other."""
    study = told(part("a", 0.1, 0.1))
    monkeypatch.setattr(confirming, "_seeds", lambda *_: True)
    plan, said = planned(objectives=[{"error": "min"}]), list[str]()
    confirming.confirm(study, plan, WORKPLACE, lambda: fronted(study), lambda: fronted(study), said.append)
    assert [] == said


def test_who_comes_back_by_latency_is_measured_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are confirmed, one of them off the front; by turns the other is slower, so that both stand on it."""
    study = told(part("a", 0.1, 0.1), part("b", 0.2, 0.2))
    for name, error in (("0", 0.1), ("1", 0.2)):
        confirmed.keep(study, name, again(error))
    rounds: list[list[str]] = []

    def turns(_: object, __: object, ___: object, beside: dict[File, Candidate], *____: object) -> bool:
        rounds.append([each.part.digest for each in beside.values()])
        for name in ("0", "1"):
            confirmed.keep(study, name, again(0.1 + 0.1 * int(name), by_turns=(taken(0.3 - 0.1 * int(name)),)))
        return True

    monkeypatch.setattr(confirming, "_seeds", lambda *_: True)
    monkeypatch.setattr(confirming, "_turns", turns)
    plan = planned(objectives=[{"error": "min"}])
    confirming.confirm(study, plan, WORKPLACE, lambda: fronted(study), lambda: fronted(study), lambda _: None)
    assert [["a"], ["a", "b"]] == rounds


def members(*values: tuple[float, float], reference: tuple[float, float] | None = (4.0, 4.0)) -> Front:
    """Return a front of networks with these stored values, named 0, 1, ..., measured from a reference."""
    study = optuna.create_study(directions=["minimize"] * 2)
    for _ in values:
        trials.end(study, study.ask(), Ended(), (0.0, 0.0))
    every = zip(trials.read(study, {}), values, strict=True)
    return Front(tuple(Candidate(trial, part("a", 0.1), each) for trial, each in every), (), None, None, reference)


def following(front: Front, done: Sequence[str] = (), most: int = 9) -> str | None:
    """Return the name of who is confirmed next, None if nobody is."""
    found = confirming.following(front, done, most)
    return found.name if found else None


def test_who_holds_most_of_the_hypervolume_is_next() -> None:
    """After the best in the first objective; alone they dominate 1, 4 and 1 of the area up to (4, 4)."""
    now = members((0, 3), (1, 1), (3, 0))
    assert ("0", "1", "2") == (following(now), following(now, ["0"]), following(now, ["0", "1"]))
    assert ("0", None) == (following(now, ["1"]), following(now, ["0", "1", "2"]))


def test_of_members_with_the_same_values_one_stands_for_all() -> None:
    """Alone neither would lose the front anything; once one is done, the other can wait."""
    now = members((0, 3), (1, 1), (1, 1), (3, 0))
    first = following(now, ["0", "3"])
    assert first in ("1", "2")
    assert "3" == following(now, ["0", first])
    assert {"1", "2"} == {first, following(now, [first, "0", "3"])}
    beyond = members((1, 1), (1, 1), (0, 5))  # the last lies beyond the reference: it holds nothing
    assert "2" == following(beyond, ["0"])


def test_no_more_than_most_are_next_and_without_a_reference_the_first() -> None:
    """Who is done and left the front is none of the members."""
    now = members((0, 3), (1, 1), (3, 0), reference=None)
    assert ("0", "1") == (following(now), following(now, ["0"]))
    assert (None, "1") == (following(now, ["0"], 1), following(now, ["0", "77"], 2))


@pytest.fixture
def plan() -> StudyPlan:
    """The plan of a study that confirms one member with two seeds and measures on the fake target."""
    dataset = images(120)
    objectives = [{"error": "min"}, {"latency": "min", "target": "fake", "threads": 1, "time": 0.05}]
    return planned(dataset, objectives=objectives, fit={"epochs": 1, "rungs": [1]}, confirm={"seeds": 2, "members": 1})


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A folder with the data of a run, the last 60 of them as the test split."""
    dataset = images(120)
    dataset = replace(dataset, read_test=lambda: dataset.validation)
    shared.write(dataset, tmp_path / jobs.DATA)
    shared.write_test(dataset, tmp_path / jobs.TEST)
    (tmp_path / "weights").mkdir()
    return replace(WORKPLACE, folder=tmp_path, weights=tmp_path / "weights")


def searched(plan: StudyPlan) -> optuna.Study:
    """Return a study in which the first network of its space has had a trial."""
    study = optuna.create_study(directions=["minimize"] * 2)
    trial, model = study.ask(), drawn(plan)
    trials.begin(trial, Begun("random", model.name, model.family, model.yaml, plan.identity(model)))
    (whole,) = parts(plan, model)
    whole = replace(whole, score=Score(0.1, 100, 0.5), samples=(taken(0.1),))
    trials.end(study, trial, Ended((whole,)), achieved(whole, plan.objectives))
    return study


def confirm(study: optuna.Study, plan: StudyPlan, place: Workplace) -> tuple[tuple[str, ...], list[str]]:
    """Confirm a front, as another run does; return whose turn it was and what was said."""
    said: list[str] = []
    place = replace(place, turned=confirming.turned(study).number)

    def now() -> Front:
        return front(candidates(study, trials.read(study, {}), plan.objectives), None)

    def contenders() -> Front:
        found = candidates(study, trials.read(study, {}), plan.objectives)
        return front(as_searched(found, plan.objectives), None)

    return confirming.confirm(study, plan, place, now, contenders, said.append), said


def test_every_seed_is_trained_and_tested_once(plan: StudyPlan, place: Workplace) -> None:
    """Each gives a score on validation and test split, then the graph is measured; a second run has nothing to do."""
    study = searched(plan)
    done, said = confirm(study, plan, place)
    first = confirmed.confirmed(study, "0")
    assert (("0",), ["confirming 0 with 2 seeds", "measuring 1 network by turns on fake"]) == (done, said)
    assert first is not None
    assert ((1, 2), 2, 2, 1, None) == (
        first.seeds,
        len(first.scores),
        len(first.tests),
        len(first.samples),
        first.reason,
    )
    assert [60, 60] == [each.count for each in first.tests]
    assert ["0.seed1.pt", "0.seed2.pt"] == sorted(each.name for each in place.weights.iterdir())
    more = replace(plan, spec=planned(images(120), confirm={"seeds": 3, "members": 1}).spec)
    assert ((), [STANDS]) == confirm(study, plan, place)
    anew = replace(place, options=replace(place.options, anew=True))
    assert ((), ["measuring 1 network by turns on fake"]) == confirm(study, plan, anew)
    assert "confirming 0 with 1 seed" == confirm(study, more, place)[1][0]
    now = confirmed.confirmed(study, "0")
    assert now is not None
    assert ((1, 2, 3), first.scores) == (now.seeds, now.scores[:2])


def test_members_are_trained_longer_if_asked_and_anew_if_that_changes(plan: StudyPlan, place: Workplace) -> None:
    """What they gave with fewer epochs does not count, what was measured does."""
    study = searched(plan)
    confirm(study, plan, place)
    before = confirmed.confirmed(study, "0")
    asked = planned(images(120), fit={"epochs": 1, "rungs": [1]}, confirm={"seeds": 2, "members": 1, "epochs": 3})
    longer = replace(plan, spec=asked.spec, extent=asked.extent)
    job = jobs.confirm(longer, drawn(longer), place.folder, 1, 1)
    assert (3, None, 1) == (
        job.fit["epochs"],
        job.fit["rungs"],
        jobs.train(longer, drawn(plan), place.folder, 1).fit["epochs"],
    )
    assert "confirming 0 with 2 seeds" in confirm(study, longer, place)[1]
    after = confirmed.confirmed(study, "0")
    assert before is not None
    assert after is not None
    assert (0, 3, (1, 2)) == (before.epochs, after.epochs, after.seeds)
    assert before.scores != after.scores
    assert [STANDS] == confirm(study, longer, place)[1]


def test_when_the_time_is_over_nothing_is_confirmed(plan: StudyPlan, place: Workplace) -> None:
    """No seed is trained, and nothing measured."""
    study = searched(plan)
    assert ((), []) == confirm(study, plan, replace(place, deadline=0.0))
    assert None is confirmed.confirmed(study, "0")


def test_data_that_are_gone_end_the_run(plan: StudyPlan, place: Workplace) -> None:
    """No seed could be tested: that is no failure of the network."""
    (place.folder / jobs.TEST).unlink()
    study = searched(plan)
    with pytest.raises(InputError, match="the test split of the run: "):
        confirm(study, plan, place)
    assert None is confirmed.confirmed(study, "0")


def test_what_cannot_be_measured_by_turns_is_said(plan: StudyPlan, place: Workplace) -> None:
    """The seeds that were trained are kept, and it ends."""
    lost = replace(plan, setups=(replace(plan.setups[0], target="abacus"),))
    study = searched(plan)
    done, said = confirm(study, lost, place)
    assert (("0",), True) == (done, said[-1].startswith("not measured again: unknown target 'abacus'"))
    held = confirmed.confirmed(study, "0")
    assert held is not None
    assert ((1, 2), ()) == (held.seeds, held.samples)
