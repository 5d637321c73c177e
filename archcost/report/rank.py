"""Rank correlation: whether one quantity orders networks as another does."""

from __future__ import annotations

import math
from collections.abc import Sequence

from archcost.latency.statistics import ranks


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, Pearson's of the ranks; None where one of them has fewer than two values.

    Equal values share the mean of their ranks (Spearman 1904; Kendall 1948, 3.8).
    """
    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    middle = (len(one) + 1) / 2
    first, second = ([rank - middle for rank in ranks(values)] for values in (one, other))
    shared = math.fsum(a * b for a, b in zip(first, second, strict=True))
    return shared / math.sqrt(math.fsum(a * a for a in first) * math.fsum(b * b for b in second))
