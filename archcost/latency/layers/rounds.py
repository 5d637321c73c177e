"""Rounds in which a network runs untouched, timed inside, and with nodes that cost nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from archcost.latency.player import Instruments
from archcost.latency.samples import Plan
from archcost.latency.sampling import PAUSE_S
from archcost.latency.statistics import BLOCKS
from archcost.machine import collector_off

_BURST: Final = 0.01  # share of the plan's time for a round's calls
_BURST_LEAST_S: Final = 0.04
_FEWEST, _MOST = 3, 200  # calls of each kind in a round
_MOST_ROUNDS: Final = 2000
_RENEWING: Final = 0.5  # share of a block's time that fresh copies may take


class Run(NamedTuple):
    """One call that was timed inside: all of it, and each part of it by its key."""

    total_s: float
    parts_s: Mapping[str, float]


class Round(NamedTuple):
    """Calls next to each other: whole_s, timed from outside alone, and timed inside, which took turns.

    idle_s, idle_timed: then those whose nodes cost nothing, in the same way.
    """

    whole_s: Sequence[float]
    timed: Sequence[Run]
    idle_s: Sequence[float]
    idle_timed: Sequence[Run]


class Told(NamedTuple):
    """What a stage says of how it was attributed.

    fused: by key, the keys of the parts that ran as one, None if parts run as they are; reads: of the clock, in a call;
    notes: in words.
    """

    fused: Mapping[str, tuple[str, ...]] | None
    reads: int
    notes: tuple[str, ...] = ()


class Stage(Protocol):
    """A network that can be run in the four ways."""

    def warm(self, time_s: float) -> float:
        """Run it until it is steady, and the others too; return the seconds of one call of each together."""
        ...

    def renew(self) -> bool:
        """Go on with a fresh copy, whose memory is new; return whether there is one."""
        ...

    def round(self, size: int) -> Round:
        """Run it so many times in each way."""
        ...

    def told(self) -> Told:
        """Return what is known of it when it has run."""
        ...


class Taken(NamedTuple):
    """Rounds, and the share of their time for which a thread waited for a core; None if nothing is known of it."""

    rounds: tuple[Round, ...]
    contention: float | None


def taken_by_turns(
    stages: Sequence[Stage],
    plan: Plan,
    instruments: Instruments,
    known: Callable[[Sequence[Sequence[Round]]], bool],
    fewest: int,
) -> tuple[Taken, ...]:
    """Return the rounds of networks, one of each next to each other, the order reversed each time.

    Each has the plan's time, and is a fresh copy in every round if copies are cheap. It ends if that time is spent, or
    earlier behind a multiple of eight rounds from which all is known; fewest: the rounds that are to fit into the time.
    Raises TargetError if a call fails.
    """
    clock, many = instruments.clock, len(stages)
    deadline = clock() + many * plan.time_s
    with collector_off():
        calls_s = [stage.warm(plan.time_s) for stage in stages]
        turns = [_Turns(stage, instruments) for stage in stages]
        left_s = (deadline - clock()) / many
        for turn, call_s in zip(turns, calls_s, strict=True):
            turn.plan(call_s, left_s, plan.time_s, fewest)
        rounds = [turn.rounds for turn in turns]
        for number in itertools.count(1):
            for turn in turns if number % 2 else turns[::-1]:
                turn.take()
            done = number % BLOCKS == 0 and known(rounds)
            if done or clock() >= deadline or number >= _MOST_ROUNDS:
                break
    return tuple(Taken(tuple(turn.rounds), _contention(turn.waits, plan.threads)) for turn in turns)


class _Turns:
    """The rounds of one network: how many calls each has, and after how many its copy is new."""

    def __init__(self, stage: Stage, instruments: Instruments) -> None:
        self._stage, self._instruments = stage, instruments
        begun = instruments.clock()
        self._renews = stage.renew()
        self._renewal_s = instruments.clock() - begun
        self._every, self._size = 0, 1
        self.rounds: list[Round] = []
        self.waits: list[tuple[float, float | None]] = []

    def plan(self, call_s: float, left_s: float, time_s: float, fewest: int) -> None:
        """Fix both, so that its rounds fit so often into the time that is left."""
        self._every = _every(self._renewal_s, left_s) if self._renews else 0
        renewing_s = self._renewal_s / self._every if self._every else 0.0
        self._size = _size(call_s, left_s / fewest - renewing_s, time_s)

    def take(self) -> None:
        """Take a round, of a fresh copy if it is time for one."""
        instruments = self._instruments
        if self._every and self.rounds and len(self.rounds) % self._every == 0:
            self._stage.renew()
        instruments.pause(PAUSE_S)
        before_s, waited_s = instruments.clock(), instruments.waited_s()
        self.rounds.append(self._stage.round(self._size))
        self.waits.append((instruments.clock() - before_s, _since(waited_s, instruments.waited_s())))


def _since(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else now - before


def _contention(waits: Sequence[tuple[float, float | None]], threads: int) -> float | None:
    known = [waited_s for _, waited_s in waits if waited_s is not None]
    wall_s = math.fsum(wall_s for wall_s, _ in waits)
    return math.fsum(known) / threads / wall_s if len(known) == len(waits) and wall_s > 0 else None


def _every(renewal_s: float, left_s: float) -> int:
    """Return after how many rounds a copy is new: each, if it takes at most half of an eighth of the time; 0: never."""
    if left_s <= 0:
        return 0
    every = max(1, math.ceil(renewal_s / (_RENEWING * left_s / BLOCKS)))
    return every if 2 * every <= BLOCKS else 0


def _size(call_s: float, block_s: float, time_s: float) -> int:
    wanted = max(_FEWEST, math.ceil(max(_BURST * time_s, _BURST_LEAST_S) / call_s))
    return min(_MOST, wanted, max(1, int(block_s / call_s)))
