"""The roof over a layer: what a device's peaks allow it, its share, what binds it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

Bound: TypeAlias = Literal["compute", "memory", "overhead"]
LevelName: TypeAlias = Literal["L1", "L2", "L3", "memory"]

LEVELS: Final[tuple[LevelName, ...]] = ("L1", "L2", "L3", "memory")
"""From the fastest to the largest."""

DTYPES: Final = ("float32", "bfloat16", "int8")
"""Those whose peak is measured."""

FLOPS_PER_MAC: Final = 2
REPEATED: Final = 0.03
"""The largest width of an interval over its value at which the value is said to repeat."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The best burst of a measurement: the highest rate, the shortest time.

    low, high: the worst and the best of its four quarters, of each its own best burst; by: the kernel.
    Raises ValueError if they are no positive numbers in this order.
    """

    value: float
    low: float
    high: float
    by: str

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.value <= self.high < math.inf:
            raise ValueError(f"a peak of {self.value} within {self.low} to {self.high}")

    @property
    def repeats(self) -> bool:
        """Whether the parts of the measurement agree within 3%."""
        return self.high - self.low <= REPEATED * self.value


@dataclass(frozen=True, slots=True)
class FlopsPeak:
    """FLOP/s of products of one data type; peak None if it could not be measured."""

    dtype: str
    peak: Peak | None


@dataclass(frozen=True, slots=True)
class Level:
    """Bytes/s of a cache or of memory; peak None if it cannot be told apart from the next one, or is not there.

    holds_bytes: how many bytes in all were reached at this rate, over all threads; None of memory and without a peak.
    """

    name: LevelName
    peak: Peak | None
    holds_bytes: int | None


@dataclass(frozen=True, slots=True)
class Peaks:
    """What a device reaches at most on so many threads.

    levels: from L1 to memory; call_s: the seconds that torch takes for an operator on one number.
    Raises ValueError if they are not the levels in their order, memory has no peak, or a dtype stands twice.
    """

    threads: int
    flops: tuple[FlopsPeak, ...]
    levels: tuple[Level, ...]
    call_s: Peak

    def __post_init__(self) -> None:
        if tuple(level.name for level in self.levels) != LEVELS or self.levels[-1].peak is None:
            raise ValueError("levels are L1, L2, L3 and memory, which has a peak")
        if len({each.dtype for each in self.flops}) != len(self.flops) or self.threads < 1:
            raise ValueError("each data type once, and at least one thread")

    def flops_per_s(self, dtype: str) -> float | None:
        """Return the peak FLOP/s of a data type, None if it is not known."""
        return next((each.peak.value for each in self.flops if each.dtype == dtype and each.peak), None)

    def level(self, moved_bytes: float) -> Level:
        """Return the smallest level that holds so many bytes, of those with a peak; memory holds all."""
        known = (each for each in self.levels[:-1] if each.peak and each.holds_bytes is not None)
        return next((each for each in known if moved_bytes <= (each.holds_bytes or 0)), self.levels[-1])


class Run(NamedTuple):
    """A layer as it ran once: its MACs, the bytes that it reads and writes, its data type, the seconds it took."""

    macs: int
    moved_bytes: int
    dtype: str
    time_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How a layer stands below the roof.

    flops: 2 for each MAC, nothing else; intensity: FLOPs a byte, infinite without bytes; level: what holds all the
    bytes that it moves; roof_flops_per_s: min(peak, intensity * bytes/s), at this intensity; flops_per_s: what was
    achieved; least_s: the shortest time that the roof allows; roof_share: least_s over the time it took. It is above 1
    where a kernel multiplies less than was counted (Winograd), or the peaks were measured on a busier machine.
    """

    flops: int
    intensity: float
    level: LevelName
    roof_flops_per_s: float
    flops_per_s: float
    least_s: float
    roof_share: float
    bound: Bound


def standing(run: Run, peaks: Peaks, call_s: float | None = None) -> Standing | None:
    """Return how a layer stands below the roof; None if it has MACs and the peak of its data type is not known.

    call_s: what an empty call costs in the layer's runtime; None: what it costs in torch.
    Source: Williams, Waterman and Patterson 2009, Roofline; with the rate of the cache that holds a layer's bytes as in
    Ilic, Pratas and Sousa 2014, Cache-aware Roofline model.
    """
    assert run.macs >= 0 <= run.moved_bytes, run
    assert 0 < run.time_s < math.inf, run
    flops = FLOPS_PER_MAC * run.macs
    peak = peaks.flops_per_s(run.dtype)
    if flops and peak is None:
        return None
    level = peaks.level(run.moved_bytes)
    assert level.peak is not None  # memory has one
    rate = level.peak.value
    compute_s, memory_s = flops / peak if peak else 0.0, run.moved_bytes / rate
    least_s = max(compute_s, memory_s)
    intensity = flops / run.moved_bytes if run.moved_bytes else math.inf
    return Standing(
        flops=flops,
        intensity=intensity,
        level=level.name,
        roof_flops_per_s=min(peak or 0.0, intensity * rate),
        flops_per_s=flops / run.time_s,
        least_s=least_s,
        roof_share=least_s / run.time_s,
        bound=_bound(compute_s, memory_s, run.time_s, peaks.call_s.value if call_s is None else call_s),
    )


def _bound(compute_s: float, memory_s: float, time_s: float, call_s: float) -> Bound:
    """Return what binds: overhead if an empty call is half of the time or more, and longer than the roof asks for."""
    if 2 * call_s >= time_s and call_s > max(compute_s, memory_s):
        return "overhead"
    return "compute" if compute_s >= memory_s else "memory"


def ridge(flops_per_s: float, bytes_per_s: float) -> float:
    """Return the intensity, FLOPs a byte, from which on arithmetic binds and no longer the bytes."""
    return flops_per_s / bytes_per_s
