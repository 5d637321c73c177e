"""Networks that took turns: how many times as long one takes as another, and whether that is more than noise."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

from archcost.estimates import half_width, interval, median
from archcost.measured import Samples


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times the first's latency the other's is: the median over rounds, with a 99% interval.

    In each round both run next to each other, in random order, so that what slows the machine slows both.
    """

    ratio: float
    interval: tuple[float, float] | None
    rounds: int

    @property
    def differ(self) -> bool | None:
        """Whether there is a detectable difference: 1 is outside the interval; None where there are too few rounds."""
        return None if self.interval is None else not self.interval[0] <= 1 <= self.interval[1]

    @property
    def half_width(self) -> float:
        """Half the length of the interval over the ratio, infinite where there is none."""
        return half_width(self.interval, self.ratio)


def ratio(first: Samples, other: Samples) -> Ratio:
    """Return the ratio of two measurements made by turns: the median of the rounds' ratios of medians.

    The interval supposes rounds that are independent of each other (Thompson 1936, by order statistics).
    """
    pairs = zip(first.bursts, other.bursts, strict=True)
    logs = [log(median(b.samples_s) / median(a.samples_s)) for a, b in pairs]
    bounds = interval(logs)
    return Ratio(exp(median(logs)), None if bounds is None else (exp(bounds[0]), exp(bounds[1])), len(logs))
