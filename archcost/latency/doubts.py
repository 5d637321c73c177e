"""Reasons told once: what is against trusting latencies, or why there are none, each with the rows that it is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from archcost.latency.samples import Failure, Way
from archcost.latency.summary import Latency

_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?%?")
_LARGEST: Final = "--time "  # of what stands behind it, the largest number does for all


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is against trusting the rows of these names; all: whether there are no others."""

    words: str
    rows: tuple[str, ...]
    all: bool

    def __str__(self) -> str:
        where = "all" if self.all and len(self.rows) > 1 else "; ".join(filter(None, self.rows))
        return f"not stable, {where}: {self.words}" if where else f"not stable: {self.words}"


def names(ways: Sequence[Way]) -> tuple[str, ...]:
    """Return what tells each way from the others: 'batch 1' and 'batch 8'; '' where they are all the same."""
    columns = [column for column in zip(*(way.parts for way in ways), strict=True) if len(set(column)) > 1]
    told = tuple(", ".join(filter(None, row)) for row in zip(*columns, strict=True))
    return told or ("",) * len(ways)


def doubts(sides: Iterable[tuple[str, Sequence[Latency]]]) -> tuple[Doubt, ...]:
    """Return what is against trusting the latencies of each side, whose rows are named by it and by their way.

    Doubts that differ in numbers alone are one, with their range.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    count = 0
    for side, latencies in sides:
        for name, latency in zip(names([latency.way for latency in latencies]), latencies, strict=True):
            count += 1
            for doubt in latency.doubts:
                groups.setdefault(_NUMBER.sub("0", doubt), []).append((f"{side} {name}".strip(), doubt))
    return tuple(
        Doubt(_ranged([words for _, words in said]), tuple(row for row, _ in said), len(said) == count)
        for said in groups.values()
    )


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


def _ranged(alike: Sequence[str]) -> str:
    """Return texts that differ in numbers as one, with the least and the largest in each place."""
    columns = iter(list(zip(*(_NUMBER.findall(text) for text in alike), strict=True)))

    def joined(found: re.Match[str]) -> str:
        numbers = sorted(next(columns), key=lambda number: float(number.rstrip("%")))
        largest_does = found.string[: found.start()].endswith(_LARGEST)
        return numbers[-1] if largest_does or numbers[0] == numbers[-1] else f"{numbers[0]} to {numbers[-1]}"

    return _NUMBER.sub(joined, alike[0])
