"""The typed view of what an Optuna storage holds of a study: written and read here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from math import isfinite
from typing import Any, Final, Literal, TypeAlias

import optuna
from optuna.trial import FrozenTrial, TrialState
from pydantic import TypeAdapter, ValidationError

from archcost.domains import Point
from archcost.errors import InputError, Mistake
from archcost.estimates import median
from archcost.jobs import Score
from archcost.measured import Samples
from archcost.objectives import QUANTITIES

PREFIX: Final = "archcost:"
INTERRUPTED: Final = "interrupted; its point was asked for again"
State: TypeAlias = Literal["complete", "pruned", "failed", "running", "waiting"]

_STATES: Final[dict[TrialState, State]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One network of a trial: the whole one, column 0, or a column of it (1 = shallowest) with shared weights.

    samples: one for each way in which the study measures, in its order.
    """

    column: int
    digest: str
    params: int
    macs: int
    memory_bytes: int
    score: Score | None = None
    samples: tuple[Samples, ...] = ()


@dataclass(frozen=True, slots=True)
class Begun:
    """What is known of a trial before it runs: where its point came from and the network it stands for, as YAML."""

    origin: str
    name: str
    family: str
    yaml: str
    identity: str
    """Of graph, recipe, training and data: equal for trials that would train the same."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a trial gave; reason: why it ended early, '' where it did not; counts: whether it is one of the trials."""

    parts: tuple[Part, ...] = ()
    reason: str = ""
    counts: bool = True
    repeats: int | None = None
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial of a study, whatever its state; since, until: by the clock of the machine that ran it, zone not known."""

    number: int
    state: State
    point: Point
    values: tuple[float, ...]
    begun: Begun | None
    rungs: Mapping[int, tuple[float, ...]]
    ended: Ended | None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def reason(self) -> str:
        """Why it ended early, '' where it did not."""
        return self.ended.reason if self.ended else ""

    @property
    def fate(self) -> str:
        """Its state, but of one that was interrupted, which for Optuna has failed, that."""
        return "interrupted" if self.reason == INTERRUPTED else self.state


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def begin(trial: optuna.trial.Trial, begun: Begun) -> None:
    """Keep what is known of a trial before it runs."""
    trial.set_user_attr(f"{PREFIX}begun", asdict(begun))


def reach(trial: optuna.trial.Trial, epoch: int, values: Sequence[float]) -> None:
    """Keep the stored values a trial has at a rung."""
    trial.set_user_attr(f"{PREFIX}rung:{epoch}", list(values))


def end(study: optuna.Study, trial: optuna.trial.Trial, ended: Ended, values: Sequence[float] | None) -> None:
    """Tell a trial: COMPLETE with values, else PRUNED; what is not finite never enters."""
    if values is not None and not all(isfinite(value) for value in values):
        fail(study, trial, Ended(ended.parts, "its result is not finite", ended.counts, seconds=ended.seconds))
        return
    trial.set_user_attr(f"{PREFIX}ended", asdict(ended))
    if values is None:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, list(values))


def fail(study: optuna.Study, trial: optuna.trial.Trial, ended: Ended) -> None:
    """Tell a trial FAIL, with its reason."""
    trial.set_user_attr(f"{PREFIX}ended", asdict(ended))
    study.tell(trial, state=TrialState.FAIL)


def read(study: optuna.Study, ended: dict[int, Trial]) -> tuple[Trial, ...]:
    """Return every trial, oldest first; raises InputError where one was not written by this archcost.

    ended: the caller's memory of trials that have ended, which never change: they are read once.
    """
    found = []
    for frozen in study.get_trials(deepcopy=False):
        trial = ended.get(frozen.number) or typed(frozen)
        if frozen.state.is_finished():
            ended[frozen.number] = trial
        found.append(trial)
    return tuple(found)


def typed(frozen: FrozenTrial) -> Trial:
    """Return one trial; raises InputError where it is not archcost's."""
    attributes = frozen.user_attrs
    rungs = {
        int(key.removeprefix(f"{PREFIX}rung:")): tuple(map(float, value))
        for key, value in attributes.items()
        if key.startswith(f"{PREFIX}rung:")
    }
    try:
        begun, ended = (
            _adapter(kind).validate_python(attributes[key]) if (key := f"{PREFIX}{name}") in attributes else None
            for name, kind in (("begun", Begun), ("ended", Ended))
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(Mistake(f"trial {frozen.number} is not archcost's: {where}: {first['msg']}")) from None
    values = tuple(frozen.values) if frozen.state is TrialState.COMPLETE and frozen.values else ()
    state, dates = _STATES[frozen.state], (frozen.datetime_start, frozen.datetime_complete)
    return Trial(frozen.number, state, dict(frozen.params), values, begun, rungs, ended, *dates)


def achieved(part: Part, objectives: Sequence[tuple[str, int | None]]) -> tuple[float, ...]:
    """Return the stored values of a part; objectives: names, and of a latency the place of its way among the samples.

    A value that is not known is NaN.
    """
    return tuple(QUANTITIES[name].stored(_value(part, name, way)) for name, way in objectives)


def counted(part: Part, name: str) -> int | None:
    """Return the value of an objective that is a count, exactly; None of one that is measured or learnt."""
    return {"params": part.params, "macs": part.macs, "memory": part.memory_bytes}.get(name)


def _value(part: Part, name: str, way: int | None) -> float:
    if (count := counted(part, name)) is not None:
        return float(count)
    match name:
        case "latency":
            assert way is not None
            return median(part.samples[way].samples_s) if way < len(part.samples) else float("nan")
        case _:
            found = getattr(part.score, name, None)
            return float("nan") if found is None else float(found)


def remember(study: optuna.Study, key: str, value: object) -> None:
    """Keep something of the study itself: what is learned after a trial has ended."""
    study.set_user_attr(f"{PREFIX}{key}", json.loads(json.dumps(value)))


def remembered(study: optuna.Study, key: str) -> Any:  # noqa: ANN401  # JSON
    """Return what was kept of the study under a key, None where nothing was."""
    return study.user_attrs.get(f"{PREFIX}{key}")
