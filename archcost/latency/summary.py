"""What follows from samples: a latency with statistics and doubts, or a ratio of networks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import chain
from typing import Final

from archcost.latency import statistics
from archcost.latency.bursts import Burst
from archcost.latency.doubts import Doubt, why, words
from archcost.latency.samples import Conditions, Samples, Way
from archcost.latency.statistics import BLOCKS, FEWEST_BLOCKS, interval, median
from archcost.nets.export.quantisation.spec import Findings

CONTENDED: Final = 0.05
"""Share of the sampling time spent waiting for a core from which samples are doubted."""

_SPARE: Final = 1.8  # times what eight blocks take: the warm-up is up to three tenths, and pauses lie between
_DRIFTED: Final = (
    0.05  # how much the time may change while the network's state does, before that is named as the reason
)
_STEADY: Final = 0.9
_DENORMAL: Final = 0.001  # share of denormal numbers from which they may be what takes the time
_RUNS_APART: Final = 0.01  # of a run's median, beyond what its bursts show: studies/benchmarks/repeated_runs.py
_SLOWED: Final = 0.05  # how much the calibration kernel may slow between blocks before it is named as what disturbed


@dataclass(frozen=True, slots=True)
class Latency:
    """One row of `latencies` in the output: the statistics of Samples, None where they are too few for one.

    interval_s: smallest and largest median of the blocks; calibration_s: median time of the fixed kernel next to them;
    relative: the latency in times of that kernel, which a slower day changes less; machine_speed: the fastest
    calibration over the median one, 1 where the machine ran as fast throughout; contention: the share of the time for
    which threads waited for a core; doubts: what is against trusting it; enough_s: time in which enough blocks may fit,
    None if there are enough; export_s: what the export to the runtime took before the first call, None if it runs the
    network as it is; settings: what the runtime was told; processes, copies: how many of each the samples come from, a
    copy of the network being in memory of its own; repeat_s: where the median of another run on this machine, as quiet,
    is expected with 90%, None if there are too few bursts; int8: of a network in 8 bits, which layers are in float32,
    and what 8 bits gain.
    """

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
    doubts: tuple[Doubt, ...]
    examples_per_s: float
    first_s: float
    blocks: int
    cold_cache: bool
    contention: float | None
    calibration_s: float | None
    relative: float | None
    machine_speed: float | None
    fingerprint: str
    conditions: Conditions
    versions: tuple[tuple[str, str], ...]
    enough_s: float | None = None
    export_s: float | None = None
    settings: tuple[tuple[str, str], ...] = ()
    processes: int = 1
    copies: int = 1
    repeat_s: tuple[float, float] | None = None
    int8: Findings | None = None

    @property
    def way(self) -> Way:
        """Where and how it was measured."""
        return Way(self.target, self.runtime, self.batch, self.dtype, self.threads, self.cold_cache)

    @property
    def stable(self) -> bool:
        """Whether nothing is against trusting it."""
        return not self.doubts

    @property
    def why(self) -> str:
        """What is against trusting it in words, '' if nothing is."""
        return why(self.doubts, self.enough_s)

    @property
    def doubt_words(self) -> tuple[str, ...]:
        """Each of its doubts in words."""
        return tuple(words([doubt], self.enough_s) for doubt in self.doubts)

    def to_dict(self) -> dict[str, object]:
        """Return the row as JSON holds it, `stable` and `why` before the doubts they follow from."""
        row: dict[str, object] = {}
        for field in fields(self):
            if field.name == "doubts":
                row |= {"stable": self.stable, "why": self.why, "doubts": [asdict(doubt) for doubt in self.doubts]}
            else:
                row[field.name] = getattr(self, field.name)
        for key in ("interval_s", "repeat_s"):
            row[key] = None if row[key] is None else list(getattr(self, key))
        row["int8"] = None if self.int8 is None else asdict(self.int8)
        pairs = {"versions": dict(self.versions), "settings": dict(self.settings)}
        return {**row, "conditions": asdict(self.conditions), **pairs}


def summarise(samples: Samples) -> Latency:
    """Return the statistics of `samples`, with what is against trusting them."""
    origin, plan, several = samples.origin, samples.plan, samples.loops > 1
    by_burst, medians, durations = _in_order(samples)
    middle, bounds = median(durations), statistics.enclosing(medians)
    return Latency(
        target=origin.target,
        runtime=origin.runtime,
        device=origin.device.name,
        batch=plan.batch,
        dtype=plan.dtype,
        threads=plan.threads,
        warmup=len(samples.warmup_s),
        samples=len(durations),
        median_s=middle,
        min_s=durations[0],
        p90_s=None if several else statistics.percentile(durations, 90),  # a mean of several calls hides the slow one
        p99_s=None if several else statistics.percentile(durations, 99),
        interval_s=bounds,
        spread=statistics.spread(durations),
        doubts=tuple(_doubts(samples, medians, statistics.half_width(bounds, middle))),
        examples_per_s=plan.batch / middle,
        first_s=samples.first_s,
        blocks=len(medians),
        cold_cache=plan.cold_cache,
        contention=contention(samples),
        calibration_s=_middle([burst.calibration_s for burst in samples.bursts]),
        relative=_middle(list(map(_relative, samples.bursts, by_burst))),
        machine_speed=_speed(samples),
        fingerprint=origin.device.fingerprint,
        conditions=origin.conditions,
        versions=origin.versions,
        enough_s=_enough_s(samples, len(medians)),
        export_s=samples.export_s,
        settings=samples.settings,
        processes=len({burst.process for burst in samples.bursts}),
        copies=len({(burst.process, burst.copy) for burst in samples.bursts}),
        repeat_s=statistics.next_median(by_burst, middle, _RUNS_APART),
        int8=samples.findings,
    )


def _in_order(samples: Samples) -> tuple[list[float], list[float], list[float]]:
    """Return the medians of bursts and of blocks, and all samples, the shortest first: sorted in parts, once."""
    bursts = [sorted(burst.samples_s) for burst in samples.bursts]
    blocks = [sorted(block) for block in statistics.blocks(bursts)]
    return list(map(median, bursts)), list(map(median, blocks)), sorted(chain.from_iterable(blocks))


def _by_burst(samples: Samples) -> list[float]:
    """Return the median of each burst."""
    return [median(burst.samples_s) for burst in samples.bursts]


def interval_s(samples: Samples) -> tuple[float, float] | None:
    """Return the smallest and largest median of the blocks, None if there are fewer than six."""
    return statistics.block_range([burst.samples_s for burst in samples.bursts])


def half_width(samples: Samples) -> float:
    """Return half the length of the interval over the median, infinite if there is no interval."""
    return statistics.half_width(interval_s(samples), samples.median_s)


def contention(samples: Samples) -> float | None:
    """Return the share of the sampling time for which threads waited for a core; None if nothing is known of it.

    It is the larger of two lower bounds: what the system says threads waited, over all of them, and what CPU time the
    process lacks of the wall time, in which at least one thread always had something to do.
    """
    wall_s = sum(burst.wall_s for burst in samples.bursts)
    bounds = []
    if (waited := _total([burst.waited_s for burst in samples.bursts])) is not None:
        bounds.append(waited / samples.plan.threads / wall_s)
    if (used := _total([burst.cpu_s for burst in samples.bursts])) is not None:
        bounds.append(1 - used / wall_s)
    return min(1.0, max(0.0, *bounds)) if bounds and wall_s > 0 else None


def _total(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None


def _middle(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _relative(burst: Burst, middle: float) -> float | None:
    return None if burst.calibration_s is None else middle / burst.calibration_s


def _speed(samples: Samples) -> float | None:
    known = [burst.calibration_s for burst in samples.bursts if burst.calibration_s is not None]
    return min(known) / median(known) if known else None


def _doubts(samples: Samples, medians: Sequence[float], width: float) -> Iterator[Doubt]:
    """Yield them; medians: of the blocks; width: half of the interval over the median."""
    count, asked = len(medians), samples.plan.precision
    if samples.change and samples.change.shapes:
        yield Doubt("state_changed", samples.change.after_bytes, samples.change.before_bytes)
    elif samples.change and (drift := _drift(samples)) > _DRIFTED:
        yield Doubt("state_drifted", drift, _DRIFTED)
    if not statistics.settled(samples.warmup_s):
        yield Doubt("warmup", len(samples.warmup_s))
    if count < FEWEST_BLOCKS:
        yield Doubt("few_blocks", count, FEWEST_BLOCKS)
    elif width > asked:
        yield Doubt("wide_interval", width, asked)
        yield from _disturbances(samples, medians)
    if (share := contention(samples)) is not None and share > CONTENDED:
        yield Doubt("contention", share, CONTENDED)
    if samples.denormals > _DENORMAL:
        yield Doubt("denormals", samples.denormals, _DENORMAL)
    if samples.denormal_values > _DENORMAL:
        yield Doubt("denormal_values", samples.denormal_values, _DENORMAL)


def _drift(samples: Samples) -> float:
    """Return how much longer the last quarter of the bursts took than the first, 0 if they do not change steadily.

    Steadily: Spearman's rank correlation of a burst's place and its median, to which the calibration kernel is the
    measure if there is one, is at least 0.9.
    """
    by_burst = _by_burst(samples)
    relative = list(map(_relative, samples.bursts, by_burst))
    known = [value for value in relative if value is not None]
    medians = known if len(known) == len(relative) else by_burst
    if (count := len(medians)) < BLOCKS:
        return 0.0
    apart = sum((place - rank) ** 2 for place, rank in enumerate(statistics.ranks(medians), 1))
    if abs(1 - 6 * apart / (count * (count**2 - 1))) < _STEADY:
        return 0.0
    return abs(median(medians[-(count // 4) :]) / median(medians[: count // 4]) - 1)


def _enough_s(samples: Samples, count: int) -> float | None:
    """Return for how long to measure so that eight blocks as long as these bursts fit, None if `count` are enough."""
    if count >= FEWEST_BLOCKS:
        return None
    burst_s = math.fsum(burst.wall_s for burst in samples.bursts) / len(samples.bursts)
    return max(2 * samples.plan.time_s, _SPARE * BLOCKS * burst_s)


def _disturbances(samples: Samples, medians: Sequence[float]) -> Iterator[Doubt]:
    """Yield what moved the medians of the blocks apart, as far as it was seen."""
    known = [burst.calibration_s for burst in samples.bursts if burst.calibration_s is not None]
    if known and (slowed := max(known) / min(known) - 1) > _SLOWED:
        yield Doubt("machine_slowed", 1 + slowed, 1 + _SLOWED)
    if (at := statistics.change_point(_by_burst(samples))) is not None:
        yield Doubt("level_changed", at, len(samples.bursts))
    elif not known:
        yield Doubt("slow_block", max(medians) / min(medians) - 1)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times the first's latency the other's is: the median over rounds, with a 99% interval.

    In each round both run next to each other, in random order, so that what slows the machine slows both. first_s,
    other_s: the medians in the round whose ratio is the middle one, of two such rounds their geometric means; so that
    other_s / first_s is the ratio.
    """

    ratio: float
    interval: tuple[float, float] | None
    rounds: int
    first_s: float
    other_s: float

    @property
    def differ(self) -> bool | None:
        """Whether there is a detectable difference: 1 is outside the interval; None if there are too few rounds."""
        return None if self.interval is None else not self.interval[0] <= 1 <= self.interval[1]

    @property
    def half_width(self) -> float:
        """Half the length of the interval over the ratio, infinite if there is none."""
        return statistics.half_width(self.interval, self.ratio)


def ratio(first: Samples, other: Samples) -> Ratio:
    """Return the ratio of two measurements made by turns: the median of the rounds' ratios of medians.

    The interval supposes rounds that are independent of each other (Thompson 1936, by order statistics).
    """
    pairs = zip(first.bursts, other.bursts, strict=True)
    rounds = [(math.log(median(a.samples_s)), math.log(median(b.samples_s))) for a, b in pairs]
    rounds.sort(key=lambda each: each[1] - each[0])
    middle = rounds[(len(rounds) - 1) // 2 : len(rounds) // 2 + 1]
    one, two = (math.fsum(each) / len(middle) for each in zip(*middle, strict=True))
    bounds = interval([after - before for before, after in rounds])
    within = None if bounds is None else (math.exp(bounds[0]), math.exp(bounds[1]))
    return Ratio(math.exp(two - one), within, len(rounds), math.exp(one), math.exp(two))
