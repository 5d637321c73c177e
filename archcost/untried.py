"""Points that no trial has: drawn at random, and where that finds none, all of a space one after another."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Final

from archcost.domains import Domain, Draw, Point, Real, Scalar, active, at_random, points, sample
from archcost.seen import Key, key

_TIMES: Final = 100
"""Random points in a row that are known, after which all points are gone through: few can be left."""


def untried(draw: Draw, known: Collection[Key], chance: random.Random, *, grid: bool = False) -> Point | None:
    """Return a point at random that is not known, None where all are; grid: five values stand for a float's domain."""
    for _ in range(_TIMES):
        point = _on_grid(draw, chance) if grid else sample(draw, chance)
        if key(point) not in known:
            return point
    return next((point for point in points(draw) if key(point) not in known), None)


def _on_grid(draw: Draw, chance: random.Random) -> Point:
    def drawn(_: str, domain: Domain) -> Scalar:
        return chance.choice(domain.grid()) if isinstance(domain, Real) else at_random(domain, chance)

    return active(draw, {}, drawn)[0]
