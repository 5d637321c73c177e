"""The first points of a study, from which the local search learns: spread over the space, where chance leaves holes."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from functools import partial
from typing import Final

import numpy as np

from archcost.domains import Domain, Draw, Point, Scalar, active, at_random
from archcost.encoding import axes, features
from archcost.seen import Key, Seen, key
from archcost.surrogate import kernel

AMONG: Final = 30
"""Random points of which the one is taken that is least like those that have begun: many more would all be corners."""
NARROW: Final = 3.0
"""How quickly two points cease to be alike: the larger, the more the nearest alone counts."""


def apart(draw: Draw, begun: Sequence[Seen], known: Collection[Key], chance: random.Random) -> Point | None:
    """Return the least like what has begun of some random points, None where all of those are known.

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
