"""The Pareto front of a study: its members with what is sure of them, the field they dominate, knee and hypervolume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import optuna

from archcost import confirmed, pareto
from archcost.confirmed import Confirmed
from archcost.latency import Latency, summarise
from archcost.membership import Standing, standings
from archcost.trials import Part, Trial, achieved

Objectives = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that could be on the front: a complete trial's, or a column of it.

    values: stored, smaller is better; of a confirmed one the mean over its repetitions. shared: it is a column that
    was only ever trained together with the others.
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
        again = self.confirmed.samples if self.confirmed else ()
        return tuple(map(summarise, (*again, *self.part.samples[len(again) :])))

    @property
    def shared(self) -> bool:
        """Whether its weights are those of a larger network and it was not yet trained alone."""
        return self.part.column > 0 and self.standing is None


@dataclass(frozen=True, slots=True)
class Front:
    """Members, best first in the first objective, and all others; hypervolume None where there is no reference yet."""

    members: tuple[Candidate, ...]
    others: tuple[Candidate, ...]
    knee: str | None
    hypervolume: float | None
    reference: tuple[float, ...] | None


def named(trial: Trial, part: Part) -> str:
    """Return how a network of a study is called."""
    return f"{trial.number}/{part.column}" if part.column else str(trial.number)


def candidates(study: optuna.Study, every: Sequence[Trial], objectives: Objectives) -> tuple[Candidate, ...]:
    """Return every network of the complete trials of a study, each once: a repeated point adds nothing."""
    again = confirmed.everything(study)
    found = [
        Candidate(trial, part, values, again.get(named(trial, part)))
        for trial in every
        if trial.state == "complete" and trial.ended and trial.ended.repeats is None
        for part in trial.ended.parts
        if all(map(isfinite, values := achieved(part, objectives)))
    ]
    return _standing(found, objectives)


def _standing(found: Sequence[Candidate], objectives: Objectives) -> tuple[Candidate, ...]:
    known = {
        place: repeated
        for place, each in enumerate(found)
        if each.confirmed and (repeated := confirmed.repeated(each.part, each.confirmed, objectives))
    }
    stands = dict(zip(known, standings(list(known.values())), strict=True))
    return tuple(
        replace(each, values=stands[place].middles, standing=stands[place]) if place in stands else each
        for place, each in enumerate(found)
    )


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
