"""Timing of two or more ways to do the same thing: interleaved rounds, medians, and the spread of their ratio.

On a shared machine absolute times wander by tens of per cent; what runs a moment earlier or later wanders alike.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import torch


class Ratio(NamedTuple):
    """The time of one side over another's: of all samples' medians, and the smallest and largest of single rounds."""

    value: float
    least: float
    most: float

    def __str__(self) -> str:
        """Return the ratio with its range, as the tables show it."""
        return f"{self.value:.3g} ({self.least:.3g}-{self.most:.3g})"


class Times(NamedTuple):
    """Seconds of every call: rounds[round][side][call]."""

    rounds: list[list[list[float]]]

    def median_s(self, side: int) -> float:
        """Return the median over all calls of a side."""
        return median(seconds for sides in self.rounds for seconds in sides[side])

    def ratio(self, above: int, below: int) -> Ratio:
        """Return how many times as long side `above` takes as side `below`."""
        each = [median(sides[above]) / median(sides[below]) for sides in self.rounds]
        return Ratio(self.median_s(above) / self.median_s(below), min(each), max(each))


def interleaved(
    sides: Sequence[Callable[[], object]], *, rounds: int, calls: int | Sequence[int], warmup: int = 3
) -> Times:
    """Time every side `calls` times a round, side after side; every other round begins at the other end.

    `calls` may differ by side: a quick one then runs on alone when the slow one has had its calls.
    """
    each = [calls] * len(sides) if isinstance(calls, int) else list(calls)
    for side in sides:
        for _ in range(warmup):
            side()
    found = []
    for nth in range(rounds):
        samples: list[list[float]] = [[] for _ in sides]
        order = list(enumerate(sides))[:: -1 if nth % 2 else 1]
        for call in range(max(each)):
            for place, side in order:
                if call < each[place]:
                    begin = perf_counter()
                    side()
                    samples[place].append(perf_counter() - begin)
        found.append(samples)
    return Times(found)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a markdown table; all columns but the first are set to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def milliseconds(seconds: float) -> str:
    """Return a time as the tables show it."""
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} us"


def machine() -> str:
    """Return what a result was measured on, in one line."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model n")]
        cpu = f"{names[0]}, {len(names)} cores" if names else cpu
    threads = torch.get_num_threads()
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{cpu}; {threads} thread(s); {versions}; {datetime.now(UTC):%Y-%m-%d}"
