"""The rounds of one network alone, as those of several are taken by turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archcost.latency.layers.rounds import Round, Stage, Taken, taken_by_turns
from archcost.latency.player import Instruments
from archcost.latency.samples import Plan
from archcost.latency.statistics import BLOCKS


def taken(stage: Stage, plan: Plan, instruments: Instruments, known: Callable[[Sequence[Round]], bool]) -> Taken:
    """Return rounds until all is known from a multiple of eight of them, or the plan's time is spent."""
    (found,) = taken_by_turns((stage,), plan, instruments, lambda each: known(each[0]), BLOCKS)
    return found
