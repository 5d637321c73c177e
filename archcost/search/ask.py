"""The next point of a study, by Optuna's ask and tell.

Nothing is kept between two calls but what the storage holds, and what the caller remembers of trials that have ended.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Final, Literal, TypeAlias, final

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState
from threadpoolctl import ThreadpoolController

from archcost.search.domains import Domain, Draw, Point, Scalar, active, at_random, neighbours, sample
from archcost.search.local_search import apart, promising
from archcost.search.points import (
    GAVE_WAY,
    Key,
    Memory,
    Seen,
    Unwanted,
    Written,
    distribution,
    key,
    meant,
    read_point,
    seen,
    stored,
    untried,
    write,
)
from archcost.search.samplers import Name, propose, sampler

GiveUp: TypeAlias = Callable[[optuna.Study, Trial, Unwanted, str], None]
"""Ends a trial that shall not run, and says why, in words too."""
Begin: TypeAlias = Callable[[optuna.Study], Trial]
"""Begins a trial that has no point yet."""
Origin: TypeAlias = Literal["tpe", "nsga2", "random", "grid", "local", "enqueued", "repeated"]

_FIRST: Final = 7
"""Complete trials before the local search begins, which learns from them: spread, where its turn comes."""
_SAMPLER: Final = 0.05
"""How often it is the sampler's turn where the local search has others."""
_TIMES: Final = 3
"""Points that a sampler proposes before one next to its last is taken, as all of them were known."""
_CHOOSING: Final = Lock()
"""One thread chooses at a time: BLAS is the whole process's, and would be left with the one thread that another set."""


@final
@dataclass(frozen=True, slots=True)
class Method:
    """How a study searches.

    sampler: one of Optuna's, or grid, in which five values stand for a float's domain; trials: how many there shall be
    in all; local: by turns with the sampler, search around the front; None: with TPE only.
    """

    sampler: Name = "tpe"
    seed: int = 0
    trials: int = 100
    local: bool | None = None

    @property
    def around(self) -> bool:
        """Whether it searches around the front too."""
        return self.sampler == "tpe" if self.local is None else self.local


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """A trial that has begun: its point, where that came from, and what `draw` built of it.

    others: every other trial, as it was then.
    """

    trial: Trial
    point: Point
    origin: Origin
    built: object
    others: Sequence[FrozenTrial] = ()


@final
@dataclass(frozen=True, slots=True)
class Question:
    """A trial that has begun and has no point yet, and what is known of the others.

    begun: those that have a point; choosing: how many began just before and have none yet.
    """

    study: optuna.Study
    trial: FrozenTrial
    begun: Sequence[Seen]
    choosing: int
    draw: Draw
    method: Method
    chance: random.Random


def _failed(study: optuna.Study, trial: Trial, _: Unwanted, __: str) -> None:
    study.tell(trial, state=TrialState.FAIL)


def ask(
    study: optuna.Study,
    draw: Draw,
    method: Method,
    give_up: GiveUp = _failed,
    begin: Begin = optuna.Study.ask,
    memory: Memory | None = None,
) -> Asked:
    """Begin a study's next trial: one that waits, or else at a point that no other trial has.

    What is random in it follows from the method's seed and the trial's number, so that neither a restart nor another
    worker repeats it. The study's own sampler has no say. If every point is known (`exhausted`), one is repeated.

    give_up: ends a trial whose point is another one's, or none of this study; begin: begins the next trial; memory: the
    caller's, for all asks of one study, which then reads each trial once.
    """
    mine = copy.copy(study)  # several threads may ask, each with a sampler of its own
    mine.sampler = RandomSampler(seed=0)  # proposes nothing before a parameter is suggested
    while True:
        trial = begin(mine)
        trials = study.get_trials(deepcopy=False)
        frozen = next(each for each in reversed(trials) if each.number == trial.number)
        others = tuple(each for each in trials if each.number != trial.number)
        chance = random.Random(f"{method.seed}:{trial.number}")
        waited = frozen.system_attrs.get("fixed_params")
        if waited is None:
            with one_thread():
                begun = list(seen(mine, others, draw, memory))
                point, origin = chosen(Question(mine, frozen, begun, choosing(frozen, others), draw, method, chance))
            asked = Asked(trial, point, origin, _written(mine, trial, draw, point), others)
            if origin == "repeated" or not _clashes(mine, asked, draw):
                return asked
            trial.set_user_attr(GAVE_WAY, True)
            give_up(mine, trial, "gave_way", "another worker began the same point at the same moment")
        elif (found := read_point(draw, waited, partial(_drawn, chance))) is not None:
            return Asked(trial, found[0], "enqueued", _written(mine, trial, draw, found[0]), others)
        else:
            give_up(mine, trial, "enqueued", "what was enqueued is not a point of this study")


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread: on a busy machine several wait for each other at every one of many small products."""
    # made anew each time, in under a millisecond: a BLAS may be loaded between two asks. OpenMP's threads are torch's
    with _CHOOSING, ThreadpoolController().select(user_api="blas").limit(limits=1):
        yield


def exhausted(study: optuna.Study, draw: Draw, method: Method) -> bool:
    """Return whether every point of a space is known to a study, and none waits."""
    trials = study.get_trials(deepcopy=False)
    if any(each.state is TrialState.WAITING for each in trials):
        return False
    known = {each.key for each in seen(study, trials, draw)}
    return bool(known) and untried(draw, known, random.Random(0), grid=method.sampler == "grid") is None


def chosen(asked: Question) -> tuple[Point, Origin]:
    """Return a trial's point, one that no other trial has unless every point is known, and where it came from."""
    method, chance, begun = asked.method, asked.chance, asked.begun
    known = {each.key for each in begun}
    learnt = sum(bool(each.values) for each in begun)
    if method.around and learnt < _FIRST:
        if (point := apart(asked.draw, begun, known, chance)) is not None:
            return point, "random"
    elif method.around and chance.random() >= _SAMPLER:
        if best := promising(asked.draw, begun, known, chance):
            return best[min(asked.choosing, len(best) - 1)], "local"
    elif method.sampler != "grid" and (point := _sampled(asked, known)) is not None:
        return point, method.sampler
    grid = method.sampler == "grid"
    if (point := untried(asked.draw, known, chance, grid=grid)) is not None:
        return point, "grid" if grid else "random"
    return sample(asked.draw, chance), "repeated"


def _sampled(asked: Question, known: set[Key]) -> Point | None:
    """Return a new point that Optuna's sampler proposes, or one next to it; None if it finds none."""
    alone = all(each.state is not TrialState.RUNNING for each in asked.begun)
    by = sampler(asked.method.sampler, asked.chance.getrandbits(32), asked.method.trials, alone=alone)
    for _ in range(_TIMES):
        point = propose(asked.study, asked.trial, by, asked.draw)
        if key(point) not in known:
            return point
    return next((near for near in neighbours(asked.draw, point, asked.chance) if key(near) not in known), None)


def choosing(trial: FrozenTrial, others: Iterable[FrozenTrial]) -> int:
    """Return how many workers began just before and are still choosing: they take what is more promising."""
    return sum(each.state is TrialState.RUNNING and not each.params and each.number < trial.number for each in others)


def _clashes(study: optuna.Study, asked: Asked, draw: Draw) -> bool:
    """Return whether another trial that runs has the point too: workers that begin at once do not see each other."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    others = (each for each in running if each.number != asked.trial.number)
    mine = key(asked.point)
    return any(each.key == mine for each in seen(study, others, draw))


def _written(study: optuna.Study, trial: Trial, draw: Draw, point: Point) -> object:
    """Give a trial the parameters of a point and return what `draw` builds of them."""
    domains = active(draw, point, lambda name, _: point[name])[1]
    given = {name: (distribution(domain), stored(domain, point[name])) for name, domain in domains.items()}
    write(study, trial._trial_id, Written(parameters=given))
    return draw(lambda name, domain: meant(domain, given[name][1]))


def _drawn(chance: random.Random, _: str, domain: Domain) -> Scalar:
    return at_random(domain, chance)
