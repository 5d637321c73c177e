"""Local search: points near the front and far from it, ranked by their expected gain."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Final

import numpy as np

from archcost.search.acquisition import learn, promise
from archcost.search.domains import Domain, Draw, Point, Scalar, active, at_random, blurred, neighbours, sample
from archcost.search.features import axes, features
from archcost.search.gaussian_process import kernel
from archcost.search.pareto import front
from archcost.search.points import Key, Seen, key

AROUND: Final = 250
"""Candidates next to the front, and in all as many as are looked at in a climb."""
ANYWHERE: Final = 100
"""Candidates drawn at random."""
CLIMBS: Final = 2
BEST: Final = 3
"""The candidates whose neighbours join in at each climb."""
BLURRED: Final = 50
"""Candidates near each of those, if a parameter has many values in an order."""


AMONG: Final = 30
"""Random points of which the one is taken that is least like those that have begun: many more would all be corners."""
NARROW: Final = 3.0
"""How quickly two points cease to be alike: the larger, the more the nearest alone counts."""


def promising(draw: Draw, seen: Sequence[Seen], known: Collection[Key], chance: random.Random) -> list[Point]:
    """Return new points, the most promising first: next to the front, next to those, and anywhere.

    seen: trials that have begun, at least one of them complete; known: points not to propose.
    """
    good = [each for each in seen if each.values]
    members = [good[place].point for place in front([each.values for each in good])]
    chance.shuffle(members)
    learnt = learn(seen, np.random.default_rng(chance.getrandbits(64)))
    pool: dict[Key, tuple[float, Point]] = {}

    def judge(points: Iterable[Point], most: int) -> None:
        new = dict(islice(((k, point) for point in points if (k := key(point)) not in known and k not in pool), most))
        if new:
            scores = promise(learnt, list(new.values()))
            pool.update({k: (score, point) for (k, point), score in zip(new.items(), scores, strict=True)})

    def drawn(point: Point) -> bool:
        return (k := key(point)) in known or k in pool

    def look(places: Sequence[Point]) -> None:
        judge((near for place in places for near in neighbours(draw, place, chance, drawn)), AROUND)
        if any(axis.fine for axis in learnt.along):  # steps alone would stay on the grid of the first points
            judge((near for place in places for near in islice(blurred(draw, place, chance), BLURRED)), AROUND)

    look(members)
    judge((sample(draw, chance) for _ in range(ANYWHERE)), ANYWHERE)
    for _ in range(CLIMBS):
        look([point for _, point in sorted(pool.values(), key=lambda each: -each[0])[:BEST]])
    return [point for _, point in sorted(pool.values(), key=lambda each: -each[0])]


def apart(draw: Draw, begun: Sequence[Seen], known: Collection[Key], chance: random.Random) -> Point | None:
    """Return the least like what has begun of some random points, None if all of those are known.

    A greedy design by the sum of covariances (Sch\u00f6lkopf's kernel herding in its simplest form).
    """
    drawn = [active(draw, {}, partial(_drawn, chance)) for _ in range(AMONG)]
    new = [(point, domains) for point, domains in drawn if key(point) not in known]
    if not new:
        return None
    along = axes([*(each.domains for each in begun), *(domains for _, domains in new)])
    some, others = features([each.point for each in begun], along), features([point for point, _ in new], along)
    weights = np.full(some.shape[1], NARROW / max(1, len(along)))
    return new[int(kernel(weights, some, others).sum(axis=0).argmin())][0]


def _drawn(chance: random.Random, _: str, domain: Domain) -> Scalar:
    return at_random(domain, chance)
