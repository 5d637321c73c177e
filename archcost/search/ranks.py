"""How far two orders agree: Kendall's tau, with an interval by resampling."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import isnan, nan, sqrt
from random import Random
from typing import Final

_RESAMPLES: Final = 2000
_FEWEST: Final = 6  # pairs: of fewer, most resamples repeat one of them
_OUTSIDE: Final = 0.025  # of the resamples at each end


def tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Kendall's tau-b of two lists of values (n,), -1 to 1; NaN if one of them has a single value.

    Kendall (1945), The treatment of ties in ranking problems: pairs in the same order less pairs in the other one, by
    the geometric mean of the pairs that are not tied in the one and in the other list.
    """
    agree, apart_first, apart_second = 0, 0, 0
    for (x, y), (a, b) in combinations(zip(first, second, strict=True), 2):
        one, other = (x > a) - (x < a), (y > b) - (y < b)
        agree += one * other
        apart_first += one != 0
        apart_second += other != 0
    return agree / sqrt(apart_first * apart_second) if apart_first and apart_second else nan


def tau_interval(first: Sequence[float], second: Sequence[float], seed: int = 0) -> tuple[float, float] | None:
    """Return the ends between which tau of 95% of resamples lies; None of fewer than six pairs, or if none has one.

    Pairs are drawn with replacement, as often as there are any.
    """
    pairs, chance = list(zip(first, second, strict=True)), Random(seed)
    if len(pairs) < _FEWEST:
        return None
    drawn = (chance.choices(pairs, k=len(pairs)) for _ in range(_RESAMPLES))
    known = sorted(found for each in drawn if not isnan(found := tau(*zip(*each, strict=True))))
    if not known:
        return None
    end = int(_OUTSIDE * len(known))
    return known[end], known[-1 - end]
