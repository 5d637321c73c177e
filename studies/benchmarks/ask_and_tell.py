"""Trials of search and storage alone, by several processes: what archcost does for each, and what plain Optuna does.

Nothing trains. Each trial is begun, gets its point, has the attributes of a trial of archcost's written to it (what it
is, that it writes, two rungs, what it gave) and is told. archcost does so as its search loop does: it counts the
trials under a short lock, takes a lease, looks for the same network among all trials, reads the others at each rung,
looks whether the lease is still its own, and gives it back.

Processes are forked from one that has read the study, so that what is timed is the hundredth trial of a worker, not
its start. The parts of archcost that are used load no torch.
"""

from __future__ import annotations

import multiprocessing
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import optuna
from large_studies import EDGES, OPERATIONS, draw, values
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage

from archcost.search.ask import Method, ask
from archcost.search.points import Memory, seen
from archcost.study.records import trials
from archcost.study.records.database import storage
from archcost.study.records.database.addresses import address
from archcost.study.records.database.leases import Lease
from archcost.study.records.database.team import TRIAL, Team, joined
from archcost.study.records.trials import Begun, Ended, Trial

MULTIVARIATE: Final = "plain Optuna, TPE multivariate"
PLAIN: Final = "plain Optuna, default sampler"
DEFAULT: Final = "archcost"
SAMPLER: Final = "archcost, TPE multivariate alone"
_WORK = multiprocessing.get_context("fork")


@dataclass
class Read:
    """What a process that has worked on a study for long knows of it; last: a trial that has ended, as it was read."""

    cache: _CachedStorage
    known: dict[int, Trial]
    memory: Memory
    begun: Begun
    ended: Ended

    def handed(self, study: optuna.Study) -> None:
        """Let a study's storage know what was read of the one that it is a copy of."""
        for name in ("_studies", "_trial_id_to_study_id_and_number", "_study_id_and_number_to_trial_id"):
            setattr(study._storage, name, getattr(self.cache, name))


def read(file: Path) -> Read:
    """Return what is known of a study in a file."""
    store = storage.opened(address(str(file), Path.cwd()))
    study, known, memory = storage.find(store), {}, Memory()
    every = trials.read(study, known)
    list(seen(study, study.get_trials(deepcopy=False), draw, memory))
    storage.close(store)
    assert isinstance(study._storage, _CachedStorage)
    last = every[-1]
    assert last.begun is not None
    assert last.ended is not None
    return Read(study._storage, known, memory, last.begun, last.ended)


@dataclass
class Loop:
    """A worker of archcost's."""

    study: optuna.Study
    team: Team
    read: Read
    method: Method
    lease: Lease | None = None

    def wanted(self) -> tuple[Trial, ...]:
        """Read all trials and count them, as is done before each."""
        every = self.every()
        took = [each.ended.training_s for each in every if each.state == "complete" and each.ended]
        counted = sum(each.state in ("complete", "pruned", "failed") and each.counts for each in every)
        assert counted + sum(each.state == "running" for each in every) < 10**6
        assert len(took) <= len(every)
        return every

    def every(self) -> tuple[Trial, ...]:
        """Return all trials."""
        return trials.read(self.study, self.read.known)

    def begin(self, study: optuna.Study) -> optuna.trial.Trial:
        """Begin a trial with its lease."""
        with self.team.alone():
            self.wanted()
            trial = study.ask()
            self.lease = self.team.leases.take(f"{TRIAL}{trial.number}")
        return trial

    def trial(self) -> None:
        """Do one trial."""
        self.wanted()
        asked = ask(self.study, draw, self.method, trials.give_up, self.begin, self.read.memory)
        trial, found = asked.trial, values(asked.point)
        trials.begin(trial, Begun(asked.origin, "cell", "own", self.read.begun.yaml, f"new{trial.number}"))
        others = trials.read(trials.Held(tuple(asked.others), {}), self.read.known)
        assert not any(each.begun and each.begun.identity == f"new{trial.number}" for each in others)
        trials.writes(trial, f"new{trial.number}")
        for epoch in (1, 3):
            self.every()
            trials.reach(trial, epoch, found)
        assert self.lease is not None
        if not self.team.dropped(self.lease, "the end"):
            trials.end(self.study, trial, self.read.ended, found)
        self.team.leases.give_back(self.lease)


def by_archcost(url: str, known: Read, turn: Callable[[Callable[[], object]], object], *, local: bool) -> None:
    """Work on the study at a URL as archcost does; turn: calls what does one trial as often as is wanted."""
    where = address(url, Path.cwd())
    store = storage.opened(where)
    study = storage.find(store)
    known.handed(study)
    with joined(where, storage.engine_of(study), {}) as team:
        turn(Loop(study, team, known, Method(seed=1, trials=10**6, local=local)).trial)
    storage.close(store)


def by_optuna(url: str, known: Read, turn: Callable[[Callable[[], object]], object], *, multivariate: bool) -> None:
    """Work on the study at a URL as Optuna does by itself, with the defaults of its storage."""
    store = RDBStorage(url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        by = TPESampler(multivariate=True, group=True) if multivariate else None
    study = optuna.load_study(study_name="small", storage=store, sampler=by)
    known.handed(study)

    def one() -> None:
        trial = study.ask()
        point = {edge: trial.suggest_categorical(edge, list(OPERATIONS.options)) for edge in EDGES}
        begun = Begun("tpe", "cell", "own", known.begun.yaml, f"new{trial.number}")
        trial.set_user_attr("archcost:begun", asdict(begun))
        trial.set_user_attr("archcost:training", f"new{trial.number}")
        trial.set_user_attr("archcost:writes", True)
        for epoch in (1, 3):
            trial.set_user_attr(f"archcost:rung:{epoch}", list(values(point)))
        trial.set_user_attr("archcost:ended", trials.as_kept(known.ended))
        study.tell(trial, values(point))

    turn(one)
    store.remove_session()
    store.engine.dispose()


ARMS: Final[dict[str, Callable[[str, Read, Callable[[Callable[[], object]], object]], None]]] = {
    DEFAULT: lambda url, known, turn: by_archcost(url, known, turn, local=True),
    SAMPLER: lambda url, known, turn: by_archcost(url, known, turn, local=False),
    MULTIVARIATE: lambda url, known, turn: by_optuna(url, known, turn, multivariate=True),
    PLAIN: lambda url, known, turn: by_optuna(url, known, turn, multivariate=False),
}


def warm(url: str, known: Read) -> None:
    """Load in this process what the forked ones find loaded then."""
    for arm in ARMS.values():
        arm(url, known, lambda one: one())


@dataclass(frozen=True)
class Took:
    """What a trial took: seconds that passed, and of the processes' own processor time; lost: trials that failed."""

    wall_s: float
    cpu_s: float
    lost: int


def took(arm: str, url: str, known: Read, workers: int, count: int) -> Took:
    """Return what each of `count` trials took that so many processes share."""
    left, lost = _WORK.Value("i", count), _WORK.Value("i", 0)
    ready, last, spent = _WORK.Barrier(workers + 1), _WORK.Value("d", 0.0), _WORK.Value("d", 0.0)

    def turn(one: Callable[[], object]) -> None:
        ready.wait()
        begin_s = time.process_time()
        while _taken(left):
            while not _done(one) and lost.value < 10 * count:
                with lost.get_lock():
                    lost.value += 1
        with last.get_lock():
            last.value = max(last.value, time.monotonic())
        with spent.get_lock():
            spent.value += time.process_time() - begin_s

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    each = [_WORK.Process(target=ARMS[arm], args=(url, known, turn)) for _ in range(workers)]
    for process in each:
        process.start()
    ready.wait()
    begin = time.monotonic()
    for process in each:
        process.join()
    return Took((last.value - begin) / count, spent.value / count, lost.value)


def _done(one: Callable[[], object]) -> bool:
    try:
        one()
    except Exception:  # a locked database: what Optuna's defaults do not wait for
        return False
    return True


def _taken(left: Any) -> bool:  # noqa: ANN401  # multiprocessing has no type for it
    with left.get_lock():
        left.value -= 1
        return bool(left.value >= 0)


def memory_bytes(url: str, known: Read, count: int, every: int) -> list[int]:
    """Return the resident memory of a process of archcost's after each so many trials, `count` in all."""
    parent, child = _WORK.Pipe()

    def turn(one: Callable[[], object]) -> None:
        for number in range(1, count + 1):
            one()
            if number % every == 0:
                pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
                child.send(pages * 4096)

    process = _WORK.Process(target=ARMS[DEFAULT], args=(url, known, turn))
    process.start()
    found = []
    with suppress(EOFError):
        found = [parent.recv() for _ in range(count // every)]
    process.join()
    return found
