"""A network in four ways: untouched, timed inside, and both with nodes that cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import cycle
from typing import Final, NamedTuple

from archcost.latency.layers.rounds import Round, Run, Told
from archcost.latency.player import Here, Instruments, Timer, once
from archcost.latency.runtimes import Prepared

_AGAIN: Final = 2  # calls of a fresh copy that are no samples


class Sides(NamedTuple):
    """One copy of a network, ready to be run in each way.

    events: what a call that is timed inside writes down; watching: the context in which it does; read: makes of what
    one call wrote the seconds of each part.
    """

    whole: Prepared
    timed: Prepared
    idle: Prepared
    idle_timed: Prepared
    events: list[float]
    watching: Callable[[], AbstractContextManager[object]]
    idle_watching: Callable[[], AbstractContextManager[object]]
    read: Callable[[Sequence[float]], dict[str, float]]
    idle_read: Callable[[Sequence[float]], dict[str, float]]


class _Side(NamedTuple):
    """A network untouched and timed inside, with what the latter takes."""

    whole: Prepared
    timed: Prepared
    watching: Callable[[], AbstractContextManager[object]]
    read: Callable[[Sequence[float]], dict[str, float]]


class Staged:
    """A network that runs in the four ways, each time a fresh copy of it if there is one."""

    def __init__(
        self, sides: Sides, again: Callable[[], Sides | None], instruments: Instruments, *, keeps: int = 0
    ) -> None:
        self._again, self._instruments, self._keeps = again, instruments, keeps
        self._order = cycle((False, True, True, False))  # over rounds too: one may have a single call of each
        self._kept: list[Sides] = []  # their memory is not given to the next one
        self._begin(sides)

    def _begin(self, sides: Sides) -> None:
        self._kept = [*self._kept, sides][-1 - self._keeps :]
        self._events = sides.events
        self._real = _Side(sides.whole, sides.timed, sides.watching, sides.read)
        self._idle = _Side(sides.idle, sides.idle_timed, sides.idle_watching, sides.idle_read)

    def warm(self, time_s: float) -> float:
        """Run it until its level lasts, then each way; return the seconds of one call of each together."""
        Here(self._real.whole._replace(again=None), self._instruments).warm(time_s)
        self._run_again()
        begun = self._instruments.clock()
        self.round(1)
        return self._instruments.clock() - begun

    def renew(self) -> bool:
        """Go on with a fresh copy; return whether there is one."""
        fresh = self._again()
        if fresh is None:
            return False
        self._begin(fresh)
        self._run_again()
        return True

    def round(self, size: int) -> Round:
        """Run untouched and timed by turns, each first every other time; then what costs nothing likewise."""
        return Round(*self._turns(self._real, size), *self._turns(self._idle, size))

    def told(self) -> Told:
        """Return how often the clock is read in a call."""
        self._timed(self._idle, self._instruments.timer)
        return Told(None, (len(self._events) + 1) // 2)

    def _turns(self, side: _Side, size: int) -> tuple[list[float], list[Run]]:
        timer = self._instruments.timer
        once(side.whole, timer)  # no sample: it alone pays for the pause, or for what ran before
        whole_s: list[float] = []
        taken: list[tuple[float, list[float]]] = []
        for _ in range(size):
            first = next(self._order)
            if first:
                taken.append(self._timed(side, timer))
            whole_s.append(once(side.whole, timer))
            if not first:
                taken.append(self._timed(side, timer))
        return whole_s, [Run(total_s, side.read(events)) for total_s, events in taken]  # read now: not between calls

    def _timed(self, side: _Side, timer: Timer) -> tuple[float, list[float]]:
        self._events.clear()
        with side.watching():
            total_s = once(side.timed, timer)
        return total_s, self._events.copy()

    def _run_again(self) -> None:
        self._real, self._idle = (self._settled(side) for side in (self._real, self._idle))

    def _settled(self, side: _Side) -> _Side:
        """Run a side twice in both ways; from the first call on something else may be what is timed."""
        for _ in range(_AGAIN):
            once(side.whole, self._instruments.timer)
            whole = side.whole.then() if side.whole.then else side.whole
            self._timed(side, self._instruments.timer)
            timed = side.timed.then() if side.timed.then else side.timed
            side = side._replace(whole=whole, timed=timed)
        return side
