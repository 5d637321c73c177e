"""The Pareto front of a study: members, what they dominate, knee and hypervolume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from archcost.latency.doubts import Doubt
from archcost.latency.samples import Samples
from archcost.latency.summary import Latency, summarise
from archcost.search import pareto
from archcost.study.objectives import quantity_of
from archcost.study.records import confirmed
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.names import Name
from archcost.study.records.standings import Standing, standings
from archcost.study.records.trials import Part, Recorded, Trial, achieved, counted

Objectives = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that could be on the front: a complete trial's, or a column of it.

    values: stored, smaller is better; of a confirmed one the mean over its repetitions. shared: it is a column that
    was only ever trained together with the others. The samples of its part are those of its graph: see `candidates`.
    """

    trial: Trial
    part: Part
    values: tuple[float, ...]
    confirmed: Confirmed | None = None
    standing: Standing | None = None

    @property
    def name(self) -> str:
        """The trial's number, of a column with its own behind a stroke: 12, 12/2."""
        return named(self.trial, self.part)

    def latencies(self) -> tuple[Latency, ...]:
        """Return the statistics of its measurements, of those by turns where there are any."""
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
    def shared(self) -> bool:
        """Whether its weights are those of a larger network and it was not yet trained alone."""
        return self.part.column > 0 and self.standing is None


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
    def left(self) -> tuple[Candidate, ...]:
        """The networks that were confirmed and are not on the front, best first in the first objective."""
        return tuple(sorted((each for each in self.others if each.standing), key=lambda each: each.values))


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


def candidates(study: Recorded, every: Sequence[Trial], objectives: Objectives) -> tuple[Candidate, ...]:
    """Return every network of the complete trials of a study, each once: a repeated point adds nothing.

    Networks of one graph have one latency, so that they differ in accuracy only: in each way the samples taken by turns
    in confirming, or else the most samples that one of their trials took.
    """
    again = confirmed.everything(study)
    networks = [
        (trial, part, again.get(named(trial, part)))
        for trial in every
        if trial.state == "complete" and trial.ended and trial.ended.repeats is None
        for part in trial.ended.parts
    ]
    samples = _of_graphs([(part, held) for _, part, held in networks])
    found = [
        Candidate(trial, measured, values, held)
        for trial, part, held in networks
        if (measured := replace(part, samples=samples[part.digest]))
        if all(map(isfinite, values := achieved(measured, objectives)))
    ]
    return _standing(found, objectives)


def _of_graphs(networks: Sequence[tuple[Part, Confirmed | None]]) -> Mapping[str, tuple[Samples, ...]]:
    """Return the samples of every graph, by digest, in the order of the ways."""
    alone: dict[str, list[Samples]] = {}
    for part, _ in networks:
        best = alone.setdefault(part.digest, [])
        for way, each in enumerate(part.samples):
            if way == len(best):
                best.append(each)
            elif len(each.samples_s) > len(best[way].samples_s):
                best[way] = each
    for part, held in networks:
        if held:  # confirming keeps the same ones for all networks of a graph
            alone[part.digest][: len(held.samples)] = held.samples
    return {digest: tuple(each) for digest, each in alone.items()}


def _standing(found: Sequence[Candidate], objectives: Objectives) -> tuple[Candidate, ...]:
    known = {
        place: repeated
        for place, each in enumerate(found)
        if each.confirmed and (repeated := confirmed.repeated(each.part, each.confirmed, objectives))
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


def front(found: Sequence[Candidate], reference: Sequence[float] | None) -> Front:
    """Return the front of candidates; reference: the point that the hypervolume is measured from, in stored values."""
    points = [each.values for each in found]
    inside = set(pareto.front(points))
    members = sorted((found[place] for place in inside), key=lambda each: each.values)
    knee = pareto.knee([each.values for each in members])
    return Front(
        members=tuple(members),
        others=tuple(each for place, each in enumerate(found) if place not in inside),
        knee=None if knee is None else members[knee].name,
        hypervolume=None if reference is None else pareto.hypervolume(points, reference),
        reference=None if reference is None else tuple(reference),
    )
