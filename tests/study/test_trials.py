"""The typed view of trials: what is kept while one begins, reaches a rung and ends is read again, and it ends once."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measurements import noisy
from optuna.distributions import IntDistribution

from archcost.errors import InputError
from archcost.study.records import trials
from archcost.study.records.part import Part, achieved, counted
from archcost.study.records.reasons import Reason
from archcost.study.records.trials import Begun, Ended, Held, Trial
from archcost.training.score import Score

OBJECTIVES = (("error", None), ("latency", 0), ("params", None))
BEGUN = Begun("tpe", "net", "fractal", "family: fractal\n", "0123")
PART = Part(0, "abcd", 6274, 10_000, 4096, Score(0.5, 100, 0.25), (noisy(0.001),))
WIDTH = IntDistribution(1, 9)


@pytest.fixture
def study() -> optuna.Study:
    """A study in memory, of three objectives."""
    return created()


def created() -> optuna.Study:
    """Return a study in memory, of three objectives."""
    return optuna.create_study(directions=["minimize"] * len(OBJECTIVES))


def read(study: optuna.Study) -> Trial:
    """Return the one trial of a study."""
    (trial,) = trials.read(study, {})
    return trial


def test_what_is_asked_for_has_begun_nothing(study: optuna.Study) -> None:
    """Its point is known, nothing else."""
    study.ask({"width": WIDTH})
    found = read(study)
    assert ("running", None, {}, None, (), False) == (
        found.state, found.begun, found.rungs, found.ended, found.values, found.writes
    )  # fmt: skip
    assert ({"width"}, False) == (set(found.point), found.counts)


def test_a_trial_is_read_as_it_goes_on(study: optuna.Study) -> None:
    """Its network, its rungs in their order, whether it may have written weights, its end with its values."""
    trial = study.ask({"width": WIDTH})
    trials.begin(trial, BEGUN)
    assert ("running", BEGUN) == (read(study).state, read(study).begun)
    trials.writes(trial)
    for epoch in (1, 3, 10):
        trials.reach(trial, epoch, (1 / epoch, -7.0, math.inf))
    assert {1: (1.0, -7.0, math.inf), 3: (1 / 3, -7.0, math.inf), 10: (0.1, -7.0, math.inf)} == read(study).rungs
    ended = Ended((PART, replace(PART, column=1)), seconds=2.5, versions={"archcost": "1"})
    values = achieved(PART, OBJECTIVES)
    assert trials.end(study, trial, ended, values)
    found = read(study)
    assert ("complete", values, ended, BEGUN) == (found.state, found.values, found.ended, found.begun)
    assert (True, True, "complete", [1, 3, 10]) == (found.writes, found.counts, found.fate, list(found.rungs))


def test_a_rung_is_that_of_all_networks_of_a_trial(study: optuna.Study) -> None:
    """The whole one first, then its columns; none where it has not come."""
    trial = study.ask()
    trials.reach(trial, 1, (0.5, -7.0, 1.0), [(0.4, -8.0, 1.0), (0.6, -7.5, math.inf)])
    trials.reach(trial, 3, (0.3, -7.0, 1.0))
    found = read(study)
    assert ((0.5, -7.0, 1.0), (0.4, -8.0, 1.0), (0.6, -7.5, math.inf)) == found.reached(1)
    assert (((0.3, -7.0, 1.0),), ()) == (found.reached(3), found.reached(10))


def test_the_rungs_of_an_earlier_version_are_those_of_the_whole_network(study: optuna.Study) -> None:
    """It kept one list of values; where a column is on record, that list is still the whole network's."""
    study.ask().set_user_attr("archcost:rung:3", [0.5, -7.0, 1.0])
    assert ((0.5, -7.0, 1.0),) == read(study).reached(3)
    second = study.ask()
    trials.reach(second, 3, (0.5, -7.0, 1.0), [(0.4, -8.0, 1.0)])
    assert [0.5, -7.0, 1.0] == study.trials[1].user_attrs["archcost:rung:3"]


def test_one_that_is_left_behind_is_pruned(study: optuna.Study) -> None:
    """It has no values, and counts."""
    assert trials.end(study, study.ask(), Ended((PART,), seconds=1.0), None)
    found = read(study)
    assert ("pruned", (), (PART,), True) == (found.state, found.values, found.ended and found.ended.parts, found.counts)


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_never_enters(study: optuna.Study, strange: float) -> None:
    """The trial has failed, with its parts and time, for that reason; it counts."""
    assert trials.end(study, study.ask(), Ended((PART,), seconds=1.5), (0.25, strange, 1.0))
    found = read(study)
    assert found.ended is not None
    assert ("failed", (), (PART,), 1.5, True) == (
        found.state, found.values, found.ended.parts, found.ended.seconds, found.counts
    )  # fmt: skip
    assert found.reason is not None
    assert "not_finite" == found.reason.kind


def test_one_that_shall_not_run_does_not_count(study: optuna.Study) -> None:
    """It has failed for optuna, and is none of the trials that were wanted."""
    assert trials.fail(study, study.ask(), Ended(counts=False))
    assert ("failed", False) == (read(study).state, read(study).counts)


def test_a_trial_ends_once(study: optuna.Study, caplog: pytest.LogCaptureFixture) -> None:
    """What has ended stays as it is, and that it should have ended otherwise is logged; the same again is not."""
    trial = study.ask()
    ended = Ended((PART,))
    assert trials.end(study, trial, ended, (0.25, 1.0, 2.0))
    before = read(study)
    with caplog.at_level(logging.WARNING):
        assert not trials.end(study, trial, ended, (0.25, 1.0, 2.0))
        assert [] == caplog.messages
        assert not trials.fail(study, trial, Ended(counts=False))
    assert before == read(study)
    assert ["trial 0 ended as COMPLETE already: that it also ended as FAIL is dropped"] == caplog.messages


def test_trials_that_have_ended_are_read_once(study: optuna.Study) -> None:
    """The caller's memory holds them; one that runs is read anew."""
    trials.end(study, study.ask(), Ended((PART,)), (0.25, 1.0, 2.0))
    trial = study.ask()
    known: dict[int, Trial] = {}
    first = trials.read(study, known)
    assert ([0], ["complete", "running"]) == (list(known), [each.state for each in first])
    trials.reach(trial, 1, (0.5, 1.0, 2.0))
    again = trials.read(study, known)
    assert first[0] is again[0]
    assert {1: (0.5, 1.0, 2.0)} == again[1].rungs


def test_a_study_that_is_held_is_read_like_one_that_runs(study: optuna.Study) -> None:
    """Trials and what was remembered."""
    trials.end(study, study.ask(), Ended((PART,)), (0.25, 1.0, 2.0))
    study.ask()
    trials.remember(study, "reference", (1, 2.5))
    held = Held(tuple(study.get_trials()), study.user_attrs)
    assert trials.read(study, {}) == trials.read(held, {})
    assert [1, 2.5] == trials.remembered(held, "reference") == trials.remembered(study, "reference")
    assert None is trials.remembered(held, "identity")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("begun", {"origin": "tpe"}),
        ("begun", "text"),
        ("ended", {"parts": [{"column": 0}]}),
        ("ended", {"seconds": "long"}),
    ],
)
def test_what_others_wrote_is_no_trial(study: optuna.Study, key: str, value: object) -> None:
    """The trial is named, and where in it something is wrong."""
    study.ask().set_user_attr(f"archcost:{key}", value)
    with pytest.raises(InputError, match="trial 0 is not archcost's: "):
        trials.read(study, {})


COUNTS = st.integers(0, 2**53)
NUMBERS = st.floats(allow_nan=False)
VALUES = st.lists(NUMBERS, max_size=3).map(tuple)
SCORES = st.builds(Score, NUMBERS, COUNTS, *(st.none() | NUMBERS for _ in range(3)))
TAKEN = st.lists(st.integers(0, 99).map(lambda seed: noisy(0.001, seed=seed, bursts=2)), max_size=2).map(tuple)
PARTS = st.builds(Part, COUNTS, st.text(max_size=9), COUNTS, COUNTS, COUNTS, st.none() | SCORES, TAKEN)
VERSIONS = st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=2)


@given(
    begun=st.from_type(Begun),
    ended=st.builds(
        Ended,
        st.lists(PARTS, max_size=3).map(tuple),
        reason=st.none() | st.from_type(Reason),
        counts=st.booleans(),
        repeats=st.none() | COUNTS,
        seconds=NUMBERS,
        versions=VERSIONS,
    ),
    rungs=st.dictionaries(st.integers(0, 999), st.tuples(VALUES, st.lists(VALUES, max_size=2)), max_size=3),
)
def test_all_that_is_kept_is_read(
    begun: Begun, ended: Ended, rungs: dict[int, tuple[tuple[float, ...], list[tuple[float, ...]]]]
) -> None:
    """Whatever a trial is of and whatever it gave."""
    study = created()
    trial = study.ask()
    trials.begin(trial, begun)
    for epoch, (values, columns) in rungs.items():
        trials.reach(trial, epoch, values, columns)
    trials.fail(study, trial, ended)
    found = read(study)
    reached = {epoch: (values, *columns) for epoch, (values, columns) in rungs.items()}
    assert (begun, ended, reached) == (found.begun, found.ended, {epoch: found.reached(epoch) for epoch in found.rungs})


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (PART, (0.25, math.log(0.001), math.log(6274))),
        (replace(PART, score=None), (math.nan, math.log(0.001), math.log(6274))),
        (replace(PART, samples=()), (0.25, -math.inf, math.log(6274))),
        (replace(PART, score=Score(0.5, 100)), (math.nan, math.log(0.001), math.log(6274))),
    ],
)
def test_values_are_stored_so_that_less_is_better(part: Part, expected: tuple[float, ...]) -> None:
    """Shares as they are, times and counts as logarithms; what is not known is not finite."""
    assert expected == pytest.approx(achieved(part, OBJECTIVES), rel=0.01, nan_ok=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("params", 6274), ("macs", 10_000), ("memory", 4096), ("error", None), ("latency", None)],
)
def test_a_count_is_exact(name: str, expected: Any) -> None:
    """What is measured or learnt is none."""
    assert expected == counted(PART, name)


def test_samples_are_kept_as_texts(study: optuna.Study) -> None:
    """Of thousands of seconds a process that reads many trials holds one text; they are the same when they are read."""
    trial = study.ask({"width": WIDTH})
    trials.end(study, trial, Ended((PART,)), (0.25, -6.9, 6274.0))
    (kept,) = study.trials[0].user_attrs["archcost:ended"]["parts"][0]["samples"]
    assert isinstance(kept["bursts"], str)
    assert isinstance(kept["warmup_s"], str)
    ended = read(study).ended
    assert ended is not None
    assert (PART,) == ended.parts
    assert 1 < len(ended.parts[0].samples[0].bursts)
    assert Ended((PART,)) == Ended(tuple(part.packed for part in ended.parts))


def test_a_changed_text_of_samples_is_told(study: optuna.Study) -> None:
    """By its checksum, when the trial is read."""
    trial = study.ask({"width": WIDTH})
    kept = trials.as_kept(Ended((PART,)))
    (taken,) = kept["parts"][0]["samples"]
    taken["bursts"] = taken["bursts"].replace(":8:", ":9:", 1)
    trial.set_user_attr("archcost:ended", kept)
    with pytest.raises(
        InputError, match=r"^trial 0 is not archcost's: parts\.0\.samples\.0\.bursts: .*samples were changed"
    ):
        read(study)
