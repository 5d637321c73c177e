"""Networks with a predicted latency are on no front; those that may enter it are measured, and nobody else."""

from __future__ import annotations

import math
from dataclasses import replace
from math import isnan

import optuna
import pytest
from fronts import OBJECTIVES, fronted, part, taken, told

from archcost.cli.study.lines import front_lines
from archcost.errors import InputError
from archcost.profiling.budget import Budget
from archcost.study.records import confirmed, trials
from archcost.study.records.best.entrants import entrants, following
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.database.addresses import Address
from archcost.study.records.front import Awaited, absent, awaited, candidates
from archcost.study.records.names import Way
from archcost.study.records.part import Part, Predicted, achieved
from archcost.study.records.stored import Stored, member
from archcost.study.records.tables import rows
from archcost.study.records.trials import Ended

WAY = Way(places=(0,))


def foreseen(digest: str, error: float, median_s: float, apart: float = 1.1) -> Part:
    """Return a network whose latency is predicted, its interval a factor `apart` to both sides."""
    predicted = Predicted(0, median_s, median_s / apart, median_s * apart)
    return replace(part(digest, error), samples=(), predicted=(predicted,))


def searched(*parts: Part) -> optuna.Study:
    """Return a study that heard of what is predicted."""
    study = optuna.create_study(directions=["minimize"] * len(OBJECTIVES))
    for each in parts:
        trials.end(study, study.ask(), Ended((each,)), achieved(each.in_way(WAY), OBJECTIVES, each.latencies_s(WAY)))
    return study


def waiting(study: optuna.Study) -> tuple[Awaited, ...]:
    return awaited(study, trials.read(study, {}), OBJECTIVES)


def next_of(study: optuna.Study) -> list[str]:
    """Return the names of who is measured next."""
    known = candidates(study, trials.read(study, {}), OBJECTIVES)
    return [each.name for each in following(known, waiting(study))]


def measure(study: optuna.Study, name: str, time_s: float) -> None:
    """Keep what measuring gave, where confirming keeps it."""
    confirmed.keep(study, name, Confirmed().measured(0, taken(time_s)))


def test_what_is_predicted_is_on_no_front_and_what_is_measured_of_it_is() -> None:
    study = searched(foreseen("a", 0.1, 1.0), part("b", 0.2, 0.5))
    assert ["1"] == [each.name for each in fronted(study).members]
    assert ["0"] == [each.name for each in waiting(study)]
    measure(study, "0", 1.3)
    first, second = fronted(study).members
    assert first.name == "0"
    assert first.values == achieved(part("a", 0.1, 1.3), OBJECTIVES)
    assert first.standing is None  # measured, not trained again
    assert second.name == "1"
    assert not waiting(study)


def test_who_is_on_the_front_as_predicted_is_measured_first() -> None:
    study = searched(foreseen("a", 0.1, 1.0), foreseen("b", 0.2, 1.05), foreseen("c", 0.3, 2.0))
    assert next_of(study) == ["0"]
    measure(study, "0", 1.0)
    assert next_of(study) == ["1"]  # 1.05 / 1.1 is less than 1.0
    measure(study, "1", 1.06)
    assert next_of(study) == []  # 2.0 / 1.1 is not


def test_a_network_that_turned_out_slow_makes_room_for_others() -> None:
    study = searched(
        foreseen("a", 0.1, 1.0), foreseen("b", 0.2, 1.5), foreseen("c", 0.05, 9.0), foreseen("d", 0.3, 0.5)
    )
    measure(study, "2", 9.0)
    measure(study, "3", 0.5)
    assert next_of(study) == ["0"]
    measure(study, "0", 3.0)
    assert next_of(study) == ["1"]


def test_who_may_enter_is_named_as_long_as_it_is_not_measured() -> None:
    study = searched(foreseen("a", 0.1, 1.0), foreseen("c", 0.3, 2.0), part("b", 0.2, 0.5))
    trials.remember(study, "about", {"same": {}})
    stored = Stored(study, Address("study.db"), "one", OBJECTIVES, ("error", "latency", "params"))
    assert ["0"] == [each.name for each in entrants(stored)]
    assert "on the front may be 0, which running the study again measures" in noted(stored)
    measure(study, "0", 1.0)
    assert () == entrants(stored)
    assert "by it they are not on the front" in noted(stored)


def noted(stored: Stored) -> str:
    """Return the notes under a front, in one line."""
    return " ".join(" ".join(front_lines(stored, stored.front())).split())


def test_a_device_that_is_slower_now_is_slower_for_all_networks() -> None:
    """Measured beside what was predicted when it was faster, everything not measured yet would seem to be better."""
    study = searched(foreseen("a", 0.1, 1.0), foreseen("b", 0.2, 1.5))
    assert next_of(study) == ["0"]
    measure(study, "0", 2.0)
    (other,) = waiting(study)
    assert other.expected[1] == pytest.approx(math.log(3.0))
    assert next_of(study) == []


def test_networks_of_one_graph_share_what_was_measured() -> None:
    study = searched(foreseen("a", 0.1, 1.0), foreseen("a", 0.2, 1.0))
    measure(study, "0", 1.2)
    assert not waiting(study)
    assert {achieved(part("a", error, 1.2), OBJECTIVES) for error in (0.1, 0.2)} == {
        each.values for each in candidates(study, trials.read(study, {}), OBJECTIVES)
    }


def test_a_latency_is_measured_if_it_can_be_and_else_predicted() -> None:
    both = replace(part("a", 0.1, 0.5), predicted=(Predicted(0, 2.0, 1.0, 4.0), Predicted(1, 3.0, 2.0, 5.0)))
    way = Way(places=(0, 1, 2))
    first, second, third = both.latencies_s(way)
    assert (first, second) == (0.5, 3.0)
    assert isnan(third)
    assert both.latencies_s(way, least=True)[:2] == (0.5, 2.0)
    assert both.awaits(way)
    assert not both.awaits(WAY)


def test_a_prediction_that_is_surely_over_the_limit_is_no_point() -> None:
    slow = foreseen("a", 0.1, 1.0)
    why = absent(slow, WAY, Budget(latency_s=0.9))
    assert why is not None
    assert "predicted" in why.text
    assert absent(slow, WAY, Budget(latency_s=0.95)) is None  # 1.0 / 1.1 keeps it
    study = searched(slow)
    assert not awaited(study, trials.read(study, {}), OBJECTIVES, limits=Budget(latency_s=0.9))


def test_a_table_tells_what_is_predicted_from_what_is_measured() -> None:
    study = searched(foreseen("a", 0.1, 1.0), part("b", 0.2, 0.5))
    first, second = rows(trials.read(study, {}), fronted(study), OBJECTIVES)
    assert (first["latency_s"], first["predicted.latency_s"]) == (None, 1.0)
    assert (second["latency_s"], second["predicted.latency_s"]) == (pytest.approx(0.5), None)
    (row,) = rows(trials.read(told(part("b", 0.2)), {}), fronted(told(part("b", 0.2))), OBJECTIVES)
    assert not [key for key in row if key.startswith("predicted.")]


def test_a_network_that_is_not_measured_cannot_be_taken_from_a_study() -> None:
    study = searched(foreseen("a", 0.3, 1.0), part("b", 0.2, 0.5))
    trials.remember(study, "about", {"same": {}})
    stored = Stored(study, Address("study.db"), "one", OBJECTIVES, ("error", "latency", "params"))
    assert member(stored, "1").name == "1"
    assert stored.lack.startswith("only predicted latencies, of 1 network; ")
    with pytest.raises(InputError, match="latency of '0' is predicted, not measured; allowed: 1"):
        member(stored, "0")
