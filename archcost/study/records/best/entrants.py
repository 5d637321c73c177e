"""Networks with predicted latencies that may be on the front, if they are measured."""

from __future__ import annotations

from collections.abc import Sequence

from archcost.search import pareto
from archcost.study.records.front import Awaited, Candidate
from archcost.study.records.stored import Stored


def entrants(stored: Stored) -> tuple[Awaited, ...]:
    """Return who would be measured next if the study ran again; nobody if no other one may enter the front."""
    waiting = stored.awaited()
    return following(stored.searched(), waiting) if waiting else ()


def following(known: Sequence[Candidate], waiting: Sequence[Awaited]) -> tuple[Awaited, ...]:
    """Return who is to be measured next, nobody if no other one may enter the front.

    First who is on it as predicted, then who is if each took no more than the lower end of its interval, beside those
    that were measured.
    """
    measured = [each.values for each in known]
    if due := _on(measured, waiting, [each.expected for each in waiting]):
        return due
    return _on(measured, waiting, [each.best for each in waiting])


def _on(
    measured: Sequence[tuple[float, ...]], waiting: Sequence[Awaited], values: Sequence[tuple[float, ...]]
) -> tuple[Awaited, ...]:
    inside = set(pareto.front([*measured, *values]))
    return tuple(each for place, each in enumerate(waiting, len(measured)) if place in inside)
