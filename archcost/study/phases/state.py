"""A study while it runs: its trials under way, with what they have told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from archcost.search.ask import Asked
from archcost.study.drawn import Drawn
from archcost.study.records.part import Part
from archcost.study.records.stored import Stored
from archcost.study.workers.pace import Pace
from archcost.study.workers.processes import Child
from archcost.training.header import Checkpoint


@dataclass
class Running:
    """A trial under way, with what it has told so far.

    kept: where its training is kept as it goes on; passed: the values of its networks at rungs, if it was
    interrupted after them; before_s: how long it had trained before.
    """

    child: Child
    asked: Asked
    model: Drawn
    parts: list[Part]
    kept: Checkpoint
    pace: Pace
    passed: dict[int, tuple[tuple[float, ...], ...]]
    before_s: float = 0.0
    since: float = field(default_factory=time.monotonic)
    epoch: int = 0
    loss: float | None = None

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.since


@dataclass(frozen=True, slots=True)
class State:
    """What a study that runs shows: the trials under way, and what its storage holds."""

    running: tuple[Running, ...]
    stored: Stored


Watch: TypeAlias = Callable[[State], None]
Say: TypeAlias = Callable[[str], None]
