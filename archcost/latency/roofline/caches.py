"""Caches: their sizes as Linux describes them, and the levels that a sweep shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from archcost.latency.roofline.roof import LEVELS, LevelName
from archcost.machine import ROOT, read

_UNITS: Final = {"K": 2**10, "M": 2**20, "G": 2**30}
_FLAT: Final = 1.15  # rates of one plateau differ by less
_APART: Final = 1.25  # neighbours are two levels from this ratio on
_FEWEST: Final = 3  # sizes of a plateau: fewer are on the way from one to the next
_BEYOND: Final = 2  # times a cache: what is prefetched keeps up a rate; from one level to the next it is four or more


class Plateau(NamedTuple):
    """Sizes in a row at one rate, bytes/s: the smallest and the largest of them in bytes."""

    first_bytes: int
    last_bytes: int
    rate: float


def hints(threads: int, root: Path = ROOT) -> dict[LevelName, int]:
    """Return the bytes that `threads` cores have of each level of cache, empty if the system does not say.

    Linux, Documentation/ABI/testing/sysfs-devices-system-cpu, `cache/index*`: level, type, size, shared_cpu_list.
    """
    cpus = len(list((root / "sys/devices/system/cpu").glob("cpu[0-9]*"))) or 1
    found: dict[LevelName, int] = {}
    for folder in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index[0-9]*")):
        level, kind, size = (read(folder / name) or "" for name in ("level", "type", "size"))
        if kind in ("Data", "Unified") and level in ("1", "2", "3") and size[:-1].isdigit() and size[-1] in _UNITS:
            copies = max(1, cpus // _sharing(read(folder / "shared_cpu_list") or ""))
            found[LEVELS[int(level) - 1]] = int(size[:-1]) * _UNITS[size[-1]] * min(threads, copies)
    return found


def _sharing(text: str) -> int:
    """Return how many CPUs a list such as 0-3,8 names, 1 if it is none."""
    count = 0
    for part in text.split(","):
        low, _, high = part.partition("-")
        if not low.isdigit() or not (high or low).isdigit():
            return 1
        count += int(high or low) - int(low) + 1
    return max(1, count)


def plateaus(curve: Sequence[tuple[int, float]]) -> tuple[Plateau, ...]:
    """Return the levels of a curve of (bytes, bytes/s) by growing size.

    What is measured can only be too slow, by other work or by the cost of a call: a smaller array is at least as fast
    as a larger one. A plateau is at least three sizes in a row whose rates, so corrected, differ by less than 15%;
    neighbours of less than 25% difference are one.
    """
    rates = [max(rate for _, rate in curve[place:]) for place in range(len(curve))]
    found: list[Plateau] = []
    for first, end in _runs(rates):
        if end - first < _FEWEST:
            continue
        plateau = Plateau(curve[first][0], curve[end - 1][0], median(rates[first:end]))
        if found and found[-1].rate < _APART * plateau.rate:
            found[-1] = Plateau(found[-1].first_bytes, plateau.last_bytes, found[-1].rate)
        else:
            found.append(plateau)
    return tuple(found)


def _runs(rates: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Yield where rates that never grow stay within 15% of their first one, as (first, end)."""
    first = 0
    for place, rate in enumerate(rates):
        if rates[first] >= _FLAT * rate:
            yield first, place
            first = place
    yield first, len(rates)


def levels(found: Sequence[Plateau], sizes: Mapping[LevelName, int], largest: int) -> dict[LevelName, Plateau]:
    """Return the plateau of each level, without those that cannot be told apart.

    A plateau that goes on to the largest size is memory's. Another is of the smallest cache that holds all of it, by
    the hints `sizes`; of two of one cache the first counts. If a cache is not told apart from the next one, the plateau
    ends in the larger, and the smaller has none. Without hints they are L1, L2 and L3 in turn.
    """
    named: dict[LevelName, Plateau] = {}
    for place, plateau in enumerate(found):
        if plateau.last_bytes >= largest:
            named["memory"] = plateau
        elif name := _cache(plateau, place, sizes):
            named.setdefault(name, plateau)
    return named


def _cache(plateau: Plateau, place: int, sizes: Mapping[LevelName, int]) -> LevelName | None:
    caches = LEVELS[:-1]
    if not sizes:
        return caches[place] if place < len(caches) else None
    return next((name for name in caches if plateau.last_bytes <= _BEYOND * sizes.get(name, 0)), None)
