"""What is learned of a front's members after their trials: seeds, test split, samples."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from math import inf
from typing import Any, Final

import optuna
from pydantic import TypeAdapter

from archcost.latency.bursts import as_texts
from archcost.latency.samples import Samples
from archcost.latency.statistics import blocks, median
from archcost.search.points import PREFIX
from archcost.study.objectives import quantity_of
from archcost.study.records.best.standings import Repeated
from archcost.study.records.names import Way
from archcost.study.records.part import Part, counted, in_order, placed
from archcost.study.records.reasons import Kept
from archcost.study.records.trials import Recorded, remember, remembered
from archcost.training.score import Score


@dataclass(frozen=True, slots=True)
class Again:
    """What a network's seeds gave as they are quantised for a way; reason: why there is less than of the network.

    scores, tests: one for each seed that gave a score, None if it could not be quantised, or was not tested.
    """

    scores: tuple[Score | None, ...] = ()
    tests: tuple[Score | None, ...] = ()
    reason: Kept = None

    def repeated(self, at: int, score: Score | None, test: Score | None) -> Again:
        """Return it with the scores of another seed, at its place among the seeds."""
        scores, tests = ([*each, *[None] * (at - len(each))] for each in (self.scores, self.tests))
        return replace(self, scores=(*scores[:at], score, *scores[at:]), tests=(*tests[:at], test, *tests[at:]))


@dataclass(frozen=True, slots=True, order=True)
class Extent:
    """How long a network was trained, in order of which is longer; 0 and '' stand for what the search has.

    examples: training examples, of a text tokens; epochs: how often they were gone through; data: the fingerprint of
    the data with so many examples.
    """

    examples: int = 0
    epochs: int = 0
    data: str = ""


SEARCHED: Final = Extent()
"""As long as in the search."""


def ruling(extents: Iterable[Extent], asked: Extent | None) -> Extent:
    """Return with which trainings a front is made: those that the study asks for if there are any, else the longest."""
    there = set(extents)
    return asked if asked is not None and asked in there else max(there, default=SEARCHED)


_ADDED: Final = ("examples", "data")
"""What is kept if it is there alone: as long as it is not, what is kept has the form of earlier versions."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """One network, trained alone with several seeds and measured beside the others.

    seeds: those that gave a score; scores: on the validation split, one for each of them; tests: on the test split, by
    the same networks; samples: one for each setup, but for those of `skipped`, in which it does not run; reason: why
    there is less than was asked for, None if all is there; ways: of a study that names some, what it gave in those that
    quantise it, by their numbers; epochs, examples, data: of these trainings, as of `Extent`.
    """

    seeds: tuple[int, ...] = ()
    scores: tuple[Score, ...] = ()
    tests: tuple[Score, ...] = ()
    samples: tuple[Samples, ...] = ()
    reason: Kept = None
    ways: tuple[Again, ...] = ()
    skipped: tuple[int, ...] = ()
    epochs: int = 0
    examples: int = 0
    data: str = ""

    @property
    def extent(self) -> Extent:
        """How long it was trained."""
        return Extent(self.examples, self.epochs, self.data)

    def with_extent(self, extent: Extent) -> Confirmed:
        """Return what counts if trainings are so long: seeds of others do not, samples do."""
        if extent == self.extent:
            return self
        return Confirmed(samples=self.samples, skipped=self.skipped, **asdict(extent))

    def in_way(self, way: Way) -> Confirmed:
        """Return what it gave in one way: the seeds that have a score there, and the samples of its latencies."""
        found = replace(self, samples=in_order(placed(self.samples, self.skipped), way.places), ways=(), skipped=())
        if not way.quantised:
            return found
        again = self.ways[way.number] if way.number < len(self.ways) else Again()
        scores = {seed: score for seed, score in zip(self.seeds, again.scores, strict=False) if score}
        tests = tuple(test for seed, test in zip(self.seeds, again.tests, strict=False) if test and seed in scores)
        reason = again.reason or self.reason
        return replace(found, seeds=tuple(scores), scores=tuple(scores.values()), tests=tests, reason=reason)

    def missing(self, count: int) -> tuple[int, ...]:
        """Return the seeds, 1 to `count`, that have given no score yet: none is trained twice."""
        return tuple(seed for seed in range(1, count + 1) if seed not in self.seeds)

    def repeated(
        self, seed: int, score: Score, test: Score | None, ways: Mapping[int, Again] | None = None
    ) -> Confirmed:
        """Return it with the scores of another seed; seeds are in rising order, whichever ended first.

        ways: what that seed alone gave in those that quantise it, by number.
        """
        at = sum(each < seed for each in self.seeds)
        tests = (*self.tests[:at], test, *self.tests[at:]) if test else self.tests
        seeds, scores = (*self.seeds[:at], seed, *self.seeds[at:]), (*self.scores[:at], score, *self.scores[at:])
        return replace(self, seeds=seeds, scores=scores, tests=tests, ways=self._more(at, ways or {}))

    def measured(self, place: int, samples: Samples | None) -> Confirmed:
        """Return it with the samples of a setup, after those before it; None: it does not run there."""
        known: dict[int, Samples | None] = {**placed(self.samples, self.skipped), place: samples}
        before = range(max(known) + 1)
        skipped = tuple(each for each in before if known.get(each) is None)
        return replace(self, samples=tuple(one for each in before if (one := known.get(each))), skipped=skipped)

    def _more(self, at: int, more: Mapping[int, Again]) -> tuple[Again, ...]:
        known = dict(enumerate(self.ways))
        for number, one in more.items():
            before = known.get(number, Again())
            score, test = (each[0] if each else None for each in (one.scores, one.tests))
            known[number] = replace(before.repeated(at, score, test), reason=one.reason or before.reason)
        return tuple(known.get(number, Again()) for number in range(max(known, default=-1) + 1))


@cache
def _adapter() -> TypeAdapter[Confirmed]:
    return TypeAdapter(Confirmed)


def keep(study: optuna.Study, name: str, found: Confirmed) -> None:
    """Keep what was confirmed of a trial, '12', or of a column of one, '12/2'."""
    remember(study, f"confirmed:{name}", _held(found))


def _held(found: Confirmed) -> dict[str, Any]:
    packed = replace(found, samples=tuple(each.packed for each in found.samples))
    return {key: value for key, value in asdict(packed, dict_factory=as_texts).items() if value or key not in _ADDED}


def confirmed(study: Recorded, name: str) -> Confirmed | None:
    """Return what was confirmed of a network, None if nothing was."""
    held = remembered(study, f"confirmed:{name}")
    return None if held is None else _adapter().validate_python(held)


def keep_files(study: optuna.Study, name: str, seeds: Collection[int]) -> None:
    """Keep with which seeds a network's weights are in a file, or may be: this is noted before one is written."""
    remember(study, f"files:{name}", sorted(seeds))


def files(study: Recorded, name: str) -> tuple[int, ...]:
    """Return the seeds that `keep_files` kept; whether the files are there is not asked."""
    return tuple(int(seed) for seed in remembered(study, f"files:{name}") or ())


def median_seed(found: Confirmed, objectives: tuple[tuple[str, int | None], ...], among: Collection[int]) -> int | None:
    """Return the seed with the median validation result, of two the worse one; None if there is none.

    It is judged by the first objective that is learnt. among: the seeds that may be taken, of which, if the median
    itself is not one, the nearest to it in the order of results is meant, of two the worse one.
    """
    learnt = next(quantity for name, _ in objectives if (quantity := quantity_of(name)).learnt)
    known = [score.value(learnt.name) for score in found.scores]
    values = [inf if value is None else learnt.stored(value) for value in known]
    order = sorted(range(len(values)), key=lambda place: (values[place], place))
    middle = len(order) // 2
    ranked = [(abs(rank - middle), -rank, found.seeds[place]) for rank, place in enumerate(order)]
    return min((each for each in ranked if each[2] in among), default=(0, 0, None))[-1]


def everything(study: Recorded) -> dict[str, Confirmed]:
    """Return what was confirmed of every network, by name: the storage is asked once."""
    prefix = f"{PREFIX}confirmed:"
    held = study.user_attrs
    return {key.removeprefix(prefix): _adapter().validate_python(held[key]) for key in held if key.startswith(prefix)}


def repeated(
    part: Part, found: Confirmed, objectives: tuple[tuple[str, int | None], ...], training: str = ""
) -> Repeated | None:
    """Return the stored values of every repetition for each objective; None if one of them has none.

    part: with the samples that its graph has now, by turns where there are any; training: as of `Repeated`.
    """
    values, noisy = [], []
    for name, way in objectives:
        quantity = quantity_of(name)
        if quantity.learnt:
            each = [value for score in found.scores if (value := score.value(quantity.name)) is not None]
        elif way is not None:
            taken = part.samples[way : way + 1]
            each = [median(block) for one in taken for block in blocks([b.samples_s for b in one.bursts])]
        else:
            each = [float(counted(part, name) or 0)]
        if not each:
            return None
        values.append(tuple(quantity.stored(value) for value in each))
        noisy.append(quantity.learnt)
    return Repeated(tuple(values), tuple(noisy), training)
