"""The front of a study as it is confirmed: what comes onto it, what leaves it, and what is told of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from measurements import samples
from plans import WORKPLACE, planned

from archcost.cli.study.run import status_lines
from archcost.latency.samples import Samples
from archcost.study import confirm as confirming
from archcost.study.records import confirmed, tables, trials
from archcost.study.records.addresses import address
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.front import Candidate, Front, bounds, candidates, front, restored
from archcost.study.records.reasons import Reason
from archcost.study.records.stored import described
from archcost.study.records.trials import Ended, Part
from archcost.training.score import Score

OBJECTIVES = (("error", None), ("latency", 0), ("params", None))


def taken(time_s: float, bursts: int = 8) -> Samples:
    """Return so many bursts, all alike."""
    return samples([[time_s]] * bursts)


def part(digest: str, error: float, time_s: float = 0.1, bursts: int = 8) -> Part:
    """Return what a trial found of a network."""
    return Part(0, digest, 6274, 10, 10, Score(0.1, 100, error), (taken(time_s, bursts),))


def told(*parts: Part) -> optuna.Study:
    """Return a study with a complete trial of each network."""
    study = optuna.create_study(directions=["minimize"] * len(OBJECTIVES))
    for each in parts:
        trials.end(study, study.ask(), Ended((each,)), trials.achieved(each, OBJECTIVES))
    return study


def fronted(study: optuna.Study) -> Front:
    """Return the front of a study."""
    return front(candidates(study, trials.read(study, {}), OBJECTIVES), None)


def again(*errors: float, by_turns: tuple[Samples, ...] = ()) -> Confirmed:
    """Return what confirming found, a seed for each error."""
    scores = tuple(Score(0.1, 100, error) for error in errors)
    return Confirmed(tuple(range(1, len(errors) + 1)), scores, scores, by_turns)


@pytest.fixture
def confirm(monkeypatch: pytest.MonkeyPatch) -> Callable[[optuna.Study, dict[str, float], int], tuple[str, ...]]:
    """Confirms so many members, each of which is found to have the error given instead of being trained."""

    def run(study: optuna.Study, errors: dict[str, float], members: int) -> tuple[str, ...]:
        def seeds(_: object, __: object, ___: object, ____: object, candidate: Candidate, _____: object) -> None:
            confirmed.keep(study, candidate.name, again(errors[candidate.name]))

        monkeypatch.setattr(confirming, "_seeds", seeds)
        plan = planned(objectives=[{"error": "min"}], confirm={"seeds": 1, "members": members})
        return confirming.confirm(study, plan, WORKPLACE, lambda: fronted(study), lambda _: None)

    return run


def test_who_takes_the_place_of_another_is_confirmed_too(
    confirm: Callable[[optuna.Study, dict[str, float], int], tuple[str, ...]],
) -> None:
    """The best of three does worst when trained again: the second stands in its place, and is trained again as well."""
    study = told(part("a", 0.1), part("b", 0.2), part("c", 0.5))
    assert ("0", "1") == confirm(study, {"0": 0.9, "1": 0.2, "2": 0.5}, 1)
    now = fronted(study)
    assert (["1"], 1, ["0"]) == ([each.name for each in now.members], now.confirmed, [each.name for each in now.left])


def test_no_more_members_are_confirmed_than_wanted(
    confirm: Callable[[optuna.Study, dict[str, float], int], tuple[str, ...]],
) -> None:
    """Of two members one is enough where it stays on the front."""
    study = told(part("a", 0.1, 0.2), part("b", 0.2, 0.1))
    assert ("0",) == confirm(study, {"0": 0.1, "1": 0.2}, 1)


def test_networks_of_one_graph_have_one_latency() -> None:
    """The one with most samples; where one was measured by turns, that."""
    study = told(part("a", 0.1, 0.174, 9), part("a", 0.2, 0.147, 8), part("b", 0.3, 0.160, 8))
    now = fronted(study)
    assert ["0", "2"] == [each.name for each in now.members]
    assert [0.174, 0.160] == [pytest.approx(restored(each, OBJECTIVES)[1]) for each in now.members]
    confirmed.keep(study, "1", again(0.2, by_turns=(taken(0.15),)))
    found = {each.name: restored(each, OBJECTIVES)[1] for each in (*fronted(study).members, *fronted(study).others)}
    assert {"0": 0.15, "1": 0.15, "2": 0.160} == {name: pytest.approx(value) for name, value in found.items()}


def test_counts_are_exact_integers() -> None:
    """6274 is no exp(log(6274)) = 6274.000000000004, neither in the table of all trials nor in an interval."""
    study = told(part("a", 0.1))
    confirmed.keep(study, "0", again(0.1, 0.2))
    now = fronted(study)
    (row,) = tables.rows(trials.read(study, {}), now, OBJECTIVES)
    found = [row["params"], tables.known(now.members[0], OBJECTIVES)["params"], *bounds(now.members[0], OBJECTIVES)[2]]
    assert ["6274"] * 4 == list(map(repr, found))


def test_a_row_says_what_the_front_says() -> None:
    """The mean of its seeds, its test, why its latency is not to be trusted; beside it what its trial gave."""
    study = told(part("a", 0.1, bursts=2))
    confirmed.keep(study, "0", again(0.2, 0.4))
    (row,) = tables.rows(trials.read(study, {}), fronted(study), OBJECTIVES)
    assert (True, 2, False) == (row["confirmed"], row["seeds"], row["stable"])
    assert [0.3, 0.3, 0.1] == [pytest.approx(row[key]) for key in ("error", "test", "first.error")]
    assert "too few blocks: 2" in row["why"][0]


def test_reasons_are_wrapped(tmp_path: Path) -> None:
    """A long reason is told to its end, within 80 columns."""
    study = optuna.create_study()
    trials.remember(study, "about", {"schema": 1, "name": "x", "objectives": [["error", None]], "labels": ["error"]})
    trials.fail(study, study.ask(), Ended(reason=Reason("input", f"input: {'word ' * 40}end")))
    lines = list(status_lines(described(study, address("study.db", tmp_path))))
    assert max(map(len, lines)) <= 80
    assert any(line.endswith(" end") for line in lines)


def test_who_comes_back_by_latency_is_measured_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are confirmed, one of them off the front; by turns the other is slower, so that both stand on it."""
    study = told(part("a", 0.1, 0.1), part("b", 0.2, 0.2))
    for name, error in (("0", 0.1), ("1", 0.2)):
        confirmed.keep(study, name, again(error))
    rounds: list[list[str]] = []

    def turns(_: object, __: object, ___: object, graphs: dict[str, Candidate], *____: object) -> bool:
        rounds.append(list(graphs))
        for name in ("0", "1"):
            confirmed.keep(study, name, again(0.1 + 0.1 * int(name), by_turns=(taken(0.3 - 0.1 * int(name)),)))
        return True

    monkeypatch.setattr(confirming, "_seeds", lambda *_: None)
    monkeypatch.setattr(confirming, "_turns", turns)
    plan = planned(objectives=[{"error": "min"}])
    confirming.confirm(study, plan, WORKPLACE, lambda: fronted(study), lambda _: None)
    assert [["a"], ["a", "b"]] == rounds


def test_a_confirmed_network_has_the_latency_of_its_graph() -> None:
    """Of two networks of one graph, whose blocks differ, the worse is not on the front for a latency of its own."""
    by_turns = samples([[0.1]] * 7 + [[0.2]])
    study = told(part("a", 0.2), part("a", 0.3))
    confirmed.keep(study, "0", again(0.2, 0.2, by_turns=(by_turns,)))
    now = fronted(study)
    assert ["0"] == [each.name for each in now.members]
    assert now.members[0].values[1] == now.others[0].values[1]
