"""Remarks on several latencies: each doubt once, with its rows; why others are missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from archcost.latency import doubts
from archcost.latency.doubts import Doubt, Kind
from archcost.latency.samples import Failure, Way
from archcost.latency.summary import Latency


@dataclass(frozen=True, slots=True)
class Remark:
    """What is against trusting the rows of these names; all: whether there are no others."""

    kind: Kind
    words: str
    rows: tuple[str, ...]
    all: bool

    def __str__(self) -> str:
        where = "all" if self.all and len(self.rows) > 1 else "; ".join(filter(None, self.rows))
        return f"not stable, {where}: {self.words}" if where else f"not stable: {self.words}"


def names(ways: Sequence[Way]) -> tuple[str, ...]:
    """Return what tells each way from the others: 'batch 1' and 'batch 8'; '' if they are all the same."""
    columns = [column for column in zip(*(way.parts for way in ways), strict=True) if len(set(column)) > 1]
    told = tuple(", ".join(filter(None, row)) for row in zip(*columns, strict=True))
    return told or ("",) * len(ways)


def remarks(sides: Iterable[tuple[str, Sequence[Latency]]]) -> tuple[Remark, ...]:
    """Return what is against trusting the latencies of each side, whose rows are named by it and by their way.

    Doubts of one kind are one remark, with the range of their numbers.
    """
    groups: dict[Kind, list[tuple[str, Doubt, Latency]]] = {}
    count = 0
    for side, latencies in sides:
        for name, latency in zip(names([latency.way for latency in latencies]), latencies, strict=True):
            count += 1
            for doubt in latency.doubts:
                groups.setdefault(doubt.kind, []).append((f"{side} {name}".strip(), doubt, latency))
    return tuple(_remark(kind, found, count) for kind, found in groups.items())


def _remark(kind: Kind, found: Sequence[tuple[str, Doubt, Latency]], count: int) -> Remark:
    longest_s = max((latency.enough_s for _, _, latency in found if latency.enough_s is not None), default=None)
    words = doubts.words([doubt for _, doubt, _ in found], longest_s)
    return Remark(kind, words, tuple(row for row, _, _ in found), len(found) == count)


def refusals(failures: Iterable[Failure]) -> tuple[str, ...]:
    """Return why there are no latencies, each reason once behind the ways in which it came."""
    groups: dict[str, list[Way]] = {}
    for failure in failures:
        groups.setdefault(failure.reason, []).append(failure.way)
    return tuple(f"{_ways(ways)}: {reason}" for reason, ways in groups.items())


def _ways(ways: Sequence[Way]) -> str:
    """Return ways in words: the first in full, of the others what tells them apart."""
    first, *others = ways
    apart = names(ways)[1:] if others else ()
    return "; ".join([str(first), *apart])
