"""The pace of a training: when its epoch will be over, and whether the time limit waits."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from archcost.study.workers.messages import Event, Resumed, Trained

LATE_S: Final = 30.0
"""How long after the time limit an epoch may end that was under way."""


@dataclass(slots=True)
class Pace:
    """The epochs of one training of `epochs`, by what is told of them; times on a monotonic clock.

    since: when the epoch under way began; took_s: what the one before took, None if none is over; kept_at: when the
    last checkpoint was written, None if none was.
    """

    epochs: int
    since: float = field(default_factory=time.monotonic)
    took_s: float | None = None
    kept_at: float | None = None

    def hear(self, event: Event, now: float) -> None:
        """Take what was told of the training."""
        match event:
            case Trained() if event.seconds:
                self.since, self.took_s = now, event.seconds
                if event.kept and event.epoch < self.epochs:  # what ends soon need not go on from there
                    self.kept_at = now
            case Resumed():
                self.since = now
            case _:
                pass

    def waits(self, deadline: float, now: float) -> bool:
        """Return whether a training goes on at a moment after the deadline: to the next checkpoint, if that is near."""
        if self.took_s is None or (self.kept_at is not None and self.kept_at >= deadline):
            return False
        return max(now, self.since + self.took_s) < deadline + LATE_S
