"""What a study would search: the size of its space, and what its networks cost."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Final

from archcost.config.validation import located
from archcost.errors import InputError, Mistake, Path, shorten, visible
from archcost.latency.statistics import median
from archcost.models.load import Reference
from archcost.search.domains import Point
from archcost.study.code.survey import survey
from archcost.study.drawn import Drawn
from archcost.study.parts import counted, part_of, parts
from archcost.study.phases.limits import Excess, exceeded
from archcost.study.plan import StudyPlan
from archcost.study.records.part import Part
from archcost.study.records.reasons import Reason, of_trial
from archcost.study.workers.messages import Counted
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
    typical: Drawn
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
    judged = list(_judgements(plan, [(space.tree(point)[0], _drawn(plan, point)) for point in points]))
    for template in sorted({each.template for each in judged}):
        _refuse_empty(plan, template, [each.found for each in judged if each.template == template])
    feasible = [(each.found, each.drawn) for each in judged if isinstance(each.found, Part) and each.drawn]
    feasible.sort(key=lambda each: each[0].macs)
    typical = feasible[len(feasible) // 2][1]
    reasons = Counter(_reason(each.found) for each in judged if not isinstance(each.found, Part))
    return Outlook(size, len(judged), tuple(part for part, _ in feasible), typical, tuple(reasons.most_common()))


@dataclass(frozen=True, slots=True)
class _Judged:
    """A point that was looked at: what it stands for, None if for nothing, and its network counted, or why not."""

    template: int
    drawn: Drawn | None
    found: Part | InputError


def _drawn(plan: StudyPlan, point: Point) -> Drawn | InputError:
    try:
        return plan.model(plan.spec.space.tree(point))
    except InputError as error:
        return error


def _judgements(plan: StudyPlan, drawn: Sequence[tuple[int, Drawn | InputError]]) -> Iterator[_Judged]:
    """Yield the judgements of points; of very large networks fewer, but some."""
    begun = time.monotonic()
    answers = survey(plan, [each for _, each in drawn if isinstance(each, Reference)])
    with closing(answers):
        for place, (template, each) in enumerate(drawn):
            if place >= _FEWEST and time.monotonic() - begun > _LONGEST_S:
                return
            match each:
                case InputError():
                    yield _Judged(template, None, each)
                case Reference():
                    yield _Judged(template, each, _of_code(plan, next(answers)))
                case _:
                    found = _over(plan, counted(plan, each)) or parts(plan, each)[0]
                    yield _Judged(template, each, found)


def _of_code(plan: StudyPlan, answer: Counted | Reason) -> Part | InputError:
    if isinstance(answer, Reason):
        return InputError(Mistake(of_trial(answer).text))
    return _over(plan, answer) or part_of(plan, answer)


def _over(plan: StudyPlan, counted: Counted) -> InputError | None:
    return _Over(over) if (over := exceeded(plan, counted)) else None


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
    elif same := _one_key(errors):
        reason, path = same.message, same.path
    where = "" if path == ("models", template) else f" of models.{template}"  # else the path says so
    message = f"no feasible point among {counted_words(len(found), 'point')}{where}: {reason}"
    raise InputError(located(plan.spec.source, Mistake(message, path)))


def _one_key(errors: Sequence[InputError]) -> Mistake | None:
    """Return a mistake at a key that is wrong in every network, None if there is no such key."""
    first, *others = [{mistake.path: mistake for mistake in each.mistakes if mistake.path} for each in errors]
    return next((mistake for path, mistake in first.items() if all(path in each for each in others)), None)


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
    if plan.extent.examples:
        unit = "tokens" if plan.gives.kind == "text" else "examples"
        yield f"  searched on {grouped(plan.examples)} {unit}, confirmed on {grouped(plan.extent.examples)}"
    yield f"objectives   {', '.join(plan.labels)}"
    if len(plan.ways) > 1:
        yield f"ways         {len(plan.ways)}, a point of each network for each of them"
        yield from (f"  {each.words}" for each in plan.ways)
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
