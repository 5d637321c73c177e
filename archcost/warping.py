"""Values made normal by their ranks, and back: one outlier then does not decide how all others are told apart."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import final

import numpy as np

from archcost.encoding import Array


@final
@dataclass(frozen=True, slots=True)
class Warp:
    """The distinct values, ascending, and the normal quantiles of their ranks; below the least it goes on straight."""

    values: Array
    scores: Array
    slope: float

    def score(self, values: Array) -> Array:
        """Return the quantiles of values, those between two known ones in between."""
        found: Array = np.interp(values, self.values, self.scores)
        return found

    def value(self, scores: Array) -> Array:
        """Return the values of quantiles, the inverse of `score`."""
        beyond = np.minimum(scores - self.scores[0], 0.0)
        found: Array = np.interp(scores, self.scores, self.values) + beyond * self.slope
        return found


def warp(values: Array) -> Warp:
    """Return the warp of known values, (n,): equal ones have the mean of their ranks.

    The slope below the least is that of the best sixth, from one standard deviation on.
    """
    ordered = np.sort(values)
    distinct = np.unique(ordered)
    ranks = (np.searchsorted(ordered, distinct, "left") + np.searchsorted(ordered, distinct, "right")) / 2
    scores = np.array([NormalDist().inv_cdf(float(rank) / len(values)) for rank in ranks])
    if scores[0] > -1.2:  # too few to have a best sixth
        return Warp(distinct, scores, 0.0)
    slope = (np.interp(-1.0, scores, distinct) - distinct[0]) / (-1.0 - scores[0])
    return Warp(distinct, scores, float(slope))
