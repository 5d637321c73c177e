"""Which layers account for the time between networks: differences that add up to it.

Both ran by turns, so that each round has a difference of every layer. Its interval is one of order statistics over the
rounds. The intervals of all layers hold together with 99%, as one in a hundred of many layers would else be named
without a reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from operator import add, sub
from typing import Final, TypeAlias

from archcost.graph.cost import cut
from archcost.latency.doubts import Doubt, why
from archcost.latency.layers.times import LayerTimes
from archcost.latency.samples import Way
from archcost.latency.statistics import interval
from archcost.units import counted_words, percent


@dataclass(frozen=True, slots=True)
class Difference:
    """What a layer, or another part of a call, took in two networks; None in one that has none of that name.

    interval_s: of the median of the rounds' differences, stretched to hold difference_s; None with too few rounds.
    """

    name: str
    first_s: float | None
    other_s: float | None
    by_round_s: tuple[float, ...]
    interval_s: tuple[float, float] | None

    @property
    def difference_s(self) -> float:
        """How much longer the other takes, negative if it is faster."""
        return (self.other_s or 0.0) - (self.first_s or 0.0)

    @property
    def differs(self) -> bool | None:
        """Whether there is a detectable difference: 0 is outside the interval; None if there are too few rounds."""
        return None if self.interval_s is None else not self.interval_s[0] <= 0.0 <= self.interval_s[1]

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON holds it, every time in seconds."""
        return {
            "first_s": self.first_s,
            "other_s": self.other_s,
            "difference_s": self.difference_s,
            "interval_s": None if self.interval_s is None else list(self.interval_s),
            "differs": self.differs,
        }


@dataclass(frozen=True, slots=True)
class LayerDifferences:
    """What two networks took that ran by turns: the whole, and layers, dispatch and the rest, which add up to it.

    layers: the first's in its order, then those of the other alone; doubts: against the first's times, and the other's.
    """

    way: Way
    rounds: int
    whole: Difference
    layers: tuple[Difference, ...]
    residual: Difference
    unexplained: Difference
    doubts: tuple[tuple[Doubt, ...], tuple[Doubt, ...]] = ((), ())

    @property
    def named(self) -> tuple[Difference, ...]:
        """The layers with a detectable difference, the largest first."""
        return tuple(sorted(filter(_differs, self.layers), key=lambda each: -abs(each.difference_s)))

    @property
    def rest_s(self) -> float:
        """The difference of all other layers together."""
        return math.fsum(each.difference_s for each in self.layers if not each.differs)

    @property
    def told(self) -> bool:
        """Whether there were enough rounds to tell layers apart by their intervals."""
        return all(each.differs is not None for each in self.layers)

    def share(self, part: Difference) -> float | None:
        """Return a part's share of the whole difference, None if the whole has no detectable one."""
        return part.difference_s / self.whole.difference_s if self.whole.differs else None

    @property
    def why(self) -> tuple[str, str]:
        """What is against trusting the times of either, in words, '' if nothing is."""
        return why(self.doubts[0]), why(self.doubts[1])

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON holds it; every time in seconds."""
        return {
            **{key: getattr(self.way, key) for key in ("target", "runtime", "batch", "dtype", "threads")},
            "rounds": self.rounds,
            "whole": self.whole.to_dict(),
            "residual": self.residual.to_dict(),
            "unexplained": self.unexplained.to_dict(),
            "named": [each.name for each in self.named],
            "rest_s": self.rest_s,
            "layers": [{"name": each.name, **each.to_dict(), "share": self.share(each)} for each in self.layers],
            "doubts": {
                key: [asdict(doubt) for doubt in found]
                for key, found in zip(("first", "other"), self.doubts, strict=True)
            },
        }

    def at_depth(self, depth: int) -> LayerDifferences:
        """Return groups in place of layers: those whose names begin with the same `depth` parts."""
        return self.grouped(lambda name: cut(name, depth))

    def grouped(self, named: Callable[[str], str]) -> LayerDifferences:
        """Return groups in place of layers: those that get one name, in the order of their first layers."""
        groups: dict[str, list[Difference]] = {}
        for layer in self.layers:
            groups.setdefault(named(layer.name), []).append(layer)
        joined = tuple(_together(name, parts, len(groups)) for name, parts in groups.items())
        return replace(self, layers=joined)


def verdict(found: LayerDifferences, listed: str = "layers") -> str:
    """Return in words how many of the layers account for a difference; listed: what they are, "layers" or "groups"."""
    many = counted_words(len(found.layers), listed.removesuffix("s"))
    if not found.told:
        rounds = f"{counted_words(found.rounds, 'round')} {'is' if found.rounds == 1 else 'are'} too few"
        return f"{rounds} to tell {many} apart: a longer --time helps"
    if not found.named:
        return f"no detectable difference in any of {many}"
    told = f"{len(found.named)} of {many} {'differ' if len(found.named) > 1 else 'differs'}"
    if not found.whole.differs:
        return f"{told}, the whole not detectably"
    shares = sum(found.share(each) or 0.0 for each in found.named)
    return f"{told}, with {percent(shares)} of the whole's difference"


def _differs(part: Difference) -> bool:
    return part.differs is True


def _together(name: str, parts: Sequence[Difference], groups: int) -> Difference:
    by_round_s = tuple(map(sum, zip(*(part.by_round_s for part in parts), strict=True)))
    first_s, other_s = (_sum(sides) for sides in zip(*((each.first_s, each.other_s) for each in parts), strict=True))
    return _difference(name, (first_s, other_s), by_round_s, groups)


def _sum(spans_s: Iterable[float | None]) -> float | None:
    known = [span_s for span_s in spans_s if span_s is not None]
    return math.fsum(known) if known else None


Taken: TypeAlias = tuple[float, tuple[float, ...]]
"""Seconds of a part of a call, and those of each round."""


def between(first: LayerTimes, other: LayerTimes) -> LayerDifferences:
    """Return what lies between two networks whose rounds were taken by turns; layers of one name are one."""
    here, there = _by_name(first), _by_name(other)
    names = tuple(dict.fromkeys((*here, *there)))
    whole, residual, unexplained = (
        _of(name, one, two, 1) for name, one, two in zip(_OTHERS, _of_no_layer(first), _of_no_layer(other), strict=True)
    )
    layers = tuple(_of(name, here.get(name), there.get(name), len(names)) for name in names)
    rounds = min(first.rounds, other.rounds)
    return LayerDifferences(first.way, rounds, whole, layers, residual, unexplained, (first.doubts, other.doubts))


_OTHERS: Final = ("whole", "residual", "unexplained")


def _of_no_layer(times: LayerTimes) -> tuple[Taken, ...]:
    return tuple(zip((times.end_to_end_s, times.residual_s, times.unexplained_s), times.by_round, strict=True))


def _by_name(times: LayerTimes) -> dict[str, Taken]:
    """Return what layers took in all and by round, those that share a name added up."""
    found: dict[str, Taken] = {}
    for layer in times.layers:
        time_s, by_round_s = found.get(layer.name, (0.0, (0.0,) * len(layer.by_round_s)))
        found[layer.name] = time_s + layer.time_s, tuple(map(add, by_round_s, layer.by_round_s))
    return found


def _of(name: str, first: Taken | None, other: Taken | None, together: int) -> Difference:
    """Return the difference of a part that one of two networks may not have; together: of so many intervals."""
    given = first or other
    assert given is not None  # the name is one's
    nothing = (0.0,) * len(given[1])
    by_round_s = tuple(map(sub, other[1] if other else nothing, first[1] if first else nothing))
    return _difference(name, (first and first[0], other and other[0]), by_round_s, together)


def _difference(
    name: str, sides_s: tuple[float | None, float | None], by_round_s: tuple[float, ...], together: int
) -> Difference:
    found = Difference(name, *sides_s, by_round_s, interval(by_round_s, together))
    if found.interval_s is None:
        return found
    low_s, high_s = found.interval_s
    return replace(found, interval_s=(min(low_s, found.difference_s), max(high_s, found.difference_s)))
