"""How likely a network keeps to a limit on its latency when it is measured once more."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final

from archcost.latency.samples import Samples
from archcost.latency.statistics import FEWEST_BLOCKS, blocks, median
from archcost.study.records.front import Candidate

# How far two measurements of a network are apart is known in a study only if networks were measured more than once.
# Until then it is supposed to be so many times what blocks of one measurement are apart, and at least a little; this
# counts as much as the second measurements of so many networks. Where from: studies/benchmarks/choices.py
_TIMES: Final = 2.0
_LEAST: Final = 0.02
_WEIGHT: Final = 3
_MOST_FREEDOM: Final = 200  # beyond it Student's distribution is the normal one, to three digits


@dataclass(frozen=True, slots=True)
class Occasion:
    """One measurement of a network: the logarithm of its median, and of how far its blocks' medians spread.

    blocks: how many there are; spread: their standard deviation, None of fewer than two.
    """

    middle: float
    blocks: int
    spread: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """All measurements of a study's networks in one way, by the digests of their graphs.

    spread: the standard deviation of one block's median within a measurement; drift: of one measurement among those of
    a network, with its degrees of freedom. Both of logarithms: about the share of the latency.
    """

    occasions: Mapping[str, tuple[Occasion, ...]]
    spread: float
    drift: float
    freedom: int

    @property
    def again(self) -> int:
        """How many measurements there are of networks that were measured before."""
        return sum(len(each) - 1 for each in self.occasions.values() if each)

    def chance(self, digest: str, limit_s: float) -> float:
        """Return the probability that the median of one more measurement is at most `limit_s`.

        The next logarithm is the mean of those so far, plus Student's t times the standard deviation of its difference
        from that mean: the drift of the next one and of the k before it, and what their blocks leave open.
        """
        known = self.occasions.get(digest, ())
        if not known:
            return 0.0
        open_ones = fmean(self._within(each) for each in known)
        variance = self.drift**2 * (1 + 1 / len(known)) + open_ones / len(known)
        away = math.log(limit_s) - fmean(each.middle for each in known)
        return student(away / math.sqrt(variance), self.freedom)

    def _within(self, each: Occasion) -> float:
        """Return the variance of a measurement's median by its own blocks; few of them may not say how they spread."""
        own = each.spread if each.spread is not None and each.blocks >= FEWEST_BLOCKS else None
        spread = max(each.spread or 0.0, self.spread) if own is None else own
        return spread**2 / each.blocks


def measured(candidates: Iterable[Candidate], way: int) -> Measured:
    """Return what is known of the latencies of a study's networks in one of its ways to measure."""
    found: dict[str, dict[Samples, None]] = {}
    for each in candidates:
        for part in each.trial.ended.parts if each.trial.ended else ():
            found.setdefault(part.digest, {}).update(dict.fromkeys(part.samples[way : way + 1]))
        if each.confirmed:
            found.setdefault(each.part.digest, {}).update(dict.fromkeys(each.confirmed.samples[way : way + 1]))
    occasions = {digest: tuple(map(_occasion, samples)) for digest, samples in found.items()}
    spread = _pooled([each.spread for every in occasions.values() for each in every if each.spread is not None])
    drift, freedom = _drift(list(occasions.values()), max(_LEAST, _TIMES * spread))
    return Measured(occasions, spread, drift, freedom)


def _occasion(samples: Samples) -> Occasion:
    medians = [math.log(median(block)) for block in blocks([burst.samples_s for burst in samples.bursts])]
    spread = stdev(medians) if len(medians) > 1 else None
    return Occasion(math.log(median(samples.samples_s)), len(medians), spread)


def _pooled(spreads: Sequence[float]) -> float:
    return math.sqrt(fmean(each**2 for each in spreads)) if spreads else 0.0


def _drift(every: Sequence[Sequence[Occasion]], supposed: float) -> tuple[float, int]:
    """Return the standard deviation of a measurement among those of its network, pooled, and its degrees of freedom."""
    several = [[each.middle for each in one] for one in every if len(one) > 1]
    seen = sum(len(each) - 1 for each in several)
    squares = math.fsum((len(each) - 1) * stdev(each) ** 2 for each in several)
    freedom = _WEIGHT + seen
    return math.sqrt((_WEIGHT * supposed**2 + squares) / freedom), min(freedom, _MOST_FREEDOM)


def student(t: float, freedom: int) -> float:
    """Return the share of Student's distribution that is at most t, for a whole number of degrees of freedom.

    In closed form (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4).
    """
    angle = math.atan(t / math.sqrt(freedom))
    odd, cosine = freedom % 2, math.cos(angle)
    term = total = (cosine if odd else 1.0) * (freedom > 1)
    for step in range(2 + odd, freedom - 1, 2):
        term *= cosine**2 * (step - 1) / step
        total += term
    inside = math.sin(angle) * total
    return 0.5 + (inside + angle) / math.pi if odd else 0.5 + inside / 2
