"""The limits of a study on counts: which of them a network exceeds, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from archcost.profiling.budget import Budget
from archcost.study.plan import StudyPlan
from archcost.study.records.reasons import Reason
from archcost.study.workers.messages import Counted
from archcost.units import data_size, grouped


@dataclass(frozen=True, slots=True)
class Excess:
    """A limit on a count that a network exceeds, and by what; words: how people read such a count."""

    name: str
    actual: int
    limit: int
    words: Callable[[int], str]

    def __str__(self) -> str:
        return f"{self.name} {self.words(self.actual)}; allowed: {self.words(self.limit)}"


def budget(plan: StudyPlan) -> Budget | None:
    """Return the limits of a study in base units, None if it has none."""
    limits = plan.spec.study.limits
    return limits.budget() if limits else None


def exceeded(plan: StudyPlan, counted: Counted) -> tuple[Excess, ...]:
    """Return the limits on counts that a network exceeds; nothing has to run for it.

    Of several ways to run it, those of the one that is least over: it is one that keeps all, if there is one.
    """
    if not (allowed := budget(plan)):
        return ()
    each = [tuple(_exceeded(counted, *sizes, allowed)) for sizes in counted.sizes]
    return min(each, key=lambda over: math.fsum(one.actual / one.limit for one in over))


def _exceeded(counted: Counted, memory_bytes: int, weights_bytes: int, allowed: Budget) -> Iterator[Excess]:
    counts: tuple[tuple[str, int | None, int, Callable[[int], str]], ...] = (
        ("params", allowed.params, counted.params, grouped),
        ("macs", allowed.macs, counted.macs, grouped),
        ("memory", allowed.memory_bytes, memory_bytes, data_size),
        ("weights", allowed.weights_bytes, weights_bytes, data_size),
    )
    for name, limit, actual, words in counts:
        if limit is not None and actual > limit:
            yield Excess(name, actual, limit, words)


def over(plan: StudyPlan, counted: Counted) -> Reason | None:
    """Return which limits on counts a network exceeds, and by what, None if it keeps to all."""
    found = exceeded(plan, counted)
    names = ", ".join(each.name for each in found)
    return Reason("limit", f"limits: {', '.join(map(str, found))}", names) if found else None
