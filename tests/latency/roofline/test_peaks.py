"""Measuring peaks: planted rates are recovered, noise is said, a clock that stands still is an error."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_peaks import GIGA, Planted

from archcost.errors import TargetError
from archcost.latency.roofline.kernels import processor
from archcost.latency.roofline.peaks import Kernel, measure, sizes
from archcost.latency.roofline.roof import LEVELS, LevelName, Peaks
from archcost.latency.targets.cpu import threads

HINTS: dict[LevelName, int] = {"L1": 48 << 10, "L2": 1280 << 10, "L3": 32 << 20}


def rates(found: Peaks) -> list[float]:
    """Return the bytes/s of the levels that have some."""
    return [each.peak.value for each in found.levels if each.peak]


def test_planted_peaks_are_recovered() -> None:
    """Each rate is found, by the better kernel; a data type that cannot be run has none."""
    planted = Planted()
    found = measure(planted.bench(HINTS), planted.clock)
    assert [100, None, 400] == [each.peak and pytest.approx(each.peak.value / GIGA) for each in found.flops]
    assert ["good float32", "good int8"] == [each.peak.by for each in found.flops if each.peak]
    assert [160, 80, 40, 15] == [pytest.approx(rate / GIGA) for rate in rates(found)]
    assert [46_080, 1 << 20, 32 << 20, None] == [each.holds_bytes for each in found.levels]
    assert pytest.approx(1e-6) == found.call_s.value
    assert all(each.peak and each.peak.repeats for each in found.levels)


@settings(max_examples=5)
@given(st.floats(0.0, 1.0), st.integers(0, 1000))
def test_other_work_is_in_the_interval(slow: float, seed: int) -> None:
    """Bursts that are slowed at random give the best as the value, within what was planted, never above it."""
    planted = Planted(slow=slow)
    planted.draw.seed(seed)
    peak = measure(planted.bench(HINTS), planted.clock, rounds=8).flops[0].peak
    assert peak is not None
    assert 100 * GIGA / (1 + slow) <= peak.low * (1 + 1e-9)
    assert peak.low <= peak.value == peak.high <= 100 * GIGA * (1 + 1e-9)


@pytest.mark.parametrize("count", [1, 4])
def test_a_machine_without_caches_has_memory_alone(count: int) -> None:
    """What cannot be told apart is None, and holds nothing."""
    planted = Planted(caches=(), threads=count)
    found = measure(planted.bench(HINTS), planted.clock, rounds=3)
    assert (count, [None, None, None]) == (found.threads, [each.peak for each in found.levels[:3]])
    assert [None] * 4 == [each.holds_bytes for each in found.levels]
    assert [pytest.approx(15 * GIGA)] == rates(found)


def test_memory_is_measured_if_its_plateau_is_not_reached() -> None:
    """Where little memory is free, the largest array that may be made counts."""
    planted = Planted(largest_bytes=32 << 20)
    found = measure(planted.bench(HINTS), planted.clock, rounds=3)
    assert pytest.approx(40 * GIGA) == rates(found)[-1]


def test_a_clock_that_stands_still_is_an_error() -> None:
    """No rate is made of no time."""
    with pytest.raises(TargetError, match="clock stands still"):
        measure(Planted().bench(), lambda: 1.0)


@pytest.mark.parametrize("count", [1, 3])
def test_sizes_double_in_two_steps(count: int) -> None:
    """Each thread has whole kibibytes, from 8 on; the largest is not exceeded."""
    found = sizes(count, 1 << 20)
    assert (8192 * count, True) == (found[0], found[-1] <= 1 << 20)
    assert {0} == {size // count % 1024 for size in found}
    assert all(1.3 < after / before < 1.5 for before, after in pairwise(found))


def counted() -> float:
    """Return a time that is later at every look."""
    counted.now += 0.01  # type: ignore[attr-defined]
    return counted.now  # type: ignore[attr-defined,no-any-return]


counted.now = 0.0  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [1, 2])
def test_the_kernels_of_this_processor_run(count: int) -> None:
    """Each runs, on as many threads as are asked for, and moves what it says; torch's threads are then as before."""
    with threads(count), processor(count, counted) as bench:
        small = sizes(count, bench.largest_bytes)[0]
        kernels = [
            bench.call,
            *bench.traffic(small),
            *(k for dtype in ("float32", "int8") for k in bench.products(dtype)),
        ]
        for kernel in kernels:
            kernel.run(2)
    names = [kernel.name.partition(" of ")[0].partition(",")[0] for kernel in kernels]
    assert {"relu", "torch.amax", "torch.neg_", "torch.mm"} <= {*names}
    assert {"ONNX Runtime's MatMul", "ONNX Runtime's MatMulInteger"} <= {*names}
    assert [4 << 20, 2 * small] == [pytest.approx(kernel.work, rel=0.5) for kernel in kernels[1:3]]
    assert 2 * 256**3 == next(kernel.work for kernel in kernels if kernel.name.startswith("torch.mm"))
    assert isinstance(kernels[0], Kernel)
    assert count == bench.threads
    assert {*bench.hints} <= {*LEVELS}
