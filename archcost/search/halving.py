"""Successive halving for several objectives: who goes on at a rung, decided at once.

No trial waits for another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from archcost.search.pareto import Values, crowding, ranks


def goes_on(values: Values, passed: Sequence[Values], share: float) -> bool:
    """Return whether a trial is among the best share of those that have come to a rung so far, itself included.

    values: its objectives at the rung, minimised; passed: those of all that came before, whether they went on or not.
    The order is NSGA-II's: by non-domination rank, then the less crowded first. A trial that none dominates goes on
    whatever the share, and one whose values are not finite never does. The single-objective rule is that of
    Li et al. 2020 (ASHA, its stopping form), which does not wait for a rung to fill.
    """
    if not all(map(math.isfinite, values)):
        return False
    everyone = [*(each for each in passed if all(map(math.isfinite, each))), values]
    found = ranks(everyone)
    mine = found[-1]
    if mine == 0:
        return True
    level = [place for place, rank in enumerate(found) if rank == mine]
    room = crowding([everyone[place] for place in level])
    better = sum(rank < mine for rank in found) + sum(each > room[-1] for each in room[:-1])
    return better + 1 <= share * len(everyone)
