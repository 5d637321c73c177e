"""The Pareto front of a study: members, what they dominate, knee and hypervolume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite

from archcost.errors import quoted
from archcost.latency.doubts import Doubt
from archcost.latency.samples import Samples
from archcost.latency.statistics import median
from archcost.latency.summary import Latency, summarise
from archcost.nets.export.quantisation.spec import FloatLayer
from archcost.nets.export.quantisation.words import reasons
from archcost.profiling.budget import Budget
from archcost.search import pareto
from archcost.study.objectives import quantity_of
from archcost.study.records import confirmed
from archcost.study.records.best.standings import Standing, standings
from archcost.study.records.confirmed import SEARCHED, Confirmed, Extent, ruling
from archcost.study.records.names import Name, Way
from archcost.study.records.part import Part, achieved, counted, over, placed
from archcost.study.records.reasons import Reason
from archcost.study.records.trials import Recorded, Trial
from archcost.units import duration, percent

Objectives = tuple[tuple[str, int | None], ...]
File = tuple[str, tuple[tuple[str, ...], ...]]
"""What networks have in common that have one latency in each way: graph, and layers in float32 in each."""

_Place = tuple[int, frozenset[str]]
"""The place of a setup, and the layers in float32 of what was measured there."""


@dataclass(frozen=True)
class Candidate:
    """A network that could be on the front, as it runs in one way: a complete trial's, or a column of it.

    values: stored, smaller is better; of a confirmed one the mean over its repetitions. shared: it is a column that
    was only ever trained together with the others. Its part, and what was confirmed, are those of its way. The samples
    of its part are those of its graph: see `candidates`.
    """

    trial: Trial
    part: Part
    values: tuple[float, ...]
    confirmed: Confirmed | None = None
    standing: Standing | None = None
    way: Way = Way()  # noqa: RUF009  # a frozen value

    @property
    def called(self) -> Name:
        """What it is called: its trial, its column and its way."""
        return Name(self.trial.number, self.part.column, self.way.name)

    @property
    def name(self) -> str:
        """The trial's number, with the column after a stroke and the way after an at sign: 12, 12/2, 12@int8."""
        return str(self.called)

    @property
    def network(self) -> str:
        """Its name without its way: trainings, and what they give, are the network's in all ways."""
        return named(self.trial, self.part)

    def latencies(self) -> tuple[Latency, ...]:
        """Return the statistics of its measurements, of those by turns where there are any."""
        return self._latencies

    @cached_property
    def _latencies(self) -> tuple[Latency, ...]:
        return tuple(map(summarise, self.part.samples))

    @property
    def why(self) -> tuple[str, ...]:
        """What is against trusting its latencies; with several of them, each begins with the place of its way."""
        found = self.latencies()
        return tuple(
            f"latency.{way}: {words}" if len(found) > 1 else words
            for way, each in enumerate(found)
            for words in each.doubt_words
        )

    @property
    def doubts(self) -> tuple[tuple[int, Doubt], ...]:
        """What is against trusting its latencies, each with the place of its way."""
        return tuple((way, doubt) for way, each in enumerate(self.latencies()) for doubt in each.doubts)

    @property
    def kept(self) -> Part:
        """What its trial kept of it, in all ways."""
        assert self.trial.ended is not None  # it is complete
        return next(each for each in self.trial.ended.parts if each.column == self.part.column)

    @property
    def float_layers(self) -> frozenset[str]:
        """The layers that are in float32 in its file of 8 bits; none of another network."""
        ways = self.kept.ways
        return frozenset(ways[self.way.number].float_layers) if self.way.quantised and ways else frozenset()

    @property
    def why_float32(self) -> tuple[FloatLayer, ...]:
        """What is known of why each of these layers is in float32, with the numbers that decided."""
        ways = self.kept.ways
        return ways[self.way.number].why if self.way.quantised and ways else ()

    @property
    def float_words(self) -> tuple[str, ...]:
        """The layers that are in float32 in its file of 8 bits, and why, in words; () if there are none."""
        known = tuple(reasons(self.why_float32, "error", percent))
        others = sorted(self.float_layers - {each.name for each in self.why_float32})
        return (*known, *([f"{', '.join(map(quoted, others))}: why is not known"] if others else []))

    @property
    def file(self) -> File:
        """What it has in common with others of one latency in each way."""
        return self.part.digest, tuple(each.float_layers for each in self.kept.ways)

    @property
    def extent(self) -> Extent:
        """How long it was trained when it was confirmed, as in the search if it was not."""
        return self.confirmed.extent if self.confirmed and self.standing else SEARCHED

    @property
    def longer(self) -> bool:
        """Whether it was confirmed with more epochs or examples than the search had: others do not compare with it."""
        return self.extent != SEARCHED

    @property
    def shared(self) -> bool:
        """Whether its weights are those of a larger network and it was not yet trained alone."""
        return self.part.column > 0 and self.standing is None


@dataclass(frozen=True, slots=True)
class Awaited:
    """A network with a latency that is predicted: it is on no front until it is measured.

    expected: its stored values, of what is predicted the medians; best: with the lower ends of intervals in their
    place.
    """

    trial: Trial
    part: Part
    way: Way
    expected: tuple[float, ...]
    best: tuple[float, ...]

    @property
    def name(self) -> str:
        """What it is called: its trial, its column and its way."""
        return str(Name(self.trial.number, self.part.column, self.way.name))

    @property
    def network(self) -> str:
        """Its name without its way."""
        return named(self.trial, self.part)


@dataclass(frozen=True, slots=True)
class Front:
    """Members, best first in the first objective, and all others; hypervolume None if there is no reference yet."""

    members: tuple[Candidate, ...]
    others: tuple[Candidate, ...]
    knee: str | None
    hypervolume: float | None
    reference: tuple[float, ...] | None

    @property
    def confirmed(self) -> int:
        """How many members are confirmed."""
        return sum(each.standing is not None for each in self.members)

    @property
    def comparable(self) -> tuple[Candidate, ...]:
        """Members and others whose scores can be compared: of trainings as long as those of the members."""
        extent = self.members[0].extent if self.members else SEARCHED
        return (*self.members, *(each for each in self.others if each.extent == extent))

    @property
    def left(self) -> tuple[Candidate, ...]:
        """The networks that were confirmed and are not on the front, best first in the first objective."""
        left = (each for each in self.comparable[len(self.members) :] if each.standing)
        return tuple(sorted(left, key=lambda each: each.values))


def restored(each: Candidate, objectives: Objectives) -> list[float]:
    """Return a network's values of the objectives in base units; a count exactly, as an integer."""
    return [
        quantity_of(name).restored(value) if (count := counted(each.part, name)) is None else count
        for (name, _), value in zip(objectives, each.values, strict=True)
    ]


def bounds(each: Candidate, objectives: Objectives) -> list[list[float]]:
    """Return the intervals of a confirmed network's values in base units, none of another; a count is both ends."""
    return [
        [quantity_of(name).restored(end) for end in interval]
        if (count := counted(each.part, name)) is None
        else [count] * 2
        for (name, _), interval in zip(objectives, each.standing.intervals if each.standing else (), strict=False)
    ]


def named(trial: Trial, part: Part) -> str:
    """Return how a network of a study is called."""
    return str(Name(trial.number, part.column))


def candidates(
    study: Recorded,
    every: Sequence[Trial],
    objectives: Objectives,
    ways: Sequence[Way] = (),
    limits: Budget | None = None,
) -> tuple[Candidate, ...]:
    """Return every network of the complete trials of a study in every way, each once: a repeated point adds nothing.

    Networks of one graph have one latency, so that they differ in accuracy only: in each way the samples taken by turns
    in confirming, or else the most samples that one of their trials took; in 8 bits, of those that have the same layers
    in float32. ways: that the study names, () of one that names none; of the others, a point is left out that was over
    `limits` in its trial.
    """
    found = []
    for trial, part, known, held in _networks(study, every):
        for way in ways or (only(objectives),):
            here = known.in_way(way)
            values = achieved(here, objectives)
            if all(map(isfinite, values)) and not absent(part, way, limits if ways else None):
                found.append(Candidate(trial, here, values, held.in_way(way) if held else None, way=way))
    return _standing(found, objectives)


def awaited(
    study: Recorded,
    every: Sequence[Trial],
    objectives: Objectives,
    ways: Sequence[Way] = (),
    limits: Budget | None = None,
) -> tuple[Awaited, ...]:
    """Return the networks, as `candidates` does, that have a latency which is predicted and was not measured.

    What is predicted is taken at the speed that the device has now, as far as networks that are measured too tell it.
    """
    found, networks = [], list(_networks(study, every))
    speed = _speeds([known for _, _, known, _ in networks])
    for trial, part, before, _ in networks:
        known = replace(before, predicted=tuple(each.at(speed.get(each.place, 1.0)) for each in before.predicted))
        for way in ways or (only(objectives),):
            here = known.in_way(way)
            expected, best = (achieved(here, objectives, known.latencies_s(way, least=end)) for end in (False, True))
            if known.awaits(way) and all(map(isfinite, expected)) and not absent(part, way, limits):
                found.append(Awaited(trial, known, way, expected, best))
    return tuple(found)


def _speeds(parts: Sequence[Part]) -> Mapping[int, float]:
    """Return by which factor networks take longer than was predicted, in the median, by the places of setups."""
    ratios: dict[int, list[float]] = {}
    for part in parts:
        known = part.measured
        for each in part.predicted:
            if each.place in known:
                ratios.setdefault(each.place, []).append(known[each.place].median_s / each.median_s)
    return {place: median(each) for place, each in ratios.items()}


def _networks(study: Recorded, every: Sequence[Trial]) -> Iterator[tuple[Trial, Part, Part, Confirmed | None]]:
    """Yield every network of a complete trial: as it was kept, with the samples that are its now, and confirmed."""
    again = confirmed.everything(study)
    networks = [
        (trial, part, again.get(named(trial, part)))
        for trial in every
        if trial.state == "complete" and trial.ended and trial.ended.repeats is None
        for part in trial.ended.parts
    ]
    samples = _of_graphs([(part, held) for _, part, held in networks])
    for trial, part, held in networks:
        own = _own(part, samples[part.digest])
        yield trial, part, replace(part, samples=tuple(own.values()), skipped=_gaps(own)), held


def only(objectives: Objectives) -> Way:
    """Return the way of a study that names none: what it measures are the latencies of its objectives."""
    return Way(places=tuple(range(sum(place is not None for _, place in objectives))))


def absent(part: Part, way: Way, limits: Budget | None) -> Reason | None:
    """Return why a network of a complete trial has no point in a way, None if it has one, as far as is known."""
    return part.missing(way) or over(part.in_way(way), limits) or _foreseen_over(part, way, limits)


def _foreseen_over(part: Part, way: Way, limits: Budget | None) -> Reason | None:
    """Return by which prediction a network cannot keep the limit in a way, None if it may."""
    if limits is None or (allowed_s := limits.latency_s) is None:
        return None
    for each in part.predicted:
        if each.place in way.places and each.place not in part.measured and each.low_s > allowed_s:
            words = f"latency predicted {duration(each.median_s)}, at least {duration(each.low_s)}"
            return Reason("limit", f"limits: {words}; allowed: {duration(allowed_s)}", "latency, predicted")
    return None


def _of_graphs(networks: Sequence[tuple[Part, Confirmed | None]]) -> Mapping[str, Mapping[_Place, Samples]]:
    """Return the samples of every graph, by digest, for each file of it that was measured in a setup."""
    alone: dict[str, dict[_Place, Samples]] = {}
    for part, _ in networks:
        best = alone.setdefault(part.digest, {})
        for place, each in part.measured.items():
            file = place, _in_float32(each)
            if file not in best or each.count > best[file].count:
                best[file] = each
    for part, held in networks:
        if held:  # confirming keeps the same ones for all networks of a file
            measured = placed(held.samples, held.skipped)
            alone[part.digest] |= {(place, _in_float32(each)): each for place, each in measured.items()}
    return alone


def _in_float32(samples: Samples) -> frozenset[str]:
    """Return the layers in float32 of the file of 8 bits that was measured, none of another network."""
    return frozenset(samples.findings.in_float32) if samples.findings else frozenset()


def _own(part: Part, known: Mapping[_Place, Samples]) -> Mapping[int, Samples]:
    """Return the samples of a network's own files by the places of their setups, of its graph where it has none."""
    found = {place: each for (place, _), each in known.items()}
    found |= {place: known[place, _in_float32(each)] for place, each in part.measured.items()}
    return dict(sorted(found.items()))


def _gaps(measured: Mapping[int, Samples]) -> tuple[int, ...]:
    return tuple(place for place in range(max(measured, default=0)) if place not in measured)


def _standing(found: Sequence[Candidate], objectives: Objectives) -> tuple[Candidate, ...]:
    several = len({each.way for each in found}) > 1
    known = {
        place: repeated
        for place, each in enumerate(found)
        if each.confirmed
        and (repeated := confirmed.repeated(each.part, each.confirmed, objectives, each.network if several else ""))
    }
    stands = dict(zip(known, standings(list(known.values())), strict=True))
    return tuple(
        replace(each, values=_sure(each, stands[place], objectives), standing=stands[place])
        if place in stands
        else each
        for place, each in enumerate(found)
    )


def _sure(each: Candidate, standing: Standing, objectives: Objectives) -> tuple[float, ...]:
    """Return the values of a confirmed network: means over seeds; its latency is its graph's, as others have it."""
    known = zip(objectives, each.values, standing.middles, strict=True)
    return tuple(middle if quantity_of(name).learnt else value for (name, _), value, middle in known)


def front(found: Sequence[Candidate], reference: Sequence[float] | None, asked: Extent | None = None) -> Front:
    """Return the front of candidates; reference: the point that the hypervolume is measured from, in stored values.

    Once some are confirmed longer than the search trained, these alone can be compared, and are on it; asked: as long
    as the study asks for, None if that is not known.
    """
    extent = ruling((each.extent for each in found), asked)
    able = [place for place, each in enumerate(found) if each.extent == extent]
    points = [found[place].values for place in able]
    inside = {able[place] for place in pareto.front(points)}
    members = sorted((found[place] for place in inside), key=lambda each: each.values)
    knee = pareto.knee([each.values for each in members])
    return Front(
        members=tuple(members),
        others=tuple(each for place, each in enumerate(found) if place not in inside),
        knee=None if knee is None else members[knee].name,
        hypervolume=None if reference is None else pareto.hypervolume(points, reference),
        reference=None if reference is None else tuple(reference),
    )


def as_searched(found: Sequence[Candidate], objectives: Objectives, asked: Extent | None = None
                ) -> tuple[Candidate, ...]:  # fmt: skip
    """Return candidates with the scores that they had in the search, where confirming trained any of them longer.

    What was confirmed is left out, but for that it was, as long as the front's. asked: as of `front`.
    """
    extent = ruling((each.extent for each in found), asked)
    return tuple(each if each.extent == extent == SEARCHED else
                 replace(each, values=achieved(each.part, objectives), confirmed=None,
                         standing=each.standing if each.extent == extent else None) for each in found)  # fmt: skip


def by_way(
    found: Sequence[Candidate], ways: Sequence[Way], reference: Sequence[float] | None, asked: Extent | None = None
) -> tuple[tuple[Way, Front], ...]:
    """Return the front of each way alone, as if the study had no other one."""
    return tuple((way, front([each for each in found if each.way == way], reference, asked)) for way in ways)
