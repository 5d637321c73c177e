"""Tables of a study for other tools: their columns, base units in all of them, and None for what is not known."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from fronts import OBJECTIVES, again, fronted, part, told
from optuna.distributions import IntDistribution
from stored_studies import Wanted, made

from archcost.latency.samples import Samples
from archcost.study.objectives import first_learnt
from archcost.study.records import confirmed, tables, trials
from archcost.study.records.database.addresses import Address
from archcost.study.records.interruption import as_left
from archcost.study.records.part import achieved
from archcost.study.records.reasons import INTERRUPTED
from archcost.study.records.stored import Stored
from archcost.study.records.trials import Begun, Ended

COLUMNS = [
    "trial", "number", "column", "way", "state", "reason", "origin", "family", "digest", "params", "macs",
    "memory_bytes",
    "error", "latency_s", "confirmed", "seeds", "test", "probability", "stable", "why", "seconds", "repeats",
    "on_front", "first.error", "first.latency_s",
]  # fmt: skip


def rows(study: optuna.Study) -> list[dict[str, Any]]:
    """Return the table of all trials of a study."""
    return tables.rows(trials.read(study, {}), fronted(study), OBJECTIVES)


@pytest.fixture(scope="module")
def stored() -> Stored:
    """A study of two latencies and the memory in which every kind of end occurs, some members confirmed."""
    return made(wanted=Wanted(objectives=(("error", None), ("latency", 0), ("latency", 1), ("memory", None))))


def test_a_row_has_these_columns() -> None:
    """In this order; other programs read them by name, and people from left to right."""
    (row,) = rows(told(part("a", 0.1)))
    assert COLUMNS == list(row)


def test_all_rows_have_the_same_columns_but_those_of_their_point(stored: Stored) -> None:
    """Whatever became of their trial."""
    every = tables.rows(stored.trials(), stored.front(), stored.objectives)
    assert len({tuple(key for key in row if not key.startswith("point.")) for row in every}) == 1
    assert {"complete", "pruned", "failed", "running"} == {row["state"] for row in every}
    left = tables.rows(as_left(stored.trials(), False), stored.front(), stored.objectives)
    assert {"complete", "pruned", "failed", "interrupted"} == {row["state"] for row in left}
    assert list(every[0]) == list(left[0])


@pytest.mark.parametrize("runs", [True, False, None])
def test_a_trial_has_one_state_in_every_table(runs: bool | None) -> None:
    """One that was interrupted, and one whose run was killed, are that in the rows and in the status."""
    study = told(part("a", 0.1))
    trials.fail(study, study.ask(), Ended(reason=INTERRUPTED, counts=False))
    study.ask()
    held = Stored(study, Address(Path("study.db")), "x", OBJECTIVES, ("error", "latency"))
    last = "interrupted" if runs is False else "running"
    found = tables.rows(as_left(held.trials(), runs), held.front(), OBJECTIVES)
    assert ["complete", "interrupted", last] == [row["state"] for row in found]
    assert Counter(row["state"] for row in found) == tables.status_of(held, held.front(), runs)["states"]


def test_values_are_in_base_units() -> None:
    """Shares of one, seconds, scalars, MACs and bytes: what the storage holds as a logarithm is none here."""
    study = told(replace(part("a", 0.1, 0.25), params=6274, macs=12_345, memory_bytes=4096))
    (row,) = rows(study)
    assert (0.1, 0.25) == (row["error"], pytest.approx(row["latency_s"]))
    assert (6274, 12_345, 4096) == (row["params"], row["macs"], row["memory_bytes"])
    assert ("0", 0, None, "complete", True) == (
        row["trial"],
        row["number"],
        row["column"],
        row["state"],
        row["on_front"],
    )


def test_what_is_not_known_is_none() -> None:
    """Of a trial that runs all that it would give, of one that ended early what it did not come to."""
    study = told()
    trial = study.ask({"width": IntDistribution(3, 3)})
    (row,) = rows(study)
    known = {"trial": "0", "number": 0, "state": "running", "reason": "", "confirmed": False, "on_front": False,
             "point.width": 3}  # fmt: skip
    assert {**dict.fromkeys(COLUMNS), **known} == row
    trials.begin(trial, Begun("tpe", "net", "fractal", "", "id"))
    trials.end(study, trial, Ended((replace(part("a", 0.1), score=None),), seconds=2.0), None)
    (row,) = rows(study)
    assert ("pruned", "tpe", "fractal", 2.0) == (row["state"], row["origin"], row["family"], row["seconds"])
    assert (None, pytest.approx(0.1), 6274) == (row["error"], row["latency_s"], row["params"])
    assert (None, None, None) == (row["seeds"], row["test"], row["stable"])


def test_nothing_in_a_table_is_no_json(stored: Stored) -> None:
    """No NaN and no infinity, which JSON does not have: for what is not known there is null."""
    front = stored.front()
    every = tables.rows(stored.trials(), front, stored.objectives)
    for what in (every, tables.front_of(stored, front), tables.status_of(stored, front)):
        assert json.loads(json.dumps(what, allow_nan=False))


@pytest.mark.parametrize(
    ("objectives", "expected"),
    [
        ((("error", None), ("latency", 0)), ("error", "latency_s")),
        ((("latency", 0), ("error", None), ("latency", 1)), ("latency_s.0", "error", "latency_s.1")),
        ((("bpc", None), ("memory", None), ("macs", None)), ("bpc", "memory_bytes", "macs")),
    ],
)
def test_a_column_says_its_unit(objectives: tuple[tuple[str, int | None], ...], expected: tuple[str, ...]) -> None:
    """Of several latencies each has the number of its way."""
    assert expected == tables.column_names(objectives)


def test_each_column_of_a_trial_is_a_row() -> None:
    """Called by the trial and its own number, with what the trial gave of it alone."""
    study = told()
    both = (part("a", 0.1, 0.2), replace(part("b", 0.3, 0.1), column=1))
    trials.end(study, study.ask(), Ended(both), achieved(both[0], OBJECTIVES))
    found = rows(study)
    assert [("0", None, 0.1), ("0/1", 1, 0.3)] == [(row["trial"], row["column"], row["first.error"]) for row in found]


def test_what_is_sure_of_a_network_that_was_never_confirmed() -> None:
    """No seed and no chance; whether its latency is stable is known from its trial alone."""
    (member,) = fronted(told(part("a", 0.1, bursts=9))).members
    sure = tables.sure(member, OBJECTIVES)
    assert (False, 0, None, None) == tuple(sure[key] for key in ("confirmed", "seeds", "test", "probability"))
    assert isinstance(sure["stable"], bool)
    none: tuple[Samples, ...] = ()
    unmeasured = replace(member, part=replace(member.part, samples=none))
    assert (None, []) == (tables.sure(unmeasured, OBJECTIVES)["stable"], tables.sure(unmeasured, OBJECTIVES)["why"])


def test_the_test_is_the_mean_of_its_seeds() -> None:
    """In the first objective that is learnt; of a study without one there is none."""
    study = told(part("a", 0.1))
    confirmed.keep(study, "0", again(0.2, 0.4))
    (member,) = fronted(study).members
    assert pytest.approx(0.3) == tables.tested(member, OBJECTIVES)
    assert None is tables.tested(member, (("params", None),))
    assert ("error", None) == (first_learnt(OBJECTIVES), first_learnt((("latency", 0),)))


def test_the_state_of_a_study_adds_up(stored: Stored) -> None:
    """Trials by their fate, those that count, seconds of all."""
    every, now = stored.trials(), stored.front()
    found = tables.status_of(stored, now)
    assert (len(every), [each.name for each in now.members]) == (sum(found["states"].values()), found["front"])
    assert found["counted"] == sum(each.counts for each in every) < len(every)
    assert found["seconds"] == pytest.approx(sum(each.ended.seconds for each in every if each.ended))
    assert 1 == found["repeats"]


def test_a_member_of_a_front_is_what_its_row_says(stored: Stored) -> None:
    """Of the table and of the front, by the same names; its intervals hold its values."""
    now = stored.front()
    by_name = {row["trial"]: row for row in tables.rows(stored.trials(), now, stored.objectives)}
    for each in tables.front_of(stored, now)["members"]:
        row = by_name[each["trial"]]
        assert row["on_front"]
        assert {key: row[key] for key in row if key in each} == {key: each[key] for key in row if key in each}
        assert {*tables.column_names(stored.objectives), "seeds", "test", "digest"} <= row.keys() & each.keys()
        for name, (low, high) in each["intervals"].items():
            assert low <= high
            assert name in each
