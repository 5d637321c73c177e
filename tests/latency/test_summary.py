"""Latencies: statistics follow from the samples alone, doubts are said in words, and nothing is made up."""

from __future__ import annotations

import json
import math
import random
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measurements import DEVICE, burst, noisy, samples

from archcost.latency.doubts import Doubt
from archcost.latency.samples import Plan, Samples
from archcost.latency.summary import contention, summarise
from archcost.units import parse_duration, typed_duration

DURATIONS = st.lists(st.floats(1e-7, 1e3), min_size=1, max_size=80)
STEADY = samples(
    [burst(*(0.001 + 1e-6 * i for i in range(5)), wall_s=0.005, calibration_s=0.0001, cpu_s=0.005, waited_s=0.0001)]
    * 8,
    Plan(batch=8, dtype="bfloat16", threads=2),
)


HALF = 1.8944 * math.sqrt(2) * 0.01
"""Of bursts that are all alike: what two runs differ by all the same."""


def test_the_row_has_the_keys_of_the_format() -> None:
    """One row of `latencies` is what the format fixes, with what it was measured on, and plain JSON."""
    row = json.loads(json.dumps(summarise(STEADY).to_dict(), allow_nan=False))
    assert row == {
        "target": "cpu",
        "runtime": "eager",
        "device": "AMD EPYC",
        "batch": 8,
        "dtype": "bfloat16",
        "threads": 2,
        "warmup": 12,
        "samples": 40,
        "median_s": 0.001002,
        "min_s": 0.001,
        "p90_s": None,
        "p99_s": None,
        "interval_s": [0.001002, 0.001002],
        "spread": pytest.approx(0.000002 / 0.001002),
        "stable": True,
        "why": "",
        "doubts": [],
        "enough_s": None,
        "export_s": None,
        "settings": {},
        "processes": 1,
        "copies": 1,
        "repeat_s": [pytest.approx(0.001002 * math.exp(-HALF)), pytest.approx(0.001002 * math.exp(HALF))],
        "int8": None,
        "examples_per_s": pytest.approx(8 / 0.001002),
        "first_s": 0.5,
        "blocks": 8,
        "cold_cache": False,
        "contention": pytest.approx(0.01),
        "calibration_s": 0.0001,
        "relative": pytest.approx(10.02),
        "machine_speed": 1.0,
        "fingerprint": DEVICE.fingerprint,
        "conditions": {
            "date": None,
            "affinity": [0, 1],
            "governor": "performance",
            "quota_cores": 1.5,
            "load": 0.25,
            "tf32_products": None,
            "tf32_convolutions": None,
        },
        "versions": {"torch": "2.13.0"},
    }


@given(DURATIONS, st.integers(-8, 8))
def test_scaling_scales(durations: list[float], power: int) -> None:
    """Seconds scale with the samples, shares do not; powers of two keep it exact."""
    k = 2.0**power
    one, other = (summarise(samples([[f * d] for d in durations])) for f in (1.0, k))
    times = [(one.median_s, other.median_s), (one.min_s, other.min_s), (one.p90_s, other.p90_s)]
    times += list(zip(one.interval_s or (), other.interval_s or (), strict=True))
    assert [b for _, b in times] == [a and k * a for a, _ in times]
    assert (other.spread, other.stable) == (one.spread, one.stable)


@given(DURATIONS, st.randoms(use_true_random=False))
def test_order_within_a_burst_does_not_matter(durations: list[float], draw: random.Random) -> None:
    """What happens inside a burst is a set of samples; the order of bursts is that of time."""
    shuffled = list(durations)
    draw.shuffle(shuffled)
    assert summarise(samples([shuffled] * 8)) == summarise(samples([durations] * 8))


@given(st.lists(st.floats(1e-7, 1e3), min_size=6, max_size=60))
def test_the_interval_holds_a_block_and_lies_among_the_samples(durations: list[float]) -> None:
    """No outlier is deleted: the fastest and slowest samples stay, and the interval lies between them."""
    row = summarise(samples([[d] for d in durations]))
    assert row.interval_s is not None
    assert min(durations) == row.min_s <= row.interval_s[0] <= row.interval_s[1] <= max(durations)


def test_percentiles_need_samples() -> None:
    """p99 stands from 459 samples on, and is null before."""
    few, many = (summarise(samples([[float(i) for i in range(1, n + 1)]])) for n in (458, 459))
    assert (413.0, None) == (few.p90_s, few.p99_s)
    assert (414.0, 455.0) == (many.p90_s, many.p99_s)


def slowed(*calibrations_s: float) -> Samples:
    """Return a measurement whose machine slowed, and its calibration with it."""
    return samples([burst(0.01 * c, 0.01 * c, calibration_s=c) for c in calibrations_s])


SHIFTED = samples([[1.0]] * 20 + [[1.5]] * 20)


@pytest.mark.parametrize(
    ("measurement", "why"),
    [
        (STEADY, ""),
        (replace(STEADY, warmup_s=(0.2, 0.1)), "warm-up did not settle in 2 calls"),
        (samples([[0.001] * 50] * 5), "too few blocks: 5, at least 6 needed, for which --time 20s may do"),
        (samples([[1.0]] * 6), ""),
        (samples([[0.981]] * 4 + [[1.019]] * 4), ""),
        (samples([[0.979]] + [[1.0]] * 6 + [[1.021]]),
         "the blocks' medians lie within +-2.1%, 2.0% asked; the slowest block took 4.3% more than the fastest"),
        (slowed(*[1.0] * 7, 1.1),
         "the blocks' medians lie within +-5.0%, 2.0% asked; the machine itself slowed: its calibration kernel took "
         "up to 1.10 times its best"),
        (SHIFTED,
         "the blocks' medians lie within +-20.0%, 2.0% asked; its level changed after 20 of 40 bursts"),
        (samples([burst(1.0, waited_s=0.051)] * 8), "contention: 5.1% of the sampling time went by waiting for a core"),
        (samples([burst(1.0, waited_s=0.049)] * 8), ""),
        (samples([burst(1.0, cpu_s=0.8)] * 8), "contention: 20.0% of the sampling time went by waiting for a core"),
        (samples([burst(1.0, cpu_s=1.9)] * 8), ""),
    ],
)  # fmt: skip
def test_doubts_are_said_in_words(measurement: Samples, why: str) -> None:
    """A row that is not stable says everything that speaks against it; a stable one says nothing."""
    row = summarise(measurement)
    assert (row.stable, row.why) == (not why, why)


@pytest.mark.parametrize(
    ("measurement", "doubts"),
    [
        (STEADY, []),
        (replace(STEADY, warmup_s=(0.2, 0.1)), [Doubt("warmup", 2)]),
        (samples([[0.001] * 50] * 5), [Doubt("few_blocks", 5, 6)]),
        (SHIFTED, [Doubt("wide_interval", pytest.approx(0.2), 0.02), Doubt("level_changed", 20, 40)]),
        (slowed(*[1.0] * 7, 1.1),
         [Doubt("wide_interval", pytest.approx(0.05), 0.02), Doubt("machine_slowed", pytest.approx(1.1), 1.05)]),
        (samples([[0.979]] + [[1.0]] * 6 + [[1.021]]),
         [Doubt("wide_interval", pytest.approx(0.021), 0.02), Doubt("slow_block", pytest.approx(1.021 / 0.979 - 1))]),
        (samples([burst(1.0, cpu_s=0.8)] * 8), [Doubt("contention", pytest.approx(0.2), 0.05)]),
    ],
)  # fmt: skip
def test_doubts_are_values(measurement: Samples, doubts: list[Doubt]) -> None:
    """Each has its kind, the number that was found and the limit it was held against, in JSON too."""
    row = summarise(measurement)
    assert doubts == list(row.doubts)
    assert [asdict(doubt) for doubt in row.doubts] == row.to_dict()["doubts"]


def test_a_time_that_may_do_is_a_value() -> None:
    """Twice the time that was given, or what eight blocks as long as these take; none if there are enough."""
    assert (20.0, pytest.approx(57.6), None) == (
        summarise(samples([[0.001] * 50] * 5)).enough_s,
        summarise(samples([[4.0]] * 3)).enough_s,
        summarise(STEADY).enough_s,
    )


@given(st.floats(1e-3, 1e6))
def test_a_time_that_is_suggested_is_one_to_type(value_s: float) -> None:
    """What a doubt suggests is read again as a time at least as long, and hardly longer."""
    read = parse_duration(typed_duration(value_s))
    assert value_s * (1 - 1e-6) <= read <= value_s * 1.11


def test_contention_is_the_larger_of_two_bounds() -> None:
    """Threads that waited, and CPU time that is lacking; nothing known is None, one unknown burst is nothing known."""
    known = {"waited_s": 0.02, "cpu_s": 0.9}
    assert pytest.approx(0.1) == contention(samples([burst(1.0, **known)]))
    assert pytest.approx(0.02) == contention(samples([burst(1.0, **{**known, "cpu_s": 1.0})]))
    assert pytest.approx(0.01) == contention(samples([burst(1.0, waited_s=0.02)], Plan(threads=2)))
    assert contention(samples([burst(1.0), burst(1.0, waited_s=0.5)])) is None


@pytest.mark.parametrize("slower", [1.0, 1.3])
def test_the_relative_latency_is_that_of_the_kernel(slower: float) -> None:
    """On a day on which all takes longer, so does the kernel: their ratio stays."""
    row = summarise(samples([burst(0.02 * slower, calibration_s=0.001 * slower)] * 8))
    assert (pytest.approx(20.0), 1.0) == (row.relative, row.machine_speed)


def test_the_machine_speed_is_a_share_of_its_best() -> None:
    """If the kernel took a quarter longer most of the time, the machine ran at 80% of what it can."""
    assert 0.8 == summarise(slowed(1.0, *[1.25] * 7)).machine_speed


def test_rows_of_calls_have_no_percentiles() -> None:
    """If a sample is a mean of several calls, its tail is not that of the calls."""
    one = noisy(0.001, size=100)
    assert summarise(one).p99_s is not None
    row: dict[str, Any] = summarise(replace(one, loops=8)).to_dict()
    assert (None, None, summarise(one).median_s) == (row["p90_s"], row["p99_s"], row["median_s"])
