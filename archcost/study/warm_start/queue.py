"""Known networks that wait to be tried: each is asked for once, before any other point."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from archcost.config.validation import located
from archcost.errors import InputError, Mistake, quoted
from archcost.models import published
from archcost.models.load import open_document
from archcost.search.domains import Draw, Point, active
from archcost.search.points import key, read_point, stored
from archcost.study.code import neighbours
from archcost.study.plan import StudyPlan
from archcost.study.spec import StudySpec
from archcost.study.warm_start.networks import Placed, placed


@dataclass(frozen=True, slots=True)
class Queued:
    """What was asked for: the number of the trial that has the point, and whether that is a new one, which waits."""

    trial: int
    new: bool


def read(plan: StudyPlan, files: Iterable[str]) -> list[Placed]:
    """Return the points of the networks in files, or shipped by name.

    Raises InputError with what is wrong with all of them: what cannot be read, is no network, or no point of the space.
    """
    found: list[Placed] = []
    mistakes: list[Mistake] = []
    for each in files:
        try:
            found.append(placed(plan, open_document(each)))
        except InputError as error:
            mistakes.extend(error.mistakes)
    if mistakes:
        raise InputError(*mistakes)
    return found


def starts(plan: StudyPlan) -> list[Placed]:
    """Return the points of the networks that a study tries first; raises InputError as `read` does."""
    found: list[str] = []
    for place, name in enumerate(plan.spec.study.search.start):
        if (file := _beside(plan.spec, name)) is None:
            message = f"given {quoted(name)}; allowed: a model.yaml, from the study's folder, or a shipped network"
            raise InputError(located(plan.spec.source, Mistake(message, ("search", "start", place))))
        found.append(file)
    return read(plan, found)


def _beside(spec: StudySpec, name: str) -> str | None:
    """Return a file beside a study's, or if there is none, the name of a network that ships; None if it is neither."""
    path = neighbours.beside(spec.url, name) if spec.url else Path(spec.source.file).parent / name
    if path is not None and os.path.lexists(path):
        return str(path)
    return name if name in published.names() else None


def begin(study: optuna.Study, plan: StudyPlan) -> int:
    """Ask for what a study tries first, as far as no trial has it, or had; return how many networks are new."""
    draw, new = plan.spec.space.draw, 0
    for each in starts(plan):
        if _holder(study.get_trials(deepcopy=False), draw, each.point) is None:
            _ask_for(study, draw, each.point)
            new += 1
    return new


def enqueue(study: optuna.Study, plan: StudyPlan, point: Point) -> Queued:
    """Ask for a point, unless a trial has it or waits for it; one that failed is asked for again."""
    draw, states = plan.spec.space.draw, tuple(each for each in TrialState if each is not TrialState.FAIL)
    has = _holder(study.get_trials(deepcopy=False, states=states), draw, point)
    if has is not None:
        return Queued(has.number, new=False)
    _ask_for(study, draw, point)
    made = _holder(study.get_trials(deepcopy=False)[::-1], draw, point)
    assert made is not None  # it may have begun by now, and others may have come
    return Queued(made.number, new=True)


def _holder(every: Iterable[FrozenTrial], draw: Draw, point: Point) -> FrozenTrial | None:
    """Return the first trial that has a point, or waits for it."""
    wanted = key(point)
    found = ((each, _point(each, draw)) for each in every)
    return next((each for each, other in found if other is not None and key(other) == wanted), None)


def _point(trial: FrozenTrial, draw: Draw) -> Point | None:
    """Return the point that a trial has, or waits for."""
    found = read_point(draw, {**trial.system_attrs.get("fixed_params", {}), **trial.params})
    return found[0] if found else None


def _ask_for(study: optuna.Study, draw: Draw, point: Point) -> None:
    domains = active(draw, point, lambda name, _: point[name])[1]
    study.enqueue_trial({name: stored(domain, point[name]) for name, domain in domains.items()})
