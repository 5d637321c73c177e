"""The local search: points next to the front and far from it, ranked by what they are expected to add to it."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Final

import numpy as np

from archcost.domains import Draw, Point, neighbours, sample
from archcost.learning import learn, promise
from archcost.pareto import front
from archcost.seen import Key, Seen, key

AROUND: Final = 250
"""Candidates next to the front, and in all as many as are looked at in a climb."""
ANYWHERE: Final = 100
"""Candidates drawn at random."""
CLIMBS: Final = 2
BEST: Final = 3
"""The candidates whose neighbours join in at each climb."""


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

    judge((near for member in members for near in neighbours(draw, member, chance)), AROUND)
    judge((sample(draw, chance) for _ in range(ANYWHERE)), ANYWHERE)
    for _ in range(CLIMBS):
        best = sorted(pool.values(), key=lambda each: -each[0])[:BEST]
        judge((near for _, point in best for near in neighbours(draw, point, chance)), AROUND)
    return [point for _, point in sorted(pool.values(), key=lambda each: -each[0])]
