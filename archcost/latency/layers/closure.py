"""From rounds to the times of layers: what adds up in each call adds up in the end.

A layer's time is its mean over the middle half of calls, by what the whole took, and over the middle half of rounds: a
mean adds up where medians do not, and the calls and rounds that something disturbed are at the ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar

from archcost.latency.doubts import Doubt
from archcost.latency.layers.rounds import Round, Run, Taken, Told
from archcost.latency.layers.times import ByRound, LayerTime, LayerTimes, Part
from archcost.latency.samples import Way
from archcost.latency.statistics import BLOCKS, FEWEST_BLOCKS, block_range, half_width
from archcost.latency.summary import CONTENDED

T = TypeVar("T")

_LAYERS: Final = 2.5  # times the precision of the whole, to which each of the slowest layers is to be known
_SLOWEST: Final = 10
_UNEXPLAINED: Final = 0.03  # share of the whole from which on it is a doubt that nothing explains it


class Point(NamedTuple):
    """What a round says: seconds of a call, timed from outside and inside, and of each part; idle: costing nothing."""

    whole_s: float
    timed_s: float
    parts_s: Mapping[str, float]
    idle_s: float
    idle_timed_s: float
    idle_parts_s: Mapping[str, float]


class Timed(NamedTuple):
    """Seconds, the range of the blocks, None if there are fewer than six, and the seconds in each round."""

    time_s: float
    interval_s: tuple[float, float] | None
    by_round_s: tuple[float, ...] = ()

    @property
    def half_width(self) -> float:
        """Half the interval over the time, infinite if there is none."""
        return half_width(self.interval_s, self.time_s) if self.time_s > 0 else math.inf


class Found(NamedTuple):
    """What a network's rounds add up to, before its parts have names; by_round: of what is no part."""

    whole: Timed
    parts: Mapping[str, Timed]
    timed_s: float
    idle_s: float
    idle_timed_s: float
    by_round: ByRound


def middle(values: Sequence[T], order: Callable[[T], float]) -> list[T]:
    """Return the middle half of values: a quarter is left out at either end, none of three or fewer."""
    cut = len(values) // 4
    return sorted(values, key=order)[cut : len(values) - cut]


def point(taken: Round) -> Point:
    """Return what a round says of one call."""
    whole_s, timed_s, parts_s = _calls(taken.whole_s, taken.timed)
    return Point(whole_s, timed_s, parts_s, *_calls(taken.idle_s, taken.idle_timed))


def _calls(whole_s: Sequence[float], timed: Sequence[Run]) -> tuple[float, float, Mapping[str, float]]:
    inside = middle(timed, lambda run: run.total_s)  # each by itself: one of the two alone may be disturbed
    outside = middle(whole_s, lambda taken_s: taken_s)
    return _mean(outside), _mean(run.total_s for run in inside), _means([run.parts_s for run in inside])


def _mean(values: Iterable[float]) -> float:
    each = list(values)
    return math.fsum(each) / len(each)


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each key; a row without it has 0 of it."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: math.fsum(row.get(key, 0.0) for row in rows) / len(rows) for key in keys}


def found(rounds: Sequence[Round]) -> Found:
    """Return what rounds add up to: of each part what it took more than the same that costs nothing."""
    points = [point(each) for each in rounds]
    kept = middle(points, lambda each: each.whole_s + each.timed_s)
    idle = middle(points, lambda each: each.idle_s + each.idle_timed_s)
    parts_s, empty_s = _means([each.parts_s for each in kept]), _means([each.idle_parts_s for each in idle])
    whole = _timed(_mean(each.whole_s for each in kept), [each.whole_s for each in points])
    each_part = {
        key: _timed(
            max(0.0, took_s - empty_s.get(key, 0.0)),
            [max(0.0, each.parts_s.get(key, 0.0) - empty_s.get(key, 0.0)) for each in points],
        )
        for key, took_s in parts_s.items()
    }
    idle_s = _mean(each.idle_s for each in idle)
    return Found(
        whole,
        each_part,
        _mean(each.timed_s for each in kept),
        idle_s,
        _mean(each.idle_timed_s for each in idle),
        ByRound(
            whole.by_round_s,
            tuple(each.idle_s for each in points),
            tuple(each.whole_s - idle_s - _own_s(each, empty_s) for each in points),
        ),
    )


def _own_s(taken: Point, empty_s: Mapping[str, float]) -> float:
    """Return what a round's parts took more than those that cost nothing."""
    return math.fsum(max(0.0, took_s - empty_s.get(key, 0.0)) for key, took_s in taken.parts_s.items())


def _timed(time_s: float, by_round: Sequence[float]) -> Timed:
    """Return a time and the range of the blocks of rounds, in which it lies itself: a mean may lie beside medians."""
    bounds = block_range([[value] for value in by_round])
    around = None if bounds is None else (min(bounds[0], time_s), max(bounds[1], time_s))
    return Timed(time_s, around, tuple(by_round))


def is_known(rounds: Sequence[Round], precision: float) -> bool:
    """Return whether the whole is known to a precision, and each of the slowest layers to 2.5 times that."""
    known = found(rounds)
    slowest = sorted(known.parts.values(), key=lambda part: -part.time_s)[:_SLOWEST]
    return known.whole.half_width <= precision and all(
        part.half_width <= _LAYERS * precision for part in slowest if part.time_s > 0
    )


def closed(taken: Taken, parts: Sequence[Part], told: Told, way: Way, precision: float) -> LayerTimes:
    """Return the times of the parts that ran, in their order; what ran and is no part has its key as its name.

    It is unmapped if kernels ran, and it is none that is known: else its key is a path of the network's own.
    """
    known = found(taken.rounds)
    named = {part.key: part for part in parts}
    strange = [key for key in known.parts if key not in named]
    order = [*(part.key for part in parts if part.key in known.parts), *strange]
    unmapped = [] if told.fused is None else [key for key in strange if key not in told.fused]
    joined = {key: [named[each] for each in (told.fused or {}).get(key, (key,)) if each in named] for key in order}
    times = LayerTimes(
        way,
        known.whole.time_s,
        known.whole.interval_s,
        known.idle_s,
        known.timed_s,
        max(0.0, known.idle_timed_s - known.idle_s),
        told.reads,
        len(taken.rounds),
        tuple(_layer(key, known.parts[key], joined[key]) for key in order),
        unexplained_interval_s=block_range([[each] for each in known.by_round.unexplained_s]),
        unmapped_s=math.fsum(known.parts[key].time_s for key in unmapped),
        notes=told.notes,
        by_round=known.by_round,
    )
    return replace(times, doubts=tuple(_doubts(times, precision, taken.contention)))


def _layer(key: str, timed: Timed, parts: Sequence[Part]) -> LayerTime:
    """Return the time of parts that ran as one, which has the name of the one that multiplies most."""
    if not parts:
        return LayerTime(key, "", "", key, timed.time_s, timed.interval_s, by_round_s=timed.by_round_s)
    first = next((part for part in parts if part.key == key), parts[0])
    names = tuple(part.name for part in parts) if len(parts) > 1 else ()
    macs = sum(part.macs for part in parts)
    known = (first.name, first.op, first.group, first.module, timed.time_s, timed.interval_s)
    return LayerTime(*known, names, macs, first.moved_bytes, by_round_s=timed.by_round_s)


def _doubts(times: LayerTimes, precision: float, contention: float | None) -> Iterator[Doubt]:
    blocks = min(times.rounds, BLOCKS)
    wide = half_width(times.interval_s, times.end_to_end_s)
    slowest = sorted(times.layers, key=lambda layer: -layer.time_s)[:_SLOWEST]
    unsteady = [layer for layer in slowest if layer.half_width > _LAYERS * precision]
    if blocks < FEWEST_BLOCKS:
        yield Doubt("few_blocks", blocks, FEWEST_BLOCKS)
    else:
        if wide > precision:
            yield Doubt("wide_interval", wide, precision)
        if unsteady:
            yield Doubt("unsteady_layers", max(layer.half_width for layer in unsteady), _LAYERS * precision)
    if abs(share := times.share(times.unexplained_s)) > _UNEXPLAINED:
        yield Doubt("unexplained", share, _UNEXPLAINED)
    if contention is not None and contention > CONTENDED:
        yield Doubt("contention", contention, CONTENDED)
