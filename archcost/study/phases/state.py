"""A study while it runs: its trials under way, with what they have told."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from typing import TypeAlias

import optuna

from archcost.search.ask import Asked
from archcost.search.points import Memory
from archcost.study.drawn import Drawn
from archcost.study.options import Workplace
from archcost.study.phases.foretold import Foretold
from archcost.study.plan import StudyPlan
from archcost.study.records import trials
from archcost.study.records.database.leases import Lease
from archcost.study.records.database.requests import Request, Requests
from archcost.study.records.database.team import Team
from archcost.study.records.part import Part
from archcost.study.records.stored import Stored
from archcost.study.workers.messages import Event
from archcost.study.workers.pace import Pace
from archcost.study.workers.processes import Child
from archcost.study.workers.tasks import Train
from archcost.training.header import Checkpoint


@dataclass
class Running:
    """A trial under way, with what it has told so far.

    kept: where its training is kept as it goes on; lease: by which it is this process's; passed: the values of its
    networks at rungs, if it was interrupted after them; job: its training; wanted: a request that it waits for;
    before_s: how long it had trained before.
    """

    child: Child
    asked: Asked
    model: Drawn
    parts: list[Part]
    kept: Checkpoint
    lease: Lease
    pace: Pace
    passed: dict[int, tuple[tuple[float, ...], ...]]
    job: Train | None = None
    wanted: str = ""
    before_s: float = 0.0
    since: float = field(default_factory=time.monotonic)
    epoch: int = 0
    loss: float | None = None

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.since


@dataclass
class Pending:
    """A trial whose network other processes measure, before it is trained here; job: its training.

    lacking: the requests that nobody has answered yet; given: the answers.
    """

    asked: Asked
    model: Drawn
    parts: list[Part]
    job: Train
    lease: Lease
    identity: str
    lacking: list[str]
    given: list[str] = field(default_factory=list)


@dataclass
class Serving:
    """A request of another process that this one measures now; told: what is known so far, as events."""

    request: Request
    lease: Lease
    child: Child
    told: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class State:
    """What a study that runs shows: the trials under way, and what its storage holds."""

    running: tuple[Running, ...]
    stored: Stored


Watch: TypeAlias = Callable[[State], None]
Say: TypeAlias = Callable[[str], None]


@dataclass
class Run:
    """A search that goes on in this process."""

    stored: Stored
    study: optuna.Study
    plan: StudyPlan
    place: Workplace
    context: ForkServerContext
    watch: Watch
    say: Say
    foretold: Foretold
    under_way: list[Running] = field(default_factory=list)
    in_vain: int = 0
    seen: Memory = field(default_factory=dict)
    """What the search has read of trials that have ended."""
    lease: Lease | None = None
    """That of the trial which is being begun."""
    pending: list[Pending] = field(default_factory=list)
    serving: Serving | None = None
    looked: float = -math.inf
    """When trials of other processes were last looked at, on a monotonic clock."""

    @property
    def team(self) -> Team:
        """Those who work on the study."""
        return self.place.team

    def trials(self) -> tuple[trials.Trial, ...]:
        """Return every trial of the study; those that have ended are read once."""
        return trials.read(self.study, self.stored.known)

    @property
    def requests(self) -> Requests:
        """What is to be measured by other processes."""
        return Requests(self.team.engine)
