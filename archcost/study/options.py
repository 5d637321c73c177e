"""How a study is run this time: what was asked for, what that means here, and where."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final, Literal, TypeAlias

from archcost.study.keys.search import Search
from archcost.study.records.database.team import Team
from archcost.study.records.mirror import Mirror

Role: TypeAlias = Literal["run", "worker"]
"""Of several processes that work on a study, one may run it, which is to show how it goes; the others are workers."""
_WORKERS: Final = 4  # by default at most: each holds a network, and the sampler knows nothing of what is under way


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is asked for; None: what the study says, or the machine suggests.

    trains, measures: only that, and only on those targets; neither: everything; anew: the front is measured by turns
    though it was.
    """

    trials: int | None = None
    time_s: float | None = None
    workers: int | None = None
    trains: bool = False
    measures: tuple[str, ...] = ()
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """How a study is run: how many trials in all, how long at most, how many at once.

    time_s: infinite if there is no limit; threads: of each trial that trains; patience_s: silence after which a trial
    is taken to hang; role: of this process among those that work on the study;
    trains: whether it trains; measures: the targets on which it measures, None for all; anew: as of `Wanted`.
    """

    trials: int
    time_s: float
    workers: int
    threads: int
    patience_s: float
    role: Role = "run"
    trains: bool = True
    measures: tuple[str, ...] | None = None
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a run works, and until when.

    deadline: on a monotonic clock; folder: for files that end with the run; weights: the folder in which trained
    weights are kept; team: who else works on the study; turned: how often members were measured by turns before it;
    mirror: where weights are kept a second time, None if nowhere.
    """

    options: Options
    deadline: float
    folder: Path
    weights: Path
    team: Team
    turned: int = 0
    mirror: Mirror | None = None


def options(wanted: Wanted, search: Search, cores: int, role: Role = "run") -> Options:
    """Return how a study is run on a machine with so many physical cores."""
    workers = wanted.workers or min(cores, _WORKERS)
    time_s = search.time if wanted.time_s is None else wanted.time_s
    threads = max(1, cores // workers)
    split = wanted.trains or bool(wanted.measures)
    return Options(
        wanted.trials or search.trials,
        inf if time_s is None else time_s,
        workers,
        threads,
        search.patience,
        role,
        wanted.trains or not split,
        wanted.measures if split else None,
        wanted.anew,
    )
