"""The roof: shares, bounds and the ridge keep their laws."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from planted_peaks import peaks, steady

from archcost.latency.roofline.roof import FlopsPeak, Level, Peak, Run, ridge, standing

LARGE = 2 << 20  # bytes that are in memory
MACS = st.integers(0, 10**12)
BYTES = st.integers(0, 10**11)
SPANS = st.floats(1e-9, 1e3)


def test_a_layer_by_hand() -> None:
    """50 million MACs over 2 MB that take 2 ms: 50 FLOP a byte, half of the 100 GFLOP/s."""
    found = standing(Run(50_000_000, 2_000_000, "float32", 2e-3), peaks())
    assert found is not None
    assert (100_000_000, 50.0, "memory", 1e11, 0.5, "compute") == (
        *(found.flops, found.intensity, found.level, found.roof_flops_per_s),
        *(found.roof_share, found.bound),
    )
    assert 5e10 == pytest.approx(found.flops_per_s)


@given(MACS, BYTES, SPANS)
def test_the_share_is_what_is_achieved_of_the_roof(macs: int, moved: int, time_s: float) -> None:
    """It is achieved FLOP/s over the roof at the intensity, and the least time over the time."""
    assume(macs and moved)
    found = standing(Run(macs, moved, "float32", time_s), peaks())
    assert found is not None
    assert found.flops_per_s / found.roof_flops_per_s == pytest.approx(found.roof_share)
    assert found.least_s / time_s == found.roof_share


@given(MACS, BYTES, st.floats(1, 1e6))
def test_no_share_exceeds_one_of_what_takes_its_least_time_or_longer(macs: int, moved: int, longer: float) -> None:
    """The share is 1 at the roof, and falls as the time grows."""
    assume(macs + moved)
    first = standing(Run(macs, moved, "float32", 1.0), peaks())
    assert first is not None
    found = standing(Run(macs, moved, "float32", first.least_s * longer), peaks())
    assert found is not None
    assert found.roof_share == pytest.approx(1 / longer)
    assert found.roof_share <= 1 + 1e-9


@given(st.integers(1, 10**9), st.integers(LARGE, 10**11), st.floats(1e-3, 1e3))
def test_the_bound_changes_at_the_ridge(macs: int, moved: int, time_s: float) -> None:
    """Below the ridge point memory binds, from it on arithmetic, where the time is far above an empty call's."""
    found = standing(Run(macs, moved, "float32", time_s), peaks())
    assert found is not None
    assume(abs(found.intensity - ridge(1e11, 1e10)) > 1e-9)
    assert ("compute" if found.intensity > ridge(1e11, 1e10) else "memory") == found.bound


@given(MACS, BYTES, SPANS, st.floats(0, 1e-3))
def test_overhead_is_half_of_the_time_and_more_than_the_roof_asks_for(
    macs: int, moved: int, time_s: float, call_s: float
) -> None:
    """An empty call binds if it is at least half of the time and longer than the least time; else never."""
    found = standing(Run(macs, moved, "float32", time_s), peaks(), call_s)
    assert found is not None
    assert (2 * call_s >= time_s and call_s > found.least_s) == (found.bound == "overhead")


@given(MACS, BYTES, SPANS)
def test_a_longer_run_is_never_bound_by_overhead_if_a_shorter_was_not(macs: int, moved: int, time_s: float) -> None:
    """Overhead is what is left where the time is small."""
    found = [standing(Run(macs, moved, "float32", span), peaks()) for span in (time_s, 2 * time_s)]
    assert all(found)
    bounds = [each.bound == "overhead" for each in found if each]
    assert bounds[0] or not bounds[1]


@pytest.mark.parametrize(
    ("moved", "level", "rate"), [(1 << 20, "L2", 5e10), ((1 << 20) + 1, "memory", 1e10), (0, "L2", 5e10)]
)
def test_the_smallest_level_that_holds_the_bytes_counts(moved: int, level: str, rate: float) -> None:
    """A layer whose bytes fit into a cache has that cache's rate; levels that are not told apart are passed over."""
    found = standing(Run(0, moved, "float32", 1.0), peaks())
    assert found is not None
    assert level == found.level
    assert moved / rate == pytest.approx(found.least_s)


def test_what_moves_bytes_alone_needs_no_peak_of_its_type() -> None:
    """Without MACs memory binds at an intensity of 0, also at a data type whose peak is not known."""
    found = standing(Run(0, 10 * LARGE, "float16", 1.0), peaks())
    assert found is not None
    assert (0.0, "memory", 0.0) == (found.intensity, found.bound, found.roof_flops_per_s)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_without_a_peak_there_is_no_roof(dtype: str) -> None:
    """Neither a dtype that could not be measured nor one that nobody measures has a share."""
    assert standing(Run(1, 1, dtype, 1.0), peaks()) is None


def test_without_bytes_the_intensity_is_infinite() -> None:
    """Arithmetic alone has the peak for its roof."""
    found = standing(Run(10**9, 0, "float32", 1.0), peaks())
    assert found is not None
    assert (math.inf, 1e11, "compute") == (found.intensity, found.roof_flops_per_s, found.bound)


def test_a_layer_without_work_is_overhead() -> None:
    """It asks nothing of the device, and an empty call takes its time."""
    found = standing(Run(0, 0, "float32", 1e-6), peaks())
    assert found is not None
    assert (0.0, "overhead") == (found.roof_share, found.bound)


@pytest.mark.parametrize(
    ("value", "low", "high"), [(0, 0, 0), (1, 2, 3), (3, 1, 2), (1, 1, math.inf), (math.nan, 1, 1), (-1, -1, -1)]
)
def test_a_wrong_peak_cannot_be_made(value: float, low: float, high: float) -> None:
    """A peak is a positive number within its interval."""
    with pytest.raises(ValueError, match="a peak of"):
        Peak(value, low, high, "kernel")


def test_wrong_peaks_cannot_be_made() -> None:
    """Levels have their order, memory has a rate, no data type stands twice."""
    good = peaks()
    for wrong in (
        {"levels": good.levels[:-1]},
        {"levels": (*good.levels[:-1], Level("memory", None, None))},
        {"levels": good.levels[::-1]},
        {"flops": (FlopsPeak("int8", None), FlopsPeak("int8", None))},
        {"threads": 0},
    ):
        with pytest.raises(ValueError, match=r"levels|once"):
            replace(good, **wrong)


@pytest.mark.parametrize(("low", "repeats"), [(0.971, True), (0.969, False)])
def test_a_peak_repeats_within_three_per_cent(low: float, repeats: bool) -> None:
    """The interval's width over the value decides."""
    assert repeats is Peak(1.0, low, 1.0, "kernel").repeats
    assert steady(1.0).repeats
