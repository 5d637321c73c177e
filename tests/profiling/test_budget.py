"""Budgets: counts are hard to the last unit, time is statistical, and what cannot be told is never called held."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measurements import STEADY_WARMUP, burst, samples

from archcost.errors import InputError
from archcost.latency.samples import Plan
from archcost.latency.statistics import block_range
from archcost.latency.summary import Latency, summarise
from archcost.profiling.budget import UNITS, Budget, Facts, Memory, Verdict, judge, judge_latency

FACTS = Facts(
    params=1_000,
    macs=2_000,
    memory=(Memory(1, "float32", 5_000, 4_000), Memory(8, "float32", 9_000, 4_000), Memory(1, "float16", 3_000, 2_000)),
)
COUNTS = st.integers(0, 2**60)


def latency(*durations_s: float, settled: bool = True, waited_s: float = 0.0) -> Latency:
    """Return the latency that these samples give."""
    share = waited_s / len(durations_s)
    warmup_s = STEADY_WARMUP if settled else (0.1,)
    bursts = [burst(each, waited_s=share) for each in durations_s]
    return summarise(samples(bursts, Plan(precision=0.5), warmup_s=warmup_s))


STEADY = latency(*(0.001 + 1e-6 * i for i in range(30)))
DISTURBED = latency(*(0.001 + 1e-6 * i for i in range(30)), waited_s=1.0)
FEW = latency(*(0.001,) * 5)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({}, "the budget sets no limit"),
        ({"params": 0}, "params: given 0; allowed: an integer of at least 1"),
        ({"macs": -5}, "macs: given -5; allowed: an integer of at least 1"),
        ({"params": True}, "params: given True; allowed: an integer of at least 1"),
        ({"memory_bytes": 1.5}, "memory: given 1.5; allowed: an integer of at least 1"),
        ({"weights_bytes": "1 MB"}, "weights: given '1 MB'; allowed: an integer of at least 1"),
        ({"latency_s": math.nan}, "latency: given nan; allowed: a number of seconds above 0"),
        ({"latency_s": math.inf}, "latency: given inf; allowed: a number of seconds above 0"),
        ({"latency_s": 0}, "latency: given 0; allowed: a number of seconds above 0"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(limits: dict[str, Any], message: str) -> None:
    """A budget names the limit, what was given and what is allowed."""
    with pytest.raises(InputError) as caught:
        Budget(**limits)
    assert message == str(caught.value)


def test_all_mistakes_of_a_budget_at_once() -> None:
    """Whoever mistypes three limits is told of three."""
    with pytest.raises(InputError) as caught:
        Budget(params=0, macs=0, latency_s=-1)
    assert [("params",), ("macs",), ("latency",)] == [mistake.path for mistake in caught.value.mistakes]


def test_limits_are_told_in_their_order() -> None:
    """All limits there are have a unit, and are judged in one order whatever was set first."""
    whole = Budget(latency_s=1.0, weights_bytes=4, memory_bytes=3, macs=2, params=1)
    assert list(UNITS) == list(whole.limits())
    assert {"params": 1, "latency": 0.5} == Budget(params=1, latency_s=0.5).limits()


@given(st.integers(1, 2**60), COUNTS)
def test_counts_are_hard_to_the_last_unit(limit: int, actual: int) -> None:
    """Every count holds exactly where it is at most its limit, also beyond what a float tells apart."""
    facts = Facts(actual, actual, (Memory(1, "float32", actual, actual),))
    verdicts = judge(Budget(limit, limit, limit, limit), facts)
    assert [(actual <= limit)] * 4 == [verdict.holds for verdict in verdicts]


@pytest.mark.parametrize("more", [0, 1])
def test_one_more_than_the_limit_is_too_many(more: int) -> None:
    """The limit itself is allowed; one more is not, even at 2^60, where floats are 256 apart."""
    (verdict,) = judge(Budget(params=2**60), Facts(2**60 + more, 0))
    assert (not more, "0 left" if not more else "1 over") == (verdict.holds, verdict.words)


def test_memory_is_judged_in_every_setting() -> None:
    """A budget for memory covers each batch and dtype, one for weights each dtype, once."""
    verdicts = judge(Budget(memory_bytes=8_000, weights_bytes=3_000), FACTS)
    assert [
        ("memory", "batch 1, float32", 5_000, True),
        ("memory", "batch 8, float32", 9_000, False),
        ("memory", "batch 1, float16", 3_000, True),
        ("weights", "float32", 4_000, False),
        ("weights", "float16", 2_000, True),
    ] == [(v.name, v.where, v.actual, v.holds) for v in verdicts]


def test_what_was_not_measured_cannot_be_told() -> None:
    """Without a measurement there is a verdict all the same: not held, not exceeded, and no number made up."""
    budget = Budget(memory_bytes=1, weights_bytes=1, latency_s=1.0)
    verdicts = judge(budget, Facts(1, 1))
    assert [(None, None, None, "not measured")] * 3 == [(v.actual, v.holds, v.share, v.words) for v in verdicts]


def test_a_failure_is_a_verdict_of_its_own() -> None:
    """If one target failed, its reason stands beside the verdict of the other."""
    verdicts = judge(Budget(latency_s=1.0), Facts(1, 1, latencies=(STEADY,), failures=("gpu/eager: no power",)))
    assert [(True, STEADY.median_s), (None, None)] == [(v.holds, v.actual) for v in verdicts]
    assert verdicts[1].words == "not measured: gpu/eager: no power"


@pytest.mark.parametrize(("limit", "holds"), [(1_999, False), (2_000, None), (10**9, None)])
def test_macs_with_operators_left_out_are_a_lower_bound(limit: int, holds: bool | None) -> None:
    """MACs that leave operators out can be too many, but never few enough; the operators are named."""
    (verdict,) = judge(Budget(macs=limit), replace(FACTS, uncounted=("aten::strange",)))
    assert holds is verdict.holds
    assert holds is False or "aten::strange" in verdict.words


@pytest.mark.parametrize(
    ("measured", "limit_s", "holds", "words"),
    [
        (STEADY, 0.002, True, "blocks 1.00 ms to 1.03 ms"),
        (STEADY, 0.001015, None, "blocks 1.00 ms to 1.03 ms: the limit is inside"),
        (STEADY, 0.0009, False, "blocks 1.00 ms to 1.03 ms"),
        (STEADY, 0.0010005, False, "blocks 1.00 ms to 1.03 ms"),
        (DISTURBED, 0.002, True, "not stable: contention"),
        (DISTURBED, 0.001015, None, "the limit is inside; not stable: contention"),
        (DISTURBED, 0.0009, False, "not stable: contention"),
        (DISTURBED, 0.0010005, None, "but the fastest call, 1.00 ms, met the limit; not stable: contention"),
        (FEW, 10.0, None, "5 blocks are too few for an interval; not stable: too few blocks"),
        (FEW, 1e-9, None, "5 blocks are too few for an interval"),
    ],
)
def test_latency_is_judged_by_its_interval(measured: Latency, limit_s: float, holds: bool | None, words: str) -> None:
    """The whole interval decides; a disturbed measurement accuses only if no call met the limit."""
    verdict = judge_latency(limit_s, measured)
    assert holds is verdict.holds
    assert words in verdict.words
    assert verdict.where == "cpu/eager, batch 1, float32, 1 thread"


DURATIONS = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=60)


@given(DURATIONS, st.floats(1e-7, 2.0), st.floats(1.0, 10.0), st.booleans())
def test_a_looser_limit_never_fails_what_held(
    durations: list[float], limit_s: float, looser: float, settled: bool
) -> None:
    """Raising a limit moves a verdict from exceeded over undecided to held, never back."""
    order = {False: 0, None: 1, True: 2}
    measured = latency(*durations, settled=settled)
    tight, loose = (judge_latency(limit, measured).holds for limit in (limit_s, limit_s * looser))
    assert order[tight] <= order[loose]


@given(DURATIONS, st.floats(1e-7, 2.0))
def test_a_verdict_agrees_with_the_median(durations: list[float], limit_s: float) -> None:
    """What holds has its median at most at the limit, what is exceeded has it above; neither without an interval."""
    verdict = judge_latency(limit_s, latency(*durations))
    if verdict.holds is not None:
        assert block_range([[each] for each in durations]) is not None
        assert verdict.actual is not None
        assert verdict.holds == (verdict.actual <= limit_s)


@given(st.integers(1, 10**9), COUNTS, DURATIONS)
def test_verdicts_are_json(limit: int, actual: int, durations: list[float]) -> None:
    """Every verdict is JSON without NaN, with the unit of its numbers and the share that is used."""
    facts = Facts(actual, actual, latencies=(latency(*durations),))
    for verdict in judge(Budget(params=limit, macs=limit, latency_s=0.001), facts):
        value = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
        assert ["name", "where", "limit", "actual", "holds", "words", "at_least", "unit", "share"] == list(value)
        assert value["share"] == value["actual"] / value["limit"]


def test_the_share_is_the_limits() -> None:
    """Half of the limit is 0.5; what is not known has none."""
    assert Verdict("params", "", 10, 5, True, "").share == 0.5
    assert Verdict("params", "", 10, None, None, "").share is None
