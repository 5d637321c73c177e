"""One network of a trial, whole or a column: what is known of it in each way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, takewhile
from math import nan

from archcost.latency.samples import Samples
from archcost.nets.export.quantisation.spec import FloatLayer
from archcost.profiling.budget import Budget
from archcost.study.objectives import quantity_of
from archcost.study.records.names import Way
from archcost.study.records.reasons import Kept, Reason
from archcost.training.score import Score
from archcost.units import data_size, duration, grouped


@dataclass(frozen=True, slots=True)
class InWay:
    """What a network of a trial is in one of the ways that its study names.

    score: as it is quantised for that way, None in a way that quantises nothing; reason: why it has no point there;
    float_layers: those that are in float32 in its file of 8 bits; why: what is known of them, with the numbers that
    decided, of the whole network or column; earlier versions kept nothing.
    """

    memory_bytes: int
    weights_bytes: int
    score: Score | None = None
    reason: Kept = None
    float_layers: tuple[str, ...] = ()
    why: tuple[FloatLayer, ...] = ()


@dataclass(frozen=True, slots=True)
class Predicted:
    """A latency in seconds that was predicted, not measured; place: of its setup; low_s, high_s: its interval."""

    place: int
    median_s: float
    low_s: float
    high_s: float

    def at(self, factor: float) -> Predicted:
        """Return it for a device that takes so many times as long."""
        return Predicted(self.place, factor * self.median_s, factor * self.low_s, factor * self.high_s)


@dataclass(frozen=True, slots=True)
class Part:
    """One network of a trial: the whole one, column 0, or a column of it (1 = shallowest) with shared weights.

    samples: one for each setup in which the study measures, in its order, but for those at the places of `skipped`, in
    which it does not run; weights_bytes: of parameters and buffers, None of a network that an earlier version kept;
    memory_bytes, weights_bytes: in the first way of the study; ways: of one that names ways, what it is in each;
    predicted: its latencies in setups where it was not measured in its trial.
    """

    column: int
    digest: str
    params: int
    macs: int
    memory_bytes: int
    score: Score | None = None
    samples: tuple[Samples, ...] = ()
    weights_bytes: int | None = None
    ways: tuple[InWay, ...] = ()
    skipped: tuple[int, ...] = ()
    predicted: tuple[Predicted, ...] = ()

    @property
    def measured(self) -> Mapping[int, Samples]:
        """Its samples by the place of their setup."""
        return placed(self.samples, self.skipped)

    @property
    def packed(self) -> Part:
        """The same with samples as they are kept."""
        return replace(self, samples=tuple(each.packed for each in self.samples))

    def in_way(self, way: Way) -> Part:
        """Return it as it is in one way: with the score, the bytes and the samples that it has there.

        Its samples are then those of its latencies, in the order of the objectives, up to one that is missing; nothing
        in it is predicted.
        """
        taken = in_order(self.measured, way.places)
        if not self.ways:
            return replace(self, samples=taken, skipped=(), predicted=())
        here = self.ways[way.number]
        score = here.score if way.quantised else self.score
        found = replace(self, memory_bytes=here.memory_bytes, weights_bytes=here.weights_bytes, score=score)
        return replace(found, samples=taken, ways=(), skipped=(), predicted=())

    def latencies_s(self, way: Way, *, least: bool = False) -> tuple[float, ...]:
        """Return its latencies in a way, in the order of the objectives: medians, of what was not measured predicted.

        least: of what is predicted the lower end of its interval. NaN is what is neither measured nor predicted.
        """
        measured = self.measured
        known = {each.place: each.low_s if least else each.median_s for each in self.predicted}
        known |= {place: measured[place].median_s for place in way.places if place in measured}
        return tuple(known.get(place, nan) for place in way.places)

    def awaits(self, way: Way) -> bool:
        """Return whether a latency of it in a way is predicted, and was not measured."""
        known = self.measured
        return any(each.place in way.places and each.place not in known for each in self.predicted)

    def missing(self, way: Way) -> Reason | None:
        """Return why it has no point in a way, None if nothing is known of that."""
        return self.ways[way.number].reason if self.ways else None


def placed(samples: Sequence[Samples], skipped: Collection[int]) -> dict[int, Samples]:
    """Return samples by the places of their setups, of which some were skipped."""
    places = (place for place in count() if place not in skipped)
    return dict(zip(places, samples, strict=False))


def in_order(measured: Mapping[int, Samples], places: Sequence[int]) -> tuple[Samples, ...]:
    """Return the samples at places in their order, up to one that is missing."""
    return tuple(measured[place] for place in takewhile(measured.__contains__, places))


def achieved(
    part: Part, objectives: Sequence[tuple[str, int | None]], latencies_s: Sequence[float] | None = None
) -> tuple[float, ...]:
    """Return the stored values of a part; objectives: names, and of a latency the place of its way among the samples.

    latencies_s: as they are taken to be, by these places, None as they were measured. A value that is not known is not
    finite: it never enters.
    """
    given = [each.median_s for each in part.samples] if latencies_s is None else latencies_s
    return tuple(quantity_of(name).stored(_value(part, name, way, given)) for name, way in objectives)


def counted(part: Part, name: str) -> int | None:
    """Return the value of an objective that is a count, exactly; None of one that is measured or learnt."""
    return {"params": part.params, "macs": part.macs, "memory": part.memory_bytes}.get(name)


def _value(part: Part, name: str, way: int | None, latencies_s: Sequence[float]) -> float:
    if (exactly := counted(part, name)) is not None:
        return float(exactly)
    match name:
        case "latency":
            assert way is not None
            return latencies_s[way] if way < len(latencies_s) else nan
        case _:
            found = part.score.value(quantity_of(name).name) if part.score else None
            return nan if found is None else float(found)


def over(part: Part, limits: Budget | None) -> Reason | None:
    """Return which limits a network exceeds in the way that a part is of, None if it keeps to all that are known.

    part: as `Part.in_way` gives it. A latency is over its limit if any of its ways to measure is.
    """
    allowed = limits.limits() if limits else {}
    has: list[tuple[str, float | None, Callable[[float], str]]] = [
        ("params", part.params, lambda value: grouped(round(value))),
        ("macs", part.macs, lambda value: grouped(round(value))),
        ("memory", part.memory_bytes, lambda value: data_size(round(value))),
        ("weights", part.weights_bytes, lambda value: data_size(round(value))),
        *(("latency", each.median_s, duration) for each in part.samples),
    ]
    for name, value, words in has:
        if name in allowed and value is not None and value > allowed[name]:
            return Reason("limit", f"limits: {name} {words(value)}; allowed: {words(allowed[name])}", name)
    return None
