"""Estimates: exact where they can be, intervals that hold what they promise, changes seen where there are some."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.latency.statistics import (
    block_range,
    blocks,
    change_point,
    half_width,
    interval,
    last_level,
    median,
    next_median,
    percentile,
    rank,
    settled,
    spread,
)

DURATIONS = st.lists(st.floats(1e-7, 1e3), min_size=1, max_size=80)


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
    """A percentile is the ceil(p*n)-th smallest sample, and null if the slowest may still lie below it."""
    assert percentile([float(i) for i in range(count, 0, -1)], percent) == expected


def test_spread_is_the_interquartile_range_over_the_median() -> None:
    """Of 1 to 8 the quartiles are 2 and 6, the median 4.5."""
    assert spread([8.0, 1, 2, 3, 4, 5, 6, 7]) == (6 - 2) / 4.5


def test_half_width_is_a_share_of_the_middle() -> None:
    """From 9 to 11 around 10 it is a tenth; without an interval it is infinite."""
    assert (0.1, math.inf) == (half_width((9.0, 11.0), 10.0), half_width(None, 10.0))


@given(st.lists(st.lists(st.floats(1e-7, 1e3), min_size=1, max_size=5), max_size=50))
def test_blocks_hold_every_sample_in_order(bursts: list[list[float]]) -> None:
    """There are at most eight, as equal as can be, and joined they are all samples; none is empty."""
    found = blocks(bursts)
    assert [value for burst in bursts for value in burst] == [value for block in found for value in block]
    assert min(8, len(bursts)) == len(found)
    assert all(found)


@pytest.mark.parametrize(
    ("medians", "expected"),
    [
        ([1.0] * 5, None),
        ([3.0, 1.0, 2.0, 2.0, 2.0, 2.0], (1.0, 3.0)),
        ([1.0, 2.0] * 8, (1.5, 1.5)),
        ([*[1.0] * 14, 5.0, 7.0], (1.0, 6.0)),
    ],
)
def test_the_interval_is_the_range_of_the_blocks(medians: list[float], expected: tuple[float, float] | None) -> None:
    """Below six blocks there is none; neighbours are joined, and no block is left out, however far it lies."""
    assert expected == block_range([[value] for value in medians])


def test_the_range_of_eight_blocks_covers_the_true_median() -> None:
    """Where blocks are independent the range misses once in 128: of 2,000 seeded runs at least 98.5% cover."""
    draw = random.Random(5)
    runs = [block_range([[draw.lognormvariate(0, 0.3) for _ in range(5)] for _ in range(8)]) for _ in range(2000)]
    assert sum(found is not None and found[0] <= 1.0 <= found[1] for found in runs) >= 1970


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        ([], None),
        ([1.0], None),
        ([1.0] * 50, None),
        ([2.0] * 10 + [1.0] * 10, 10),
        ([1.0] * 30 + [1.005] * 30, None),
        ([2.0, *[1.0] * 60], None),
        ([1.0] * 30 + [1.1] * 30 + [9.0], 30),
    ],
)
def test_change_points(durations: list[float], expected: int | None) -> None:
    """A change of level is found where it is; one below 1%, an outlier and steadiness are none."""
    assert expected == change_point(durations)


def test_noise_is_no_change() -> None:
    """Of 300 seeded series without a change at most 4% are said to have one."""
    draw = random.Random(6)
    series = [[draw.lognormvariate(0, 0.2) for _ in range(100)] for _ in range(300)]
    assert sum(change_point(each) is not None for each in series) <= 12


def test_a_change_in_noise_is_found() -> None:
    """Of 200 seeded series with a step of two deviations, 95% have their change within five places of it."""
    draw = random.Random(7)
    series = [[draw.lognormvariate(0.4 * (i >= 60), 0.2) for i in range(100)] for _ in range(200)]
    found = [change_point(each) for each in series]
    assert sum(at is not None and abs(at - 60) <= 5 for at in found) >= 190


def test_the_last_level_is_what_follows_all_changes() -> None:
    """A warm-up of two stages ends behind the second."""
    assert [1.0] * 30 == list(last_level([3.0] * 20 + [2.0] * 20 + [1.0] * 30))


NOISE = [draw.lognormvariate(0.0, 0.1) for draw in [random.Random(4)] for _ in range(200)]


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        ([], False),
        ([1.0] * 11, False),
        ([1.0] * 12, True),
        ([30.0, 2.0, *[1.0] * 12], True),
        ([10.0 - i for i in range(20)], False),
        ([1 - 0.0015 * i for i in range(100)], False),
        ([2.0] * 20 + [1.0] * 11, False),
        ([2.0] * 20 + [1.0] * 12, True),
        ([1.0] * 80 + [1.2] * 20, False),
        (NOISE, True),
    ],
)
def test_settled(durations: list[float], expected: bool) -> None:
    """A warm-up is over when its last level has lasted for twelve calls and a quarter of it."""
    assert settled(durations) is expected


@pytest.mark.parametrize(("freedom", "expected"), [(5, 2.0150), (7, 1.8946), (15, 1.7531), (30, 1.6973), (500, 1.6479)])
def test_another_run_is_predicted_by_students_t(freedom: int, expected: float) -> None:
    """Of bursts whose logarithms have a known deviation it is t times that, and what runs differ by, to both sides."""
    count = freedom + 1
    logs = [0.01 * (-1) ** place for place in range(count)]
    deviation = 0.01 * math.sqrt(count / (count - 1)) if count % 2 == 0 else statistics.stdev(logs)
    for apart in (0.0, 0.02):
        half = expected * math.sqrt(deviation**2 * (1 + 1 / count) + 2 * apart**2)
        found = next_median([math.exp(each) for each in logs], 2.0, apart)
        assert found == pytest.approx((2 * math.exp(-half), 2 * math.exp(half)), rel=1e-4)


def test_too_few_bursts_predict_nothing() -> None:
    """Below six there is no statement about another run."""
    assert next_median([1.0] * 5, 1.0, 0.01) is None
