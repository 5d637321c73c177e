"""What a study would search: the size of its space, and what its networks cost."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from archcost.config.validation import located
from archcost.errors import InputError, Mistake, Path, shorten, visible
from archcost.latency.statistics import median
from archcost.models.load import Model
from archcost.search.domains import Point
from archcost.study.limits import Excess, exceeded
from archcost.study.parts import parts
from archcost.study.plan import StudyPlan
from archcost.study.records.trials import Part
from archcost.units import counted_words, data_size, grouped, percent, scaled

SAMPLE: Final = 200
"""Points that are looked at: all of them if there are no more, fewer where it would take long."""

_LONGEST_S: Final = 10.0
_FEWEST: Final = 20


@dataclass(frozen=True, slots=True)
class Outlook:
    """The networks of a sample of a space: costs of the feasible ones, and why the others are not."""

    size: float
    looked_at: int
    parts: tuple[Part, ...]
    typical: Model
    """The feasible network whose MACs are in the middle."""
    reasons: tuple[tuple[str, int], ...]


class _Over(InputError):  # noqa: N818  # a judgement, never raised
    """A network that would be one, but is over limits."""

    def __init__(self, excess: tuple[Excess, ...]) -> None:
        super().__init__(Mistake(f"over the limit on {', '.join(each.name for each in excess)}"))
        self.excess = {each.name: each for each in excess}


def look(plan: StudyPlan) -> Outlook:
    """Return the outlook of a study; raises InputError if no point of a template that was looked at is feasible."""
    space = plan.spec.space
    size = space.size()
    chance = random.Random(plan.spec.study.search.seed)
    points = list(islice(space.grid(), SAMPLE)) if size <= SAMPLE else [space.sample(chance) for _ in range(SAMPLE)]
    judged = list(_judgements(plan, points))
    for template in sorted({place for place, _ in judged}):
        _refuse_empty(plan, template, [found for place, found in judged if place == template])
    feasible = [(found, point) for point, (_, found) in zip(points, judged, strict=False) if isinstance(found, Part)]
    feasible.sort(key=lambda each: each[0].macs)
    typical = plan.model(space.tree(feasible[len(feasible) // 2][1]))
    reasons = Counter(_reason(found) for _, found in judged if not isinstance(found, Part))
    return Outlook(size, len(judged), tuple(part for part, _ in feasible), typical, tuple(reasons.most_common()))


def _judgements(plan: StudyPlan, points: Sequence[Point]) -> Iterator[tuple[int, Part | InputError]]:
    """Yield the template and judgement of points; of very large networks fewer, but some."""
    begun = time.monotonic()
    for place, point in enumerate(points):
        if place >= _FEWEST and time.monotonic() - begun > _LONGEST_S:
            return
        yield plan.spec.space.tree(point)[0], _judged(plan, point)


def _judged(plan: StudyPlan, point: Point) -> Part | InputError:
    """Return the network of a point, or why it is not feasible."""
    try:
        model = plan.model(plan.spec.space.tree(point))
    except InputError as error:
        return error
    if over := exceeded(plan, model):
        return _Over(over)
    return parts(plan, model)[0]


def _refuse_empty(plan: StudyPlan, template: int, found: Sequence[Part | InputError]) -> None:
    """Raise InputError if nothing that was looked at of a template is feasible, with the mistakes all have."""
    errors = [each for each in found if isinstance(each, InputError)]
    if len(errors) < len(found):
        return
    first = errors[0].mistakes
    if all(each.mistakes == first for each in errors) and all(mistake.place for mistake in first):
        raise InputError(*first)
    reason = Counter(map(_reason, errors)).most_common(1)[0][0]
    path: Path = ("models", template)
    if narrow := _narrow([each for each in errors if isinstance(each, _Over)]):
        told = f"the smallest has {narrow.words(narrow.actual)}; allowed: {narrow.words(narrow.limit)}"
        reason, path = f"over the limit on {narrow.name}, {told}", ("limits", narrow.name)
    message = f"no feasible point among {counted_words(len(found), 'point')} of models.{template}: {reason}"
    raise InputError(located(plan.spec.source, Mistake(message, path)))


def _narrow(over: Sequence[_Over]) -> Excess | None:
    """Return the smallest excess over the limit that most networks exceed, None if none does."""
    names = Counter(name for each in over for name in each.excess)
    if not names:
        return None
    name = names.most_common(1)[0][0]
    return min((each.excess[name] for each in over if name in each.excess), key=lambda excess: excess.actual)


def _reason(error: Part | InputError) -> str:
    return "; ".join(mistake.message for mistake in error.mistakes) if isinstance(error, InputError) else ""


def lines(plan: StudyPlan, found: Outlook) -> Iterator[str]:
    """Yield the outlook in words, within 80 columns."""
    study = plan.spec.study
    by = study.search.sampler
    count = _count(found.size)
    yield f"{visible(plan.spec.name)}: {count}, {counted_words(study.search.trials, 'trial')} by {by}"
    yield f"data         {study.data.name}, fingerprint {plan.fingerprint[:12]}, {plan.gives.classes} classes"
    yield f"objectives   {', '.join(plan.labels)}"
    yield f"looked at    {found.looked_at} points, {percent(len(found.parts) / found.looked_at)} feasible"
    for reason, times in found.reasons[:5]:
        yield f"  {times:>4} x  {visible(shorten(reason, 66))}"
    yield f"  {'':<10}{'least':>12}{'median':>12}{'most':>12}"
    each: tuple[tuple[str, Callable[[int], str]], ...] = (
        ("params", scaled),
        ("macs", scaled),
        ("memory_bytes", data_size),
    )
    for name, words in each:
        values = [getattr(part, name) for part in found.parts]
        cells = [words(round(value)) for value in (min(values), median(values), max(values))]
        yield f"  {name.removesuffix('_bytes'):<10}" + "".join(f"{cell:>12}" for cell in cells)


def _count(size: float) -> str:
    if size == float("inf"):
        return "points without end"
    return f"{grouped(int(size))} points" if size < 10**15 else "more than 10^15 points"
