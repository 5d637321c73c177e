"""Measurements: the statistics are exact, their intervals hold what they promise, and doubts are said in words."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.errors import InputError, TargetError, unknown
from archcost.measured import (
    DTYPES,
    Origin,
    Plan,
    Samples,
    contention,
    enough,
    half_width,
    interval,
    median,
    percentile,
    rank,
    settled,
    spread,
    summarise,
)

ORIGIN = Origin("cpu", "eager", "AMD EPYC", (("torch", "2.13.0"),))
STEADY = Samples(
    origin=ORIGIN,
    plan=Plan(batch=8, dtype="bfloat16", threads=2),
    warmup_s=(0.004, 0.002),
    samples_s=tuple(0.001 + 1e-7 * (i % 10) for i in range(50)),
    loops=1,
    settled=True,
    sampling_s=0.05,
    waited_s=0.001,
)
DURATIONS = st.lists(st.floats(1e-7, 1e3), min_size=1, max_size=80)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"batch": 0}, "batch: given 0; allowed: an integer of at least 1"),
        ({"batch": True}, "batch: given True; allowed: an integer of at least 1"),
        ({"threads": 1.5}, "threads: given 1.5; allowed: an integer of at least 1"),
        ({"seed": -1}, "seed: given -1; allowed: an integer of at least 0"),
        ({"dtype": "float23"}, f"dtype: {unknown('dtype', 'float23', DTYPES)}"),
        ({"precision": 0}, "precision: given 0; allowed: a number above 0 and below 1"),
        ({"precision": 1.0}, "precision: given 1.0; allowed: a number above 0 and below 1"),
        ({"precision": math.nan}, "precision: given nan; allowed: a number above 0 and below 1"),
        ({"time_s": math.inf}, "time_s: given inf; allowed: a number above 0 and finite"),
        ({"time_s": "10"}, "time_s: given '10'; allowed: a number above 0 and finite"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_is_refused(given_: dict[str, Any], message: str) -> None:
    """A plan names the key, what was given and what is allowed."""
    with pytest.raises(InputError) as caught:
        Plan(**given_)
    assert str(caught.value) == message


def test_all_mistakes_of_a_plan_at_once() -> None:
    """Whoever mistypes three values is told of three."""
    with pytest.raises(InputError) as caught:
        Plan(batch=-1, precision=2, time_s=0)
    assert [mistake.path for mistake in caught.value.mistakes] == [("batch",), ("precision",), ("time_s",)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_plans_take_every_dtype(dtype: str) -> None:
    """Each of the literal dtypes is a plan."""
    assert Plan(dtype=dtype).dtype == dtype


@pytest.mark.parametrize("wrong", [0.0, -1e-9, math.nan, math.inf])
def test_a_sample_is_a_positive_time(wrong: float) -> None:
    """A clock that stood still or was set back gives no measurement, and the target is named."""
    with pytest.raises(TargetError, match=f"target 'cpu' gave a sample of {wrong} s: its clock"):
        replace(STEADY, samples_s=(0.1, wrong))


def test_no_sample_is_no_measurement() -> None:
    """Statistics of nothing do not exist."""
    with pytest.raises(TargetError, match="target 'cpu' gave no sample"):
        replace(STEADY, samples_s=())


def missed(count: int, place: int) -> Fraction:
    """Return the chance that the place-th smallest and largest of `count` samples do not enclose the median."""
    outside = sum(math.comb(count, k) for k in range(count + 1) if k < place or count - k < place)
    return Fraction(outside, 2**count)


@pytest.mark.parametrize("count", [*range(64), 100, 257])
def test_ranks_equal_a_brute_force_binomial(count: int) -> None:
    """The ranks are the innermost ones whose exact chance to miss the median is at most 1%."""
    places = [place for place in range(1, count // 2 + 1) if missed(count, place) <= Fraction(1, 100)]
    assert rank(count) == max(places, default=0)


@pytest.mark.parametrize("count", range(1, 13))
def test_ranks_hold_for_every_way_samples_can_fall(count: int) -> None:
    """Counted over all 2^n ways of n samples to lie above or below the median, at most 1% miss it."""
    place = rank(count)
    ways = [sum(sides) for sides in product((0, 1), repeat=count)]
    misses = sum(below < place or count - below < place for below in ways)
    assert misses * 100 <= len(ways)


@pytest.mark.parametrize(("count", "place"), [(7, 0), (8, 1), (20, 4), (100, 37), (10_000, 4871)])
def test_ranks_of_the_tables(count: int, place: int) -> None:
    """Known ranks for 99%; below 8 samples there are none, and 10,000 take no longer than a sorting."""
    assert rank(count) == place


@given(DURATIONS)
def test_the_interval_holds_the_median(durations: list[float]) -> None:
    """The median lies in its interval, and the interval among the samples."""
    bounds = interval(durations)
    assert (bounds is None) == (len(durations) < 8)
    if bounds is not None:
        assert min(durations) <= bounds[0] <= median(durations) <= bounds[1] <= max(durations)


@given(DURATIONS, st.randoms(use_true_random=False))
def test_order_does_not_matter(durations: list[float], draw: random.Random) -> None:
    """The statistics are those of the set of samples; only the warm-up rule looks at their order."""
    shuffled = list(durations)
    draw.shuffle(shuffled)
    assert summarise(replace(STEADY, samples_s=tuple(shuffled))) == summarise(
        replace(STEADY, samples_s=tuple(durations))
    )


@given(DURATIONS, st.integers(-8, 8))
def test_scaling_scales(durations: list[float], power: int) -> None:
    """Seconds scale with the samples, shares do not; powers of two keep it exact."""
    k = 2.0**power
    one = summarise(replace(STEADY, samples_s=tuple(durations)))
    other = summarise(replace(STEADY, samples_s=tuple(k * d for d in durations)))
    times = [(one.median_s, other.median_s), (one.min_s, other.min_s), (one.p90_s, other.p90_s)]
    times += list(zip(one.interval_s or (), other.interval_s or (), strict=True))
    assert [b for _, b in times] == [a and k * a for a, _ in times]
    assert (other.spread, other.stable) == (one.spread, one.stable)
    assert other.examples_per_s * k == pytest.approx(one.examples_per_s)


SKEWED: dict[str, tuple[Callable[[random.Random], float], float]] = {
    "exponential": (lambda draw: draw.expovariate(1.0), math.log(2)),
    "lognormal": (lambda draw: draw.lognormvariate(0.0, 1.0), 1.0),
    "pareto": (lambda draw: draw.paretovariate(1.1), 2 ** (1 / 1.1)),
    "ticks": (lambda draw: float(draw.choice((1, 1, 2, 2, 2, 3, 9))), 2.0),
}


@pytest.mark.parametrize("count", [8, 20, 45, 150])
@pytest.mark.parametrize("law", SKEWED)
def test_the_interval_covers_the_true_median(law: str, count: int) -> None:
    """Of 1,000 seeded samples of a skewed law, at least 98% have the true median in their 99% interval."""
    draw, truth = SKEWED[law]
    randoms = random.Random(f"{law} {count}")
    bounds = [interval([draw(randoms) for _ in range(count)]) for _ in range(1000)]
    assert sum(b is not None and b[0] <= truth <= b[1] for b in bounds) >= 980


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [(43, 90, None), (44, 90, 40), (50, 90, 45), (458, 99, None), (459, 99, 455), (500, 99, 495), (1, 50, None)],
)
def test_percentiles_need_samples(count: int, percent: int, expected: int | None) -> None:
    """A percentile is the ceil(p*n)-th smallest sample, and null where the slowest may still lie below it."""
    assert percentile([float(i) for i in range(count, 0, -1)], percent) == expected


def test_spread_is_the_interquartile_range_over_the_median() -> None:
    """Of 1 to 8 the quartiles are 2 and 6, the median 4.5."""
    assert spread([8.0, 1, 2, 3, 4, 5, 6, 7]) == (6 - 2) / 4.5


def test_half_width_is_a_share_of_the_median() -> None:
    """Of 8 samples the interval is their range; of 7 there is none."""
    assert half_width([9.0, 9, 9, 10, 10, 11, 11, 11]) == 0.1
    assert half_width([10.0] * 7) == math.inf


@pytest.mark.parametrize(
    ("durations", "expected"),
    [([1.0] * 19, False), ([1.0] * 20, True), ([0.99] * 10 + [1.01] * 10, True), ([0.9] * 10 + [1.1] * 10, False)],
)
def test_enough(durations: list[float], expected: bool) -> None:
    """Sampling stops from 20 samples on, where the interval is as narrow as asked."""
    assert enough(durations, 0.02) is expected


NOISE = [draw.lognormvariate(0.0, 0.1) for draw in [random.Random(4)] for _ in range(200)]


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        ([], False),
        ([1.0] * 9, False),
        ([1.0] * 10, True),
        ([30.0, 2.0, *[1.0] * 12], True),
        ([30.0, 2.0, *[1.0] * 8], True),
        ([10.0 - i for i in range(10)], False),
        ([1 + 0.7**i for i in range(10)], False),
        ([1 + 0.7**i for i in range(40)], True),
        ([1 - 0.0015 * i for i in range(100)], False),
        (NOISE, True),
        ([1.0] * 50 + [1.2] * 50, True),
        ([1.0] * 75 + [1.2] * 25, False),
    ],
)
def test_settled(durations: list[float], expected: bool) -> None:
    """A warm-up is over when its last two windows agree and no fall is seen between them."""
    assert settled(durations) is expected


def test_the_row_has_the_keys_of_the_format() -> None:
    """One row of `latencies` is what the format fixes, and plain JSON."""
    row = summarise(STEADY).to_dict()
    assert json.loads(json.dumps(row)) == {
        "target": "cpu",
        "runtime": "eager",
        "device": "AMD EPYC",
        "batch": 8,
        "dtype": "bfloat16",
        "threads": 2,
        "warmup": 2,
        "samples": 50,
        "median_s": 0.00100045,
        "min_s": 0.001,
        "p90_s": 0.0010008,
        "p99_s": None,
        "interval_s": [0.0010003, 0.0010006],
        "spread": pytest.approx(0.0000005 / 0.00100045),
        "stable": True,
        "why": "",
        "examples_per_s": pytest.approx(8 / 0.00100045),
    }


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"settled": False}, "warm-up did not settle in 2 calls"),
        ({"samples_s": (0.001,) * 19}, "too few samples: 19, at least 20 needed"),
        ({"samples_s": (0.875,) * 15 + (1.125,) * 15, "sampling_s": 10.0},
         "stopped after 10.0 s with the interval at +-12.5% of the median, 2.0% asked"),
        ({"samples_s": (0.9799,) * 15 + (1.0201,) * 15},
         "stopped after 50.0 ms with the interval at +-2.1% of the median, 2.0% asked"),
        ({"waited_s": 0.0051}, "contention: 5.1% of the sampling time went by waiting for a core"),
        ({"waited_s": 0.0049}, ""),
        ({"waited_s": None}, ""),
        ({"settled": False, "samples_s": (1.0,)},
         "warm-up did not settle in 2 calls; too few samples: 1, at least 20 needed"),
    ],
)  # fmt: skip
def test_doubts_are_said_in_words(changes: dict[str, Any], why: str) -> None:
    """A row that is not stable says everything that speaks against it; a stable one says nothing."""
    row = summarise(replace(STEADY, **changes))
    assert (row.stable, row.why) == (not why, why)


def test_contention_is_a_share_of_the_average_thread() -> None:
    """Two threads that waited 1 ms together in 50 ms waited 1% each."""
    assert contention(STEADY) == pytest.approx(0.01)
    assert contention(replace(STEADY, waited_s=None)) is None


def test_rows_of_calls_have_no_percentiles() -> None:
    """Where a sample is a mean of several calls, its tail is not that of the calls."""
    row = summarise(replace(STEADY, loops=8))
    assert (row.p90_s, row.p99_s, row.median_s) == (None, None, 0.00100045)
