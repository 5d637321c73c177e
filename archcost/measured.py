"""Measurements: how they are made, the raw seconds they gave, what follows from those and how far to trust it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from archcost import errors, units
from archcost.errors import InputError, Mistake, TargetError

DTYPES: Final = ("float32", "bfloat16", "float16", "float64")
FEWEST: Final = 20  # samples below which no measurement counts as stable
_RISK: Final = 100  # one in a hundred: the chance that an interval misses, or a percentile is none
_WINDOW: Final = 5  # warm-up calls in a window: the fewest whose fall, five of five, is past two standard deviations
_AGREE: Final = 0.05  # the medians of the last two windows of a settled warm-up differ by at most this share
_LEVEL: Final = 0.01  # a fall from window to window below this share is none
_CONTENDED: Final = 0.05  # share of the sampling time spent waiting for a core from which samples are doubted


@dataclass(frozen=True, slots=True)
class Plan:
    """How to measure: what runs (batch, dtype, threads), how narrow the median's interval shall be, how long at most.

    precision: half-width of the interval over the median; time_s: includes the warm-up; seed: of inputs that are drawn.
    Raises InputError with every value that cannot be.
    """

    batch: int = 1
    dtype: str = "float32"
    threads: int = 1
    precision: float = 0.02
    time_s: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if mistakes := tuple(_mistakes(self)):
            raise InputError(*mistakes)


def _mistakes(plan: Plan) -> Iterator[Mistake]:
    for key, value, least in (("batch", plan.batch, 1), ("threads", plan.threads, 1), ("seed", plan.seed, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            yield Mistake(f"given {value!r}; allowed: an integer of at least {least}", (key,))
    if plan.dtype not in DTYPES:
        yield Mistake(errors.unknown("dtype", str(plan.dtype), DTYPES), ("dtype",))
    for name, number, most in (("precision", plan.precision, 1.0), ("time_s", plan.time_s, math.inf)):
        if not isinstance(number, int | float) or isinstance(number, bool) or not 0 < number < most:  # NaN fails too
            bound = "below 1" if most == 1 else "finite"
            yield Mistake(f"given {number!r}; allowed: a number above 0 and {bound}", (name,))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a measurement comes from: without it and the plan, a latency is not a measurement."""

    target: str
    runtime: str
    device: str
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """The raw seconds of one measurement, in the order they were taken, never rounded.

    A sample is the time of one call, or, where one call is too short for a clock, the mean of `loops` calls in a row.
    settled: the warm-up ended by being steady, not by running out of time; sampling_s: wall time of the sampling;
    waited_s: summed over threads, the time they were ready and had no core, None where the system does not say.
    Raises TargetError where there is no sample, or one that is not a positive time.
    """

    origin: Origin
    plan: Plan
    warmup_s: tuple[float, ...]
    samples_s: tuple[float, ...]
    loops: int
    settled: bool
    sampling_s: float
    waited_s: float | None

    def __post_init__(self) -> None:
        wrong = [value for value in self.samples_s if not 0 < value < math.inf]
        if wrong or not self.samples_s:
            given = f"a sample of {wrong[0]} s" if wrong else "no sample"
            raise TargetError(f"target '{self.origin.target}' gave {given}: its clock is too coarse or was set back")


@dataclass(frozen=True, slots=True)
class Latency:
    """One row of `latencies` in the output: the statistics of Samples, None where they are too few for one."""

    target: str
    runtime: str
    device: str
    batch: int
    dtype: str
    threads: int
    warmup: int
    samples: int
    median_s: float
    min_s: float
    p90_s: float | None
    p99_s: float | None
    interval_s: tuple[float, float] | None
    spread: float
    stable: bool
    why: str
    examples_per_s: float

    def to_dict(self) -> dict[str, object]:
        """Return the row as JSON holds it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def summarise(samples: Samples) -> Latency:
    """Return the statistics of `samples`; `why` says in words what is against trusting them, '' where nothing is."""
    origin, plan, durations = samples.origin, samples.plan, sorted(samples.samples_s)
    middle, why = median(durations), "; ".join(_doubts(samples))
    return Latency(
        target=origin.target,
        runtime=origin.runtime,
        device=origin.device,
        batch=plan.batch,
        dtype=plan.dtype,
        threads=plan.threads,
        warmup=len(samples.warmup_s),
        samples=len(durations),
        median_s=middle,
        min_s=durations[0],
        p90_s=None if samples.loops > 1 else percentile(durations, 90),  # a mean of several calls hides the slow one
        p99_s=None if samples.loops > 1 else percentile(durations, 99),
        interval_s=interval(durations),
        spread=spread(durations),
        stable=not why,
        why=why,
        examples_per_s=plan.batch / middle,
    )


def median(durations: Sequence[float]) -> float:
    """Return the middle duration, or the mean of the middle two."""
    return statistics.median(durations)


def percentile(durations: Sequence[float], percent: int) -> float | None:
    """Return the ceil(p*n)-th smallest of n durations, or None where n is too small to support it.

    Supported is a percentile that the slowest of n samples exceeds with 99% confidence: p^n <= 1%, from which p90 needs
    44 samples and p99 459 (Wilks 1941, one-sided tolerance limit).
    """
    supported = (percent / 100) ** len(durations) <= 1 / _RISK
    return _at(sorted(durations), percent) if supported else None


def _at(ordered: Sequence[float], percent: int) -> float:
    return ordered[
        -(-percent * len(ordered) // 100) - 1
    ]  # in integers: 0.9 * n may fall on either side of a whole number


def spread(durations: Sequence[float]) -> float:
    """Return the interquartile range over the median: (p75 - p25) / median."""
    ordered = sorted(durations)
    return (_at(ordered, 75) - _at(ordered, 25)) / median(ordered)


def rank(count: int) -> int:
    """Return the largest r for which the r-th smallest and r-th largest of `count` samples enclose the median with 99%.

    They miss it where fewer than r samples lie on one side: 2*P(Bin(count, 1/2) < r) <= 1% (Thompson 1936), computed in
    integers. 0 where even the extremes miss it more often: below 8 samples.
    """
    tail, ways, found, bound = 0, 1, 0, 2**count  # ways = C(count, found), tail = the sum of those before
    while 2 * _RISK * (tail + ways) <= bound:
        tail += ways
        ways = ways * (count - found) // (found + 1)
        found += 1
    return found


def interval(durations: Sequence[float]) -> tuple[float, float] | None:
    """Return the distribution-free 99% confidence interval of the median, None below 8 samples.

    It supposes independent samples; what moves between runs (other work, clock speed) is not in it.
    """
    ordered, place = sorted(durations), rank(len(durations))
    return (ordered[place - 1], ordered[-place]) if place else None


def half_width(durations: Sequence[float]) -> float:
    """Return half the length of the median's interval over the median, infinite below 8 samples."""
    bounds = interval(durations)
    return (bounds[1] - bounds[0]) / 2 / median(durations) if bounds else math.inf


def enough(durations: Sequence[float], precision: float) -> bool:
    """Return whether sampling may stop: at least 20 samples, the median's interval within +-precision of the median."""
    return len(durations) >= FEWEST and half_width(durations) <= precision


def settled(durations: Sequence[float]) -> bool:
    """Return whether a warm-up has become steady, judged by its last two windows of a quarter (at least 5 calls) each.

    Their medians agree within 5% and the later is not lower by more than 1% with a fall in the paired calls beyond two
    standard deviations of the sign test (Cox and Stuart 1955): slower than before is not warming up, noise is no fall.
    """
    width = max(_WINDOW, len(durations) // 4)
    if len(durations) < 2 * width:
        return False
    earlier, later = durations[-2 * width : -width], durations[-width:]
    before, after = median(earlier), median(later)
    falling = after < before * (1 - _LEVEL) and _falls(earlier, later)
    return abs(after - before) <= _AGREE * before and not falling


def _falls(earlier: Sequence[float], later: Sequence[float]) -> bool:
    signs = [(a > b) - (a < b) for a, b in zip(earlier, later, strict=True)]
    return sum(signs) > 2 * math.sqrt(sum(map(abs, signs)))


def contention(samples: Samples) -> float | None:
    """Return the share of the sampling time for which the average thread waited for a core; None where not known.

    A lower bound of what other work cost: a call also waits for its slowest thread, and for shared caches and memory.
    """
    if samples.waited_s is None or samples.sampling_s <= 0:
        return None
    return samples.waited_s / (samples.plan.threads * samples.sampling_s)


def _doubts(samples: Samples) -> Iterator[str]:
    count, asked = len(samples.samples_s), samples.plan.precision
    if not samples.settled:
        yield f"warm-up did not settle in {len(samples.warmup_s)} calls"
    if count < FEWEST:
        yield f"too few samples: {count}, at least {FEWEST} needed"
    elif not enough(samples.samples_s, asked):
        width = math.ceil(half_width(samples.samples_s) * 1000) / 1000  # upwards: '2.0%, 2.0% asked' would puzzle
        given = f"+-{units.percent(width)} of the median, {units.percent(asked)} asked"
        yield f"stopped after {units.duration(samples.sampling_s)} with the interval at {given}"
    if (share := contention(samples)) is not None and share > _CONTENDED:
        yield f"contention: {units.percent(share)} of the sampling time went by waiting for a core"
