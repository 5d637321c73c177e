"""How likely a network keeps to a limit on its latency when it is measured once more."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Final

from archcost.latency.samples import Samples
from archcost.latency.statistics import FEWEST_BLOCKS, blocks, deviation, median
from archcost.study.records.front import Candidate

# How far two measurements of a network are apart is known in a study only if networks were measured more than once.
# Until then it is supposed to be so many times what blocks of one measurement are apart, and at least a little; this
# counts as much as so many second measurements. Where from: studies/benchmarks/choices.py
_TIMES: Final = 2.0
_LEAST: Final = 0.02
_WEIGHT: Final = 3
# Of many networks, those are chosen that their trials' measurements made look fast: by so many standard deviations.
_LUCK: Final = 0.75
_MOST_FREEDOM: Final = 60  # beyond it Student's distribution is the normal one, to two digits


@dataclass(frozen=True, slots=True)
class Occasion:
    """One measurement of a network: the logarithm of its median, and of how far its blocks' medians spread.

    blocks: how many there are; spread: their standard deviation, None of fewer than two; turns: whether it was made in
    confirming, where all networks share what disturbs them.
    """

    middle: float
    blocks: int
    spread: float | None
    turns: bool = False


@dataclass(frozen=True)
class Measured:
    """All measurements of a study's networks in one way, by the digests of their graphs.

    spread: the standard deviation of one block's median within a measurement; drift: of one measurement among those of
    a network, with its degrees of freedom; shared: what the measurements by turns are supposed to be off by, all alike,
    and by how many networks that is known. All of logarithms: about the share of the latency.
    """

    occasions: Mapping[str, tuple[Occasion, ...]]
    spread: float
    drift: float
    freedom: int
    shared: float
    turned: int

    @property
    def again(self) -> int:
        """How many measurements there are of networks that were measured before."""
        return sum(len(each) - 1 for each in self.occasions.values() if each)

    def chance(self, digest: str, limit_s: float) -> float:
        """Return the probability that the median of one more measurement is at most `limit_s`.

        The next logarithm is what is known of the network's, plus Student's t times the standard deviation of their
        difference: the drift of the next measurement, of those that are known, and what their blocks leave open.
        """
        if digest not in self._next:
            return 0.0
        middle, deviation = self._next[digest]
        return student((math.log(limit_s) - middle) / deviation, self.freedom)

    @cached_property
    def _next(self) -> Mapping[str, tuple[float, float]]:
        """For each network, its logarithm and the standard deviation of the difference of one more: of every limit."""
        return {digest: self._following(known) for digest, known in self.occasions.items() if known}

    def _following(self, known: Sequence[Occasion]) -> tuple[float, float]:
        middle, weight = self._known(known)
        open_ones = fmean(self._within(each) for each in known)
        return middle, math.sqrt(self.drift**2 * (1 + 1 / weight) + open_ones / len(known))

    def _known(self, known: Sequence[Occasion]) -> tuple[float, float]:
        """Return a network's logarithm, and as many independent measurements as it is known like.

        Each of its trials' measurements counts once. One by turns is off by what all of them share, which is known as
        well as the mean over its networks and a drift of none.
        """
        alone = [each.middle for each in known if not each.turns]
        turns = [each.middle - self.shared for each in known if each.turns]
        weight = len(alone) + len(turns) * (self.turned + 1)
        lucky = _LUCK * self.drift * math.sqrt(len(alone))
        return (math.fsum(alone) + lucky + math.fsum(turns) * (self.turned + 1)) / weight, weight

    def _within(self, each: Occasion) -> float:
        """Return the variance of a measurement's median by its own blocks; few of them may not say how they spread."""
        own = each.spread if each.spread is not None and each.blocks >= FEWEST_BLOCKS else None
        spread = max(each.spread or 0.0, self.spread) if own is None else own
        return spread**2 / each.blocks


def measured(candidates: Iterable[Candidate], place: int) -> Measured:
    """Return what is known of the latencies of a study's networks in one of its setups, by its place among them."""
    found: dict[str, dict[Samples, bool]] = {}
    for each in candidates:
        for part in each.trial.ended.parts if each.trial.ended else ():
            if place in part.measured:
                found.setdefault(part.digest, {})[part.measured[place]] = False
        for at, again in zip(each.way.places, each.confirmed.samples if each.confirmed else (), strict=False):
            if at == place:
                found.setdefault(each.part.digest, {})[again] = True
    occasions = {
        digest: tuple(_occasion(samples, turns) for samples, turns in held.items()) for digest, held in found.items()
    }
    spreads = [each.spread for every in occasions.values() for each in every if each.spread is not None]
    spread = math.sqrt(fmean(each**2 for each in spreads)) if spreads else 0.0
    drift, freedom = _drift(list(occasions.values()), max(_LEAST, _TIMES * spread))
    moved = [by - _LUCK * drift / math.sqrt(count) for by, count in _moved(occasions.values())]
    return Measured(occasions, spread, drift, freedom, math.fsum(moved) / (len(moved) + 1), len(moved))


def _occasion(samples: Samples, turns: bool) -> Occasion:
    medians = [math.log(median(block)) for block in blocks([burst.samples_s for burst in samples.bursts])]
    spread = deviation(medians) if len(medians) > 1 else None
    return Occasion(math.log(samples.median_s), len(medians), spread, turns)


def _moved(every: Iterable[Sequence[Occasion]]) -> Iterator[tuple[float, int]]:
    """Yield by how much each network's measurement by turns is above those of its trials, and how many these are."""
    for each in every:
        alone = [one.middle for one in each if not one.turns]
        yield from ((one.middle - fmean(alone), len(alone)) for one in each if one.turns and alone)


def _drift(every: Sequence[Sequence[Occasion]], supposed: float) -> tuple[float, int]:
    """Return the standard deviation of a measurement among those of its network, pooled, and its degrees of freedom.

    Networks that took turns moved together: their mean counts as one more measurement, what each moved beside it as one
    of its own.
    """
    alone = [[one.middle for one in each if not one.turns] for each in every]
    several = [each for each in alone if len(each) > 1]
    squares = math.fsum((len(each) - 1) * deviation(each) ** 2 for each in several)
    seen = sum(len(each) - 1 for each in several)
    if moved := list(_moved(every)):
        middle = fmean(by for by, _ in moved)
        squares += math.fsum(count * (by - middle) ** 2 for by, count in moved) + middle**2 / (1 + 1 / len(moved))
        seen += len(moved)
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
        if total + term == total:  # so do all that follow, which are smaller: far from the middle few terms count
            break
        total += term
    inside = math.sin(angle) * total
    return 0.5 + (inside + angle) / math.pi if odd else 0.5 + inside / 2
