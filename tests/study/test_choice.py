"""The network to take: the best within a budget, how sure that is, and what would change it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from fronts import OBJECTIVES, again, part, taken, told
from measurements import noisy
from stored_studies import Wanted, made

from archcost.errors import InputError
from archcost.profiling.budget import Budget
from archcost.study.records import confirmed, trials
from archcost.study.records.best.advice import advise
from archcost.study.records.best.choice import Choice, Field, within
from archcost.study.records.database.addresses import Address
from archcost.study.records.names import Name
from archcost.study.records.part import achieved
from archcost.study.records.stored import Stored
from archcost.study.records.trials import Ended, remember
from archcost.training.score import Score

THREE = (part("a", 0.1, 0.3), part("b", 0.2, 0.2), part("c", 0.3, 0.1))
KEYS = ["take", "trial", "column", "way", "objectives", "probability", "runner_up", "why", "export"]


def stored(study: optuna.Study, limits: dict[str, object] | None = None) -> Stored:
    """Return a study as it is read."""
    remember(study, "about", {"schema": 1, "name": "x", "same": {"limits": limits}})
    return Stored(study, Address(Path("study.db")), "x", OBJECTIVES, tuple(name for name, _ in OBJECTIVES))


def chosen(study: optuna.Study, budget: Budget | None = None) -> Choice:
    """Return the network to take of a study."""
    held = stored(study)
    return advise(Field(held, held.front()), budget, "study.yaml")


def rising(*errors: tuple[float, ...]) -> optuna.Study:
    """Return a study whose trials had these errors at their rungs."""
    study = optuna.create_study(directions=["minimize"] * len(OBJECTIVES))
    for name, curve in zip("abc", errors, strict=False):
        each = part(name, curve[-1])
        trial = study.ask()
        for epoch, error in enumerate(curve, 1):
            trials.reach(trial, epoch, (error, 0.0, 0.0))
        trials.end(study, trial, Ended((each,)), achieved(each, OBJECTIVES))
    return study


@pytest.mark.parametrize(
    ("limit_s", "take", "runner_up"),
    [(0.5, "0", "1"), (0.25, "1", "2"), (0.11, "2", None)],
)
def test_the_best_that_keeps_the_budget(limit_s: float, take: str, runner_up: str | None) -> None:
    """By what is learnt, among those that the next measurement finds within the limit."""
    found = chosen(told(*THREE), Budget(latency_s=limit_s))
    assert (take, runner_up) == (found.take, found.runner_up and str(found.runner_up.name))
    assert 0.8 <= (found.probability or 0) <= 1
    assert found.export == f"archcost export study.yaml --trial {take} --bundle trial-{take}"


def test_without_a_budget_the_best_is_taken() -> None:
    """With certainty: there is nothing to keep."""
    found = chosen(told(*THREE))
    assert ("0", 1.0, {}) == (found.take, found.probability, found.budget)
    assert found.why[0] == "Take 0: 10.0% validation error at 300 ms and 6.27 k params, the best of 3 networks: no " \
                           "budget is set."  # fmt: skip


def test_no_network_within_the_budget_names_the_nearest() -> None:
    """The one that is over by the least, and by how much; nothing is exported."""
    found = chosen(told(*THREE), Budget(latency_s=0.08))
    assert (None, None, None) == (found.take, found.probability, found.export)
    assert (Name(2), ("2", None)) == (
        found.nearest and found.nearest.name,
        (found.to_dict()["nearest"]["take"], found.to_dict()["objectives"]),
    )
    assert "No network keeps 80.0 ms: nearest is 2, " in found.why[0]
    assert found.why[0].endswith("25.0% over.")


def test_the_nearest_is_judged_by_the_limit_it_misses_by_most() -> None:
    """Of two limits the worse one is named."""
    (why,) = chosen(told(*THREE), Budget(params=3000, latency_s=0.09)).why
    assert "nearest is 2" in why
    assert why.endswith("2.09 times as much in params.")


def test_at_the_edge_the_likeliest_is_taken_and_doubted() -> None:
    """Where none is sure to keep the budget, but one more likely than not."""
    found = chosen(told(*THREE), Budget(latency_s=0.102))
    assert (found.take, 0.5 < (found.probability or 0) < 0.8) == ("2", True)
    assert found.doubts[0] == "No network is 80% likely to keep the budget: 2 is the likeliest."


def test_json_has_the_keys_of_the_format() -> None:
    """In their order, with a column's number, and with what else there is to say after them."""
    study = told(part("a", 0.1))
    column = replace(part("b", 0.2, 0.01), column=2)
    trials.end(study, study.ask(), Ended((column,)), achieved(column, OBJECTIVES))
    found = chosen(study, Budget(latency_s=0.05)).to_dict()
    assert KEYS == [*found][: len(KEYS)]
    assert ("1/2", 1, 2, None) == tuple(found[key] for key in KEYS[:4])
    assert {"error": 0.2, "latency_s": pytest.approx(0.01), "params": 6274} == found["objectives"]
    assert {"latency_s": 0.05} == found["budget"]
    assert found == json.loads(json.dumps(found))


def test_the_runner_up_says_what_each_costs_more() -> None:
    """In base units as values, and in words with units."""
    found = chosen(told(*THREE), Budget(latency_s=0.5))
    assert {"error": pytest.approx(0.1), "latency_s": pytest.approx(-0.1), "params": 0} == found.more
    assert found.why[1].endswith("it costs 10.0 points of error more, 0 costs 100.0 ms of latency more.")


@pytest.mark.parametrize(("test", "contradicts"), [(0.3, True), (0.05, False)])
def test_what_is_compared_is_the_validation_split(test: float, contradicts: bool) -> None:
    """Where the test split is shown, differences say that they are not its, and it is said if its order is another."""
    study = told(part("a", 0.1, 0.2), part("b", 0.2, 0.1))
    for name, error, tested in (("0", 0.1, test), ("1", 0.2, 0.2)):
        confirmed.keep(study, name, replace(again(error), tests=(Score(0.1, 100, tested),)))
    why = chosen(study, Budget(latency_s=0.5)).why
    assert "it costs 10.0 points of validation error more, 0 costs 100.0 ms of latency more." in why[1]
    assert contradicts == why[2].startswith("The test split says otherwise")


def test_columns_with_shared_weights_are_doubted() -> None:
    """They were never trained alone."""
    study = told(part("a", 0.5))
    column = replace(part("b", 0.2), column=1)
    trials.end(study, study.ask(), Ended((column,)), achieved(column, OBJECTIVES))
    doubts = chosen(study).doubts
    assert doubts[0] == "1/1 was only trained together with other columns: alone it may reach another error."


def test_an_unconfirmed_network_is_supposed_to_lose_what_confirmed_ones_lost() -> None:
    """The first was lucky by 5 points, so that a single 10% does not beat a confirmed 12%."""
    study = told(part("a", 0.07), part("b", 0.1))
    confirmed.keep(study, "0", again(0.12, 0.12, 0.12))
    found = chosen(study)
    assert ("0", "1") == (found.take, str(found.runner_up and found.runner_up.name))
    unsure = told(part("a", 0.07), part("b", 0.05))
    confirmed.keep(unsure, "0", again(0.12, 0.12, 0.12))
    found = chosen(unsure)
    assert found.take == "1"
    assert "those that were trained again lost 5.0 points of error" in found.doubts[0]


def test_two_seeds_are_said_as_what_they_gave() -> None:
    """No interval is made of two."""
    study = told(part("a", 0.1))
    confirmed.keep(study, "0", again(0.1, 0.14))
    assert "0 rests on 2 seeds, which gave 10.0% and 14.0%." in chosen(study).doubts


def test_another_measurement_could_let_a_better_one_in() -> None:
    """One that is better, and whose trial measured it at the limit."""
    found = chosen(told(*THREE), Budget(latency_s=0.2))
    assert ("2", [("measurement", Name(1))]) == (
        found.take,
        [(each.kind, each.other) for each in found.changes if each.kind == "measurement"],
    )
    assert "Another measurement could change that: 1 is better, and 32% likely to keep it." in found.why


def test_another_seed_changes_what_seeds_do_not_tell_apart() -> None:
    """Of two networks that differ by less than their seeds; not of two that differ by much more."""
    close, far = told(part("a", 0.1), part("b", 0.11)), told(part("a", 0.1), part("b", 0.9))
    for study, second in ((close, 0.11), (far, 0.9)):
        confirmed.keep(study, "0", again(0.08, 0.10, 0.12))
        confirmed.keep(study, "1", again(second - 0.02, second, second + 0.02))
    assert [["seed"], []] == [[each.kind for each in chosen(study).changes] for study in (close, far)]
    assert any("of more epochs that is not known" in line for line in chosen(far).why)


@pytest.mark.parametrize(("rungs", "unknown"), [((), ("epochs",)), ((0.9,), ("epochs",)), ((0.92, 0.9), ())])
def test_what_more_epochs_would_do_is_known_by_two_rungs(rungs: tuple[float, ...], unknown: tuple[str, ...]) -> None:
    """By fewer nothing is known of it, and nothing is said to be unlikely."""
    study = optuna.create_study(directions=["minimize"] * len(OBJECTIVES))
    for name, curve in (("a", tuple(each - 0.8 for each in rungs)), ("b", rungs)):
        each, trial = part(name, 0.1 if name == "a" else 0.9), study.ask()
        for epoch, error in enumerate(curve, 1):
            trials.reach(trial, epoch, (error, 0.0, 0.0))
        trials.end(study, trial, Ended((each,)), achieved(each, OBJECTIVES))
    confirmed.keep(study, "0", again(0.08, 0.10, 0.12))
    confirmed.keep(study, "1", again(0.88, 0.90, 0.92))
    found = chosen(study)
    assert (unknown, not unknown) == (found.unknown, any("more epochs are not likely" in line for line in found.why))


def test_more_epochs_change_what_still_falls() -> None:
    """The second gained more between its last rungs than it is behind."""
    kinds = [[each.kind for each in chosen(rising((0.4, 0.2), other)).changes] for other in ((0.6, 0.22), (0.3, 0.29))]
    assert [["seed", "epochs"], ["seed"]] == kinds


def test_limits_that_are_given_replace_the_studys_own() -> None:
    """The others stay."""
    held = stored(told(*THREE), {"latency": 0.2, "params": 9000})
    assert Budget(latency_s=0.2, params=9000) == within(held, {"latency": None})
    assert Budget(latency_s=0.5, params=9000) == within(held, {"latency": 0.5})
    assert within(stored(told(*THREE)), {"latency": None}) is None


def test_a_size_is_that_of_parameters_and_buffers() -> None:
    """Four bytes for each, of the network as it is counted."""
    held = made(wanted=Wanted(trials=12, confirmed=0))
    found = advise(Field(held, held.front()), Budget(weights_bytes=20_000))
    assert found.taken is not None
    assert 4 * found.taken.counts["params"] < found.taken.counts["weights"] <= 20_000


def test_an_unstable_latency_is_doubted() -> None:
    """As the front's table does."""
    restless = replace(part("a", 0.1), samples=(noisy(0.1, noise=0.5),))
    assert any("is not stable" in line for line in chosen(told(restless)).doubts)


def test_nothing_to_choose_from_is_a_mistake() -> None:
    """A study without a complete trial, and a limit on what nothing measures."""
    with pytest.raises(InputError, match="no complete trial yet"):
        chosen(told())
    counted = made(wanted=Wanted(trials=12, confirmed=0, objectives=(("error", None), ("params", None))))
    with pytest.raises(InputError, match="the study has measured no latency"):
        advise(Field(counted, counted.front()), Budget(latency_s=1.0))


def test_a_network_that_was_measured_once_is_doubted() -> None:
    """With how far measurements differ here, and how that is known."""
    found = chosen(told(*THREE), Budget(latency_s=0.5))
    assert found.doubts[-1] == "0 was measured once; that measurements differ by 2.0% is supposed."
    study = told(*THREE)
    confirmed.keep(study, "1", again(0.2, 0.2, 0.2, by_turns=(taken(0.22, 9),)))
    assert "from 1 second measurement of networks" in chosen(study, Budget(latency_s=0.5)).doubts[-1]
