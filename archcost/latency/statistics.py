"""What follows from durations in order: middles, percentiles, intervals and changes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Final

BLOCKS: Final = 8
"""Blocks a measurement is divided into: the range of 8 medians misses the true one once in 128 (2 * 2^-8)."""

FEWEST_BLOCKS: Final = 6
"""Blocks below which there is no interval: the range of 6 misses once in 32."""

_FEWEST_PREDICTED: Final = FEWEST_BLOCKS  # bursts from which their spread says where another run may lie
_RISK: Final = 100  # one in a hundred: the chance that an interval misses, or a percentile is none
_SETTLED: Final = 12  # calls that a warm-up stays on one level for: from 11 on a change among them can be seen
_DOUBT: Final = 20  # one in twenty: a change that is none only makes a warm-up longer
_SHIFT: Final = 0.01  # a change of level below this share is none


def median(durations: Sequence[float]) -> float:
    """Return the middle duration, or the mean of the middle two."""
    return statistics.median(durations)


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of two or more values, in floats: exact fractions take a hundred times as long."""
    middle = statistics.fmean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def percentile(durations: Sequence[float], percent: int) -> float | None:
    """Return the ceil(p*n)-th smallest of n durations, or None if n is too small to support it.

    Supported is a percentile that the slowest of n samples exceeds with 99% confidence: p^n <= 1%, from which p90 needs
    44 samples and p99 459 (Wilks 1941, one-sided tolerance limit).
    """
    supported = (percent / 100) ** len(durations) <= 1 / _RISK
    return _at(sorted(durations), percent) if supported else None


def _at(ordered: Sequence[float], percent: int) -> float:
    # in integers: 0.9 * n may fall on either side of a whole number
    return ordered[-(-percent * len(ordered) // 100) - 1]


def spread(durations: Sequence[float]) -> float:
    """Return the interquartile range over the median: (p75 - p25) / median."""
    ordered = sorted(durations)
    return (_at(ordered, 75) - _at(ordered, 25)) / median(ordered)


def rank(count: int, risk: int = _RISK) -> int:
    """Return the largest r for which the r-th smallest and r-th largest of `count` samples enclose the median with 99%.

    They miss it where fewer than r samples lie on one side: 2*P(Bin(count, 1/2) < r) <= 1% (Thompson 1936), computed in
    integers. 0 if even the extremes miss it more often: below 8 samples. risk: of so many intervals one may miss it.
    """
    tail, ways, found, bound = 0, 1, 0, 2**count  # ways = C(count, found), tail = the sum of those before
    while 2 * risk * (tail + ways) <= bound:
        tail += ways
        ways = ways * (count - found) // (found + 1)
        found += 1
    return found


def interval(values: Sequence[float], together: int = 1) -> tuple[float, float] | None:
    """Return the distribution-free 99% confidence interval of the median of independent values, None below 8.

    together: so many intervals all hold their medians with 99%, each one being wider (Bonferroni 1936).
    """
    ordered, place = sorted(values), rank(len(values), together * _RISK)
    return (ordered[place - 1], ordered[-place]) if place else None


def blocks(bursts: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return bursts joined, neighbours to neighbours, into 8 blocks as equal as can be; fewer bursts stay as they are.

    What moves slowly, other work or the clock's frequency, moves whole blocks: their medians show it, where an interval
    from single samples would not.
    """
    count = min(BLOCKS, len(bursts))
    bounds = [i * len(bursts) // count for i in range(count + 1)] if count else [0]
    return [list(chain.from_iterable(bursts[low:high])) for low, high in pairwise(bounds)]


def block_range(bursts: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """Return the smallest and largest median of the blocks, None if there are fewer than six."""
    return enclosing([median(block) for block in blocks(bursts)])


def enclosing(medians: Sequence[float]) -> tuple[float, float] | None:
    """Return the smallest and largest of the medians of blocks, None if there are fewer than six."""
    return (min(medians), max(medians)) if len(medians) >= FEWEST_BLOCKS else None


def half_width(bounds: tuple[float, float] | None, middle: float) -> float:
    """Return half the length of an interval over its middle, infinite if there is none."""
    return (bounds[1] - bounds[0]) / 2 / middle if bounds else math.inf


def next_median(durations: Sequence[float], middle: float, apart: float) -> tuple[float, float] | None:
    """Return where the middle of another run lies with 90%, from the medians of this run's bursts; None below six.

    Supposed is that another run is as far off as a burst of this one: what moves slowly moves all bursts of a run. To
    that comes the standard deviation `apart`, of the logarithms of two runs, that no run can see. It is the prediction
    interval of Student's t with n - 1 degrees of freedom, of logarithms: variance s^2 (1 + 1/n) + 2 apart^2.
    """
    if (count := len(durations)) < _FEWEST_PREDICTED:
        return None
    spread = deviation([math.log(duration) for duration in durations])
    half = _t95(count - 1) * math.sqrt(spread**2 * (1 + 1 / count) + 2 * apart**2)
    return middle * math.exp(-half), middle * math.exp(half)


def _t95(freedom: int) -> float:
    """Return what Student's t exceeds once in twenty (Abramowitz and Stegun 1964, 26.7.5), within 0.001 from 5 on."""
    z = statistics.NormalDist().inv_cdf(0.95)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))


def change_point(durations: Sequence[float]) -> int | None:
    """Return where the level of a series most likely changes: the number of values before it; None if it does not.

    Pettitt's test (1979, Applied Statistics 28): K = max |U_t|, U_t = 2*(sum of the first t ranks) - t*(n + 1), and
    P(K) = 2*exp(-6*K^2 / (n^3 + n^2)) without a change. Ranks bear outliers. Changes below 1% are none.
    """
    count = len(durations)
    total, best, at = 0.0, 0.0, 0
    for t, place in enumerate(ranks(durations)[:-1], 1):
        total += place
        if (u := abs(2 * total - t * (count + 1))) > best:
            best, at = u, t
    if not at or 2 * math.exp(-6 * best**2 / (count**3 + count**2)) > 1 / _DOUBT:
        return None
    before, after = median(durations[:at]), median(durations[at:])
    return at if abs(after - before) > _SHIFT * before else None


def ranks(values: Sequence[float]) -> list[float]:
    """Return the place of each value among all, from 1; equal ones share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, begin = [0.0] * len(values), 0
    while begin < len(order):
        end = begin
        while end < len(order) and values[order[end]] == values[order[begin]]:
            end += 1
        for i in order[begin:end]:
            ranks[i] = (begin + 1 + end) / 2
        begin = end
    return ranks


def last_level(durations: Sequence[float]) -> Sequence[float]:
    """Return what follows the last change of level: changes are looked for behind changes, until there is none."""
    while (at := change_point(durations)) is not None:
        durations = durations[at:]
    return durations


def settled(durations: Sequence[float]) -> bool:
    """Return whether a warm-up is over: its last level has lasted for twelve calls and a quarter of it."""
    return len(last_level(durations)) >= max(_SETTLED, len(durations) / 4)
