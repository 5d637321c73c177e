"""How sure it is that a network belongs to a front, by drawing many times."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final, TypeAlias

from archcost.search.pareto import front

DRAWS: Final = 2000
_SHARE: Final = 0.95  # of the draws that an interval encloses


@dataclass(frozen=True, slots=True)
class Repeated:
    """What one network gave again and again, one sequence of stored values (smaller is better) per objective.

    A sequence of one is known exactly (a count); noisy: whether draws spread by the standard error of its mean (values
    of several seeds); else the draws take one of its values (medians of blocks, the n-th of all networks at once).
    training: whose seeds these are, '' of a network that no other one shares them with: what several ways to run one
    network gave moves together.
    """

    values: tuple[tuple[float, ...], ...]
    noisy: tuple[bool, ...]
    training: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """The chance that a network is on the front, and for each objective its middle and the interval of 95% of draws."""

    probability: float
    middles: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]


def standings(candidates: Sequence[Repeated], seed: int = 0) -> tuple[Standing, ...]:
    """Return each candidate's standing among all of them.

    Seeds: mean + s/sqrt(k)*t, s the standard deviation within networks pooled over all, t of Student's distribution
    with its degrees of freedom. Blocks: networks that were measured by turns share what disturbed a block, so that a
    draw takes the same block of each. Networks of one training share t.
    """
    if not candidates:
        return ()
    spreads = [_pooled([each.values[i] for each in candidates]) for i in range(len(candidates[0].values))]
    chance = random.Random(seed)
    drawn: list[list[tuple[float, ...]]] = [[] for _ in candidates]
    inside = [0] * len(candidates)
    for _ in range(DRAWS):
        block, shared = chance.random(), dict[tuple[str, int], float]()
        points = [_drawn(each, spreads, block, _students(each, shared, chance)) for each in candidates]
        for position, point in enumerate(points):
            drawn[position].append(point)
        for position in front(points):
            inside[position] += 1
    return tuple(
        Standing(count / DRAWS, tuple(map(_middle, each.values)), tuple(map(_interval, zip(*points, strict=True))))
        for each, points, count in zip(candidates, drawn, inside, strict=True)
    )


_Students: TypeAlias = Callable[[int, int], float]
"""Gives Student's t for an objective's place and the degrees of freedom."""


def _pooled(samples: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Return the standard deviation within samples, pooled, and its degrees of freedom."""
    several = [each for each in samples if len(each) > 1]
    freedom = sum(len(each) - 1 for each in several)
    squares = math.fsum((len(each) - 1) * stdev(each) ** 2 for each in several)
    return (math.sqrt(squares / freedom) if freedom else 0.0), freedom


def _students(candidate: Repeated, shared: dict[tuple[str, int], float], chance: random.Random) -> _Students:
    """Return what draws Student's t for the objectives of a candidate; shared: of trainings, those drawn before."""

    def drawn(place: int, freedom: int) -> float:
        if not candidate.training:
            return _student(freedom, chance)
        key = candidate.training, place
        if key not in shared:
            shared[key] = _student(freedom, chance)
        return shared[key]

    return drawn


def _drawn(
    candidate: Repeated, spreads: Sequence[tuple[float, int]], block: float, student: _Students
) -> tuple[float, ...]:
    point = []
    each = zip(candidate.values, candidate.noisy, spreads, strict=True)
    for place, (values, noisy, (spread, freedom)) in enumerate(each):
        if noisy and freedom:
            point.append(fmean(values) + spread / math.sqrt(len(values)) * student(place, freedom))
        elif noisy:
            point.append(fmean(values))
        else:
            point.append(values[int(block * len(values))])
    return tuple(point)


def _student(freedom: int, chance: random.Random) -> float:
    return chance.gauss(0, 1) / math.sqrt(chance.gammavariate(freedom / 2, 2) / freedom)


def _middle(values: Sequence[float]) -> float:
    return fmean(values)


def _interval(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    cut = int(len(ordered) * (1 - _SHARE) / 2)
    return ordered[cut], ordered[-1 - cut]
