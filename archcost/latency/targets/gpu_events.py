"""Timing what a GPU does after the call has returned, by events in its own queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from archcost.latency.player import Timer
from archcost.latency.runtimes import Call


class Event(Protocol):
    """A mark in a device's queue, as torch.cuda.Event and torch.mps.Event are."""

    def record(self) -> None:
        """Put the mark behind what is queued."""

    def synchronize(self) -> None:
        """Wait until the device has reached the mark."""

    def elapsed_time(self, end_event: Any) -> float:
        """Return the milliseconds from this mark to a later one."""
        ...


def timed_by_events(new: Callable[[], Event], flush: Call | None = None) -> Timer:
    """Return a timer of calls that only queue work; flush: what empties the caches, before every call and not timed.

    The queue is empty when a row of calls begins: as in one inference, what the host takes to launch counts where the
    device waits for it. So `flush` returns when the device is done with it, and `new` gives events that need not be
    made any more when they are recorded.
    """

    def row(call: Call, loops: int) -> float:
        begin, end = new(), new()
        begin.record()
        for _ in range(loops):
            call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1000

    if flush is None:
        return row
    return lambda call, loops: sum(_after(flush, row, call) for _ in range(loops))


def _after(flush: Call, row: Timer, call: Call) -> float:
    flush()
    return row(call, 1)
