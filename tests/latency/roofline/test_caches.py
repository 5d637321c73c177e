"""Levels of a sweep: planted ones are found, those that cannot be told apart are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_peaks import Planted

from archcost.latency.roofline.caches import Plateau, hints, levels, plateaus
from archcost.latency.roofline.peaks import sizes
from archcost.latency.roofline.roof import LevelName

SIZES = sizes(1, 256 << 20)


def index(root: Path, number: int, level: str, kind: str, size: str, shared: str) -> None:
    """Write a cache as Linux describes it."""
    folder = root / f"sys/devices/system/cpu/cpu0/cache/index{number}"
    folder.mkdir(parents=True)
    for name, text in (("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)):
        (folder / name).write_text(f"{text}\n", "utf-8")


@pytest.mark.parametrize(
    ("threads", "expected"),
    [
        (1, {"L1": 48 << 10, "L2": 1280 << 10, "L3": 48 << 20}),
        (2, {"L1": 96 << 10, "L2": 2560 << 10, "L3": 96 << 20}),
        (8, {"L1": 192 << 10, "L2": 5120 << 10, "L3": 96 << 20}),
    ],
)
def test_the_caches_are_read_as_linux_writes_them(tmp_path: Path, threads: int, expected: dict[str, int]) -> None:
    """Eight CPUs, two of them a core, four of them an L3: each thread has a core of its own; code's cache is none."""
    for cpu in range(8):
        (tmp_path / f"sys/devices/system/cpu/cpu{cpu}").mkdir(parents=True)
    index(tmp_path, 0, "1", "Data", "48K", "0,4")
    index(tmp_path, 1, "1", "Instruction", "32K", "0,4")
    index(tmp_path, 2, "2", "Unified", "1280K", "0,4")
    index(tmp_path, 3, "3", "Unified", "48M", "0-1,4-5")
    assert expected == hints(threads, tmp_path)


@pytest.mark.parametrize("shared", ["", "all", "3-1", "-", "0-"])
def test_what_the_system_writes_otherwise_is_no_hint(tmp_path: Path, shared: str) -> None:
    """Nothing is known without the folder; a size that is no number is passed over, a list that is none is one CPU."""
    assert {} == hints(1, tmp_path)
    index(tmp_path, 0, "1", "Data", "large", shared)
    index(tmp_path, 1, "2", "Unified", "1M", shared)
    assert {"L2": 1 << 20} == hints(1, tmp_path)


@given(
    st.lists(st.sampled_from([5, 8, 11, 14, 17, 20, 23]), min_size=0, max_size=3, unique=True),
    st.randoms(use_true_random=False),
)
def test_planted_levels_are_found(ends: list[int], draw: object) -> None:
    """Wherever the caches end, each rate is recovered within the noise, which only slows."""
    ends.sort()
    rates = [100.0 * 2.0**-level for level in range(len(ends) + 1)]
    noise = [1 - 0.1 * draw.random() for _ in SIZES]  # type: ignore[attr-defined]
    curve = [(size, noise[place] * rates[sum(place >= end for end in ends)]) for place, size in enumerate(SIZES)]
    found = plateaus(curve)
    assert len(rates) == len(found)
    assert [pytest.approx(rate, rel=0.1) for rate in rates] == [each.rate for each in found]
    assert [SIZES[end - 1] for end in ends] == [each.last_bytes for each in found[:-1]]


def test_a_slow_size_is_no_level() -> None:
    """A larger array was faster, so the smaller one can be: what was measured of it is other work's."""
    curve = [(size, 10.0 if place in (3, 4, 5, 6) else 100.0) for place, size in enumerate(SIZES)]
    assert (Plateau(SIZES[0], SIZES[-1], 100.0),) == plateaus(curve)


@pytest.mark.parametrize(("ratio", "count"), [(1.1, 1), (1.2, 1), (1.3, 2)])
def test_neighbours_that_differ_little_are_one(ratio: float, count: int) -> None:
    """Below 25% two levels are not told apart."""
    curve = [(size, 100.0 * ratio if place < 10 else 100.0) for place, size in enumerate(SIZES)]
    assert count == len(plateaus(curve))


def test_a_slope_is_no_level() -> None:
    """Where every size is slower than the one before there is no plateau."""
    assert () == plateaus([(size, 2.0**-place) for place, size in enumerate(SIZES)])


KIB, MIB = 1 << 10, 1 << 20
CACHES: dict[LevelName, int] = {"L1": 48 * KIB, "L2": 1280 * KIB, "L3": 32 * MIB}


@pytest.mark.parametrize(
    ("ends", "hinted", "expected"),
    [
        ((45 * KIB, MIB, 22 * MIB, 256 * MIB), True, ["L1", "L2", "L3", "memory"]),
        ((45 * KIB, MIB, 22 * MIB, 256 * MIB), False, ["L1", "L2", "L3", "memory"]),
        ((MIB, 22 * MIB, 256 * MIB), True, ["L2", "L3", "memory"]),
        ((45 * KIB, MIB, 256 * MIB), True, ["L1", "L2", "memory"]),
        ((45 * KIB, MIB, 256 * MIB), False, ["L1", "L2", "memory"]),
        ((45 * KIB, MIB, 4 * MIB, 22 * MIB, 256 * MIB), True, ["L1", "L2", "L3", "memory"]),
        ((45 * KIB, MIB, 22 * MIB), True, ["L1", "L2", "L3"]),
        ((256 * MIB,), True, ["memory"]),
        ((), True, []),
    ],
)
def test_levels_are_named_by_what_holds_them(ends: tuple[int, ...], hinted: bool, expected: list[str]) -> None:
    """The hints say which cache holds a plateau; one that is not told apart from the next has none."""
    found = [Plateau(0, end, 100.0 / place) for place, end in enumerate(ends, 1)]
    assert expected == list(levels(found, CACHES if hinted else {}, 256 * MIB))


def test_the_planted_machine_has_its_levels() -> None:
    """The stand-in for a device is what it says it is."""
    planted = Planted()
    assert [160e9, 80e9, 40e9, 15e9] == [planted.rate(size) for size in (KIB, MIB, 10 * MIB, 100 * MIB)]
