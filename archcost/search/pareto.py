"""Pareto dominance: ranks, fronts, crowding, hypervolumes, knees.

All objectives are minimised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

Values: TypeAlias = Sequence[float]
"""A point's objectives, each the better the smaller; never NaN."""


def dominates(one: Values, other: Values) -> bool:
    """Return whether a point is nowhere worse than another and somewhere better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def front(points: Sequence[Values]) -> tuple[int, ...]:
    """Return the places of the points that no other dominates, in their order; equal points are all among them."""
    kept: list[int] = []
    order = sorted(range(len(points)), key=lambda place: tuple(points[place]))  # a point is dominated by earlier ones
    if order and len(points[0]) == 2:  # by the last one that was kept, which has the least second objective so far
        for place in order:
            if not kept or points[place][1] < points[kept[-1]][1] or tuple(points[place]) == tuple(points[kept[-1]]):
                kept.append(place)
        return tuple(sorted(kept))
    for place in order:
        if not any(dominates(points[before], points[place]) for before in kept):
            kept.append(place)
    return tuple(sorted(kept))


def ranks(points: Sequence[Values]) -> tuple[int, ...]:
    """Return each point's non-domination rank: 0 on the front, 1 on the front of what is left without it, and so on."""
    found = [0] * len(points)
    left = list(range(len(points)))
    rank = 0
    while left:
        first = {left[place] for place in front([points[place] for place in left])}
        for place in first:
            found[place] = rank
        left = [place for place in left if place not in first]
        rank += 1
    return tuple(found)


def crowding(points: Sequence[Values]) -> tuple[float, ...]:
    """Return each point's crowding distance: how far apart its two neighbours are, summed over the objectives.

    Each objective is scaled to its range; infinite for a point at an end of one (Deb et al. 2002, NSGA-II, III B).
    """
    found = [0.0] * len(points)
    for objective in zip(*points, strict=True):
        order = sorted(range(len(points)), key=objective.__getitem__)
        low, high = objective[order[0]], objective[order[-1]]
        found[order[0]] = found[order[-1]] = math.inf
        for before, place, after in zip(order, order[1:], order[2:], strict=False):
            found[place] += (objective[after] - objective[before]) / (high - low) if high > low else 0.0
    return tuple(found)


def hypervolume(points: Sequence[Values], reference: Values) -> float:
    """Return the volume of what the points dominate below a reference point, exactly; 0 if they dominate none.

    Two objectives are swept; of more, each point adds what it alone dominates of those before it (While, Bradstreet
    and Barone 2012, WFG).
    """
    inside = [tuple(point) for point in points if all(a < b for a, b in zip(point, reference, strict=True))]
    kept = sorted({inside[place] for place in front(inside)})
    if len(reference) == 1:
        return float(reference[0] - kept[0][0]) if kept else 0.0
    if len(reference) == 2:
        edges = [reference[1], *(point[1] for point in kept)]
        return math.fsum((reference[0] - x) * (edge - y) for (x, y), edge in zip(kept, edges, strict=False))
    return math.fsum(exclusive(point, kept[place + 1 :], reference) for place, point in enumerate(kept))


def exclusive(point: Values, others: Sequence[Values], reference: Values) -> float:
    """Return the volume that a point dominates below a reference point and none of the others does."""
    sides = [b - a for a, b in zip(point, reference, strict=True)]
    if min(sides) <= 0:
        return 0.0
    shared = [tuple(map(max, point, other)) for other in others]
    return max(0.0, math.prod(sides) - hypervolume(shared, reference))  # less than 0 by rounding only


def contributions(points: Sequence[Values], reference: Values) -> tuple[float, ...]:
    """Return how much hypervolume would be lost without each point; 0 for one that is dominated or there twice."""
    return tuple(exclusive(p, [*points[:place], *points[place + 1 :]], reference) for place, p in enumerate(points))


def knee(points: Sequence[Values]) -> int | None:
    """Return the place of the point where the front bends most, None if it does not bend towards the ideal.

    Objectives are scaled to the front's range; the knee lies furthest below the plane through the ends, where the
    scaled objectives sum to 1 (after Das 1999). Of a single objective, or of fewer than three points, there is none.
    """
    kept = front(points)
    sides = [(min(objective), max(objective)) for objective in zip(*(points[place] for place in kept), strict=True)]
    if len({tuple(points[place]) for place in kept}) < 3 or any(low == high for low, high in sides):
        return None

    def height(place: int) -> float:
        return math.fsum((a - low) / (high - low) for a, (low, high) in zip(points[place], sides, strict=True))

    lowest = min(kept, key=height)
    return lowest if height(lowest) < 1 - 1e-9 else None  # on the plane itself is no bend
