"""The points of a trial under way: what its networks are in each way, as it tells of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter

from archcost.latency.samples import Samples
from archcost.search import halving
from archcost.study.phases.limits import budget
from archcost.study.plan import StudyPlan
from archcost.study.records.front import absent
from archcost.study.records.names import Way
from archcost.study.records.part import InWay, Part, achieved
from archcost.study.records.reasons import Reason
from archcost.study.records.trials import Trial
from archcost.study.workers.messages import Measured, Quantised, Reached
from archcost.units import percent


def measured(plan: StudyPlan, parts: Sequence[Part], event: Measured) -> list[Part]:
    """Return the networks of a trial with what was measured of them in one setup, or why that cannot be done.

    What was measured there before is replaced: it was of other files.
    """
    if event.reason is None:
        return [_taken(part, {event.way: samples}) for part, samples in zip(parts, event.samples, strict=True)]
    lost = [way for way in plan.ways if event.way in way.places]
    return [replace(_taken(part, {event.way: None}), ways=_ended(part.ways, lost, event.reason)) for part in parts]


def _taken(part: Part, more: Mapping[int, Samples | None]) -> Part:
    """Return a network with other samples at the places of setups; None: it does not run there."""
    known: dict[int, Samples | None] = {**dict.fromkeys(part.skipped), **part.measured, **more}
    samples = tuple(each for _, each in sorted(known.items(), key=itemgetter(0)) if each)
    return replace(part, samples=samples, skipped=tuple(sorted(place for place in known if known[place] is None)))


def _ended(ways: Sequence[InWay], lost: Sequence[Way], reason: Reason) -> tuple[InWay, ...]:
    numbers = {each.number for each in lost}
    return tuple(
        replace(each, reason=each.reason or reason) if number in numbers else each for number, each in enumerate(ways)
    )


def quantised(parts: Sequence[Part], event: Quantised) -> list[Part]:
    """Return the networks of a trial with the score that one of them has in 8 bits, or why it has none."""
    return [_scored(part, event) if part.column == event.column else part for part in parts]


def _scored(part: Part, event: Quantised) -> Part:
    here = part.ways[event.way]
    why = here.reason or event.reason
    here = replace(here, score=event.score, reason=why, float_layers=event.float_layers, why=event.why)
    more = event.float_bytes
    here = replace(here, weights_bytes=here.weights_bytes + more, memory_bytes=here.memory_bytes + more)
    return replace(part, ways=(*part.ways[: event.way], here, *part.ways[event.way + 1 :]))


def reached(parts: Sequence[Part], event: Reached) -> list[Part]:
    """Return the networks of a trial with their scores at a rung."""
    return [replace(part, score=score) for part, score in zip(parts, (event.score, *event.columns), strict=True)]


def first(plan: StudyPlan, parts: Sequence[Part]) -> tuple[float, ...]:
    """Return the stored values that the sampler hears of: those of the whole network in the first way."""
    part, way = parts[0], plan.ways[0]
    return achieved(part.in_way(way), plan.objectives, part.latencies_s(way))


def at_rung(plan: StudyPlan, parts: Sequence[Part]) -> list[tuple[float, ...]]:
    """Return the stored values of a trial at a rung: of the whole network in the first way, then of all other points.

    What is quantised after training has the score of the network in float32 until then.
    """
    return [
        achieved(replace(part.in_way(way), score=part.score), plan.objectives, part.latencies_s(way))
        for part, way in _points(plan, parts)
    ]


def fallen_behind(
    plan: StudyPlan, epoch: int, values: Sequence[tuple[float, ...]], others: Sequence[Trial]
) -> Reason | None:
    """Return why a trial ends at a rung, None if it goes on; values: of its networks there, the whole one first."""
    passed = [reached for each in others if (reached := each.reached(epoch))]
    share = plan.spec.study.search.share or halving.SHARE
    if epoch >= plan.spec.study.fit.stops()[-1] or halving.goes_on(values, passed, share):
        return None
    return Reason("pruned", f"at epoch {epoch} not among the best {percent(share)} of {len(passed) + 1} trials")


def _points(plan: StudyPlan, parts: Sequence[Part]) -> Iterator[tuple[Part, Way]]:
    """Yield every point of a trial but those that are known to be none; that of the first way alone may be one."""
    for number, part in enumerate(parts):
        for way in plan.ways:
            is_first = not number and not way.number
            if is_first or not absent(part, way, budget(plan) if plan.names_ways else None):
                yield part, way


def lost(plan: StudyPlan, parts: Sequence[Part]) -> Reason | None:
    """Return why a trial has no point left of its whole network, None if it has one in some way."""
    found = [absent(parts[0], way, budget(plan)) for way in plan.ways]
    reasons = [each for each in found if each]
    if len(reasons) < len(found):
        return None
    return next((each for each in reasons if each.kind == "limit"), reasons[0])
