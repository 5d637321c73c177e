"""Successive halving for several objectives: who goes on at a rung, decided at once.

No trial waits for another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

from archcost.search.pareto import Values, crowding, ranks

SHARE: Final = 1 / 3
"""Of the trials that come to a rung, those that go on, where nothing else is said."""
_FEWEST: Final = 5

Parts: TypeAlias = Sequence[Values]
"""The objectives of each network that one training gives: the whole one first, then its columns."""


def fewest(share: float) -> int:
    """Return how many trials come to a rung before one may end there: 1/share, and five at least."""
    return max(_FEWEST, math.ceil(1 / share))


def goes_on(parts: Parts, passed: Sequence[Parts], share: float) -> bool:
    """Return whether a trial is among the best share of those that have come to a rung so far, itself included.

    parts: the objectives of its networks at the rung, minimised; passed: those of all trials that came before, whether
    they went on or not. All networks of all trials are put in NSGA-II's order: by non-domination rank, then the less
    crowded first; a trial has the place of the best of its own. One with a network that none dominates goes on whatever
    the share, as do all until `fewest(share)` have come; one without a network of finite values never does. The
    single-objective rule is that of Li et al. 2020 (ASHA, its stopping form), which does not wait for a rung to fill.
    """
    mine, before = _finite(parts), [each for each in map(_finite, passed) if each]
    if not mine:
        return False
    if len(before) + 1 < fewest(share):
        return True
    *others, place = _places([*before, mine])
    return place[0] == 0 or sum(each < place for each in others) + 1 <= share * (len(before) + 1)


def _finite(parts: Parts) -> list[Values]:
    return [each for each in parts if all(map(math.isfinite, each))]


def _places(trials: Sequence[Parts]) -> list[tuple[int, float]]:
    """Return the place of each trial in the order: the rank of its best network, and the room around it, negative."""
    everyone = [values for parts in trials for values in parts]
    levels = ranks(everyone)
    places = [(0, 0.0)] * len(everyone)
    for rank in set(levels):
        level = [at for at, each in enumerate(levels) if each == rank]
        for at, room in zip(level, crowding([everyone[at] for at in level]), strict=True):
            places[at] = (rank, -room)
    left = iter(places)
    return [min(next(left) for _ in parts) for parts in trials]
