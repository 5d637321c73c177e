"""Measuring peaks: a sweep shows the levels, kernels take turns, the best burst counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from archcost.errors import TargetError
from archcost.latency.player import Clock
from archcost.latency.roofline.caches import Plateau, levels, plateaus
from archcost.latency.roofline.roof import DTYPES, LEVELS, FlopsPeak, Level, LevelName, Peak, Peaks

_Key = TypeVar("_Key")

ROUNDS: Final = 24
_PARTS: Final = 4
_BURST_S: Final = 0.005  # long beside a change of the clock's frequency, short beside other work's turns on the core
_SWEPT_S: Final = 0.002
_SWEPT: Final = 4  # bursts of each kernel and size in the sweep, and of each candidate
_SWEPT_SMALL: Final = 16  # of arrays up to _SMALL_BYTES: they take little, and other work disturbs them most
_SMALL_BYTES: Final = 8 * 2**20
_NEAR: Final = 0.75  # of the best: a trial is too short to tell such kernels apart
_MOST: Final = 3  # kernels of one peak that take turns
_MOST_LOOPS: Final = 1_000_000
_LEAST_BYTES: Final = 8 * 2**10  # for each thread: a half of small L1 caches


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """What is run to reach a peak: `run(loops)` does it so many times; work: FLOPs, bytes or calls of one time."""

    name: str
    work: float
    run: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """The kernels of a device on so many threads.

    products: those that may reach the peak of a data type, none if it cannot be run; traffic: those that move an array
    of so many bytes, shared among the threads; call: an operator on one number; largest_bytes: of those arrays; hints:
    the bytes of each cache, empty if not known.
    """

    threads: int
    products: Callable[[str], Sequence[Kernel]]
    traffic: Callable[[int], Sequence[Kernel]]
    call: Kernel
    largest_bytes: int
    hints: Mapping[LevelName, int]


def sizes(threads: int, largest_bytes: int) -> tuple[int, ...]:
    """Return the bytes of a sweep's arrays: two sizes to each doubling, of each thread a whole number of KiB."""
    found: list[int] = []
    while (size := int(_LEAST_BYTES * 2 ** (len(found) / 2)) // 1024 * 1024 * threads) <= largest_bytes:
        found.append(size)
    return tuple(found)


def measure(bench: Bench, clock: Clock, rounds: int = ROUNDS) -> Peaks:
    """Return the peaks of a device; raises TargetError if its clock stands still.

    A sweep shows the levels. The kernels that come near the best of each level and data type then take turns, `rounds`
    bursts each.
    """
    swept = sizes(bench.threads, bench.largest_bytes)
    tried: dict[int, dict[Kernel, list[float]]] = {}
    for rounds_each, small in ((_SWEPT_SMALL, True), (_SWEPT, False)):
        arrays = {size: bench.traffic(size) for size in swept if (size <= _SMALL_BYTES) is small}
        tried |= _by_turns(arrays, clock, _SWEPT_S, rounds_each)
    held = levels(plateaus([(size, max(map(max, tried[size].values()))) for size in swept]), bench.hints, swept[-1])
    candidates: dict[str, Sequence[Kernel]] = {"call": (bench.call,)}
    for name in LEVELS:
        if places := _places(name, held, swept):
            candidates[name] = _best({kernel: rates for size in places for kernel, rates in tried[size].items()})
    products = {dtype: kernels for dtype in DTYPES if (kernels := bench.products(dtype))}
    for dtype, found in _by_turns(products, clock, _SWEPT_S, _SWEPT).items():
        candidates[dtype] = _best(found)
    peaks = {name: _peak(rates) for name, rates in _by_turns(candidates, clock, _BURST_S, rounds).items()}
    call = peaks["call"]
    return Peaks(
        bench.threads,
        tuple(FlopsPeak(dtype, peaks.get(dtype)) for dtype in DTYPES),
        tuple(_level(name, peaks.get(name), held) for name in LEVELS),
        Peak(1 / call.value, 1 / call.high, 1 / call.low, call.by),
    )


def _places(name: LevelName, held: Mapping[LevelName, Plateau], swept: Sequence[int]) -> Sequence[int]:
    """Return the sizes a level is measured at: the middle of its plateau with its neighbours, of memory the largest."""
    if name == "memory":
        return swept[-1:]
    if name not in held:
        return ()
    inside = [size for size in swept if held[name].first_bytes <= size <= held[name].last_bytes]
    return inside[len(inside) // 2 - 1 : len(inside) // 2 + 2]


def _level(name: LevelName, peak: Peak | None, held: Mapping[LevelName, Plateau]) -> Level:
    return Level(name, peak, held[name].last_bytes if peak and name != "memory" else None)


def _best(tried: Mapping[Kernel, Sequence[float]]) -> list[Kernel]:
    """Return the kernels whose rate is near that of the best, which is the first, at most three."""
    order = sorted(tried, key=lambda kernel: -max(tried[kernel]))
    return [kernel for kernel in order if max(tried[kernel]) >= _NEAR * max(tried[order[0]])][:_MOST]


def _by_turns(
    kernels: Mapping[_Key, Sequence[Kernel]], clock: Clock, span_s: float, rounds: int
) -> dict[_Key, dict[Kernel, list[float]]]:
    """Return the rates of each kernel, of one burst in every round: what slows the machine for a while slows all."""
    loops = {kernel: _loops(kernel, clock, span_s) for each in kernels.values() for kernel in each}
    rates: dict[_Key, dict[Kernel, list[float]]] = {key: {one: [] for one in each} for key, each in kernels.items()}
    for _ in range(rounds):
        for found in rates.values():
            for kernel, bursts in found.items():
                kernel.run(1)  # what the kernel before it left in the caches is no part of a burst
                bursts.append(_rate(kernel, loops[kernel], clock))
    return rates


def _peak(tried: Mapping[Kernel, Sequence[float]]) -> Peak:
    rounds = [max(rates) for rates in zip(*tried.values(), strict=True)]
    count = min(_PARTS, len(rounds))
    best = [max(rounds[part * len(rounds) // count : (part + 1) * len(rounds) // count]) for part in range(count)]
    winner = max(tried, key=lambda kernel: max(tried[kernel]))
    return Peak(max(best), min(best), max(best), winner.name)


def _loops(kernel: Kernel, clock: Clock, span_s: float) -> int:
    """Return how many times in a row last `span_s`, at least one; the first time of all is not timed."""
    kernel.run(1)
    loops = 1
    while (taken_s := _timed(kernel, loops, clock)) < span_s / 4:
        if loops >= _MOST_LOOPS:
            raise TargetError(f"{loops} calls in a row took {taken_s} s: the clock stands still or is too coarse")
        loops *= 4
    return max(1, round(loops * span_s / taken_s))


def _rate(kernel: Kernel, loops: int, clock: Clock) -> float:
    taken_s = _timed(kernel, loops, clock)
    if taken_s <= 0:
        raise TargetError("a burst took no time: the clock stands still, is too coarse or was set back")
    return kernel.work * loops / taken_s


def _timed(kernel: Kernel, loops: int, clock: Clock) -> float:
    begun = clock()
    kernel.run(loops)
    return clock() - begun
