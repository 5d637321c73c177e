"""The typed view of the trials in a study's storage: written and read here alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cache
from math import isfinite
from typing import Any, Final, Literal, TypeAlias

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from pydantic import TypeAdapter, ValidationError

from archcost.errors import InputError, Mistake
from archcost.latency.bursts import as_texts
from archcost.search.domains import Point
from archcost.search.points import PREFIX, Unwanted, Written, write
from archcost.study.records.part import Part
from archcost.study.records.reasons import Kept, Reason

_RUNG: Final = f"{PREFIX}rung:"
_COLUMNS: Final = f"{PREFIX}columns:"  # at a rung; a storage of an earlier version has none
State: TypeAlias = Literal["complete", "pruned", "failed", "running", "waiting"]

_LOG: Final = logging.getLogger(__name__)
_STATES: Final[dict[TrialState, State]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True, slots=True)
class Held:
    """A study as it was when it was read: what is read of an `optuna.Study`, of which the storage is closed."""

    every: tuple[FrozenTrial, ...]
    user_attrs: Mapping[str, Any]

    def get_trials(self, deepcopy: bool = False) -> list[FrozenTrial]:  # noqa: ARG002  # optuna's own signature
        """Return all trials, oldest first."""
        return list(self.every)


Recorded: TypeAlias = optuna.Study | Held


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
    """What a trial gave; reason: why it ended early, None if it did not; counts: whether it is one of the trials.

    seconds: that it took; before_s: that interrupted trials took which it went on from.
    """

    parts: tuple[Part, ...] = ()
    reason: Kept = None
    counts: bool = True
    repeats: int | None = None
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    before_s: float = 0.0

    @property
    def training_s(self) -> float:
        """How long the training took that it ended, in all trials together."""
        return self.seconds + self.before_s


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
    writes: bool = False
    """Whether it began to train, and may have written the file of its weights."""
    training: str = ""
    """What its checkpoint is of, '' if it has none."""
    columns: Mapping[int, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    """Of its columns, and of its networks in other ways, the stored values at each rung; earlier versions kept none."""

    def reached(self, epoch: int) -> tuple[tuple[float, ...], ...]:
        """Return the stored values of its networks at a rung, the whole one first; none if it has not come there."""
        return (self.rungs[epoch], *self.columns.get(epoch, ())) if epoch in self.rungs else ()

    @property
    def reason(self) -> Reason | None:
        """Why it ended early, None if it did not."""
        return self.ended.reason if self.ended else None

    @property
    def why(self) -> str:
        """Why it ended early in words, '' if it did not."""
        return self.reason.text if self.reason else ""

    @property
    def counts(self) -> bool:
        """Whether it is one of the trials that were wanted: it ran, and its point was feasible."""
        return self.ended is not None and self.ended.counts

    @property
    def predicts(self) -> bool:
        """Whether a latency of one of its networks was predicted."""
        return self.ended is not None and any(part.predicted for part in self.ended.parts)

    @property
    def fate(self) -> str:
        """Its state, but of one that was interrupted or refused, which for Optuna has failed, that."""
        kind = self.reason.kind if self.reason else ""
        return kind if kind in ("interrupted", "refused") else self.state


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def begin(trial: optuna.trial.Trial, begun: Begun) -> None:
    """Keep what is known of a trial before it runs."""
    _keep(trial, {f"{PREFIX}begun": asdict(begun)})


def reach(
    trial: optuna.trial.Trial, epoch: int, values: Sequence[float], columns: Sequence[Sequence[float]] = ()
) -> None:
    """Keep the stored values a trial has at a rung, and those of its columns and other ways."""
    there = {f"{_COLUMNS}{epoch}": list(map(list, columns))} if columns else {}  # first: who reads the rung finds them
    _keep(trial, {**there, f"{_RUNG}{epoch}": list(values)})


def writes(trial: optuna.trial.Trial, training: str = "") -> None:
    """Keep that a trial is about to run, and will write the file of its weights.

    training: what its checkpoint is of.
    """
    _keep(trial, {f"{PREFIX}training": training, f"{PREFIX}writes": True})


def _keep(trial: optuna.trial.Trial, attributes: Mapping[str, object]) -> None:
    write(trial.study, trial._trial_id, Written(attributes=attributes))


def end(study: optuna.Study, trial: optuna.trial.Trial, ended: Ended, values: Sequence[float] | None) -> bool:
    """Tell a trial: COMPLETE with values, else PRUNED; what is not finite never enters. Return whether it is told."""
    if values is None:
        return _told(study, trial, ended, TrialState.PRUNED, None)
    if all(isfinite(value) for value in values):
        return _told(study, trial, ended, TrialState.COMPLETE, list(values))
    strange = Reason("not_finite", "its result is not finite")
    return fail(study, trial, replace(ended, reason=strange, repeats=None, versions={}))


def fail(study: optuna.Study, trial: optuna.trial.Trial, ended: Ended) -> bool:
    """Tell a trial FAIL, with its reason; return whether it is told."""
    return _told(study, trial, ended, TrialState.FAIL, None)


def as_kept(ended: Ended) -> dict[str, Any]:
    """Return what a trial gave as its storage keeps it, for JSON: samples as texts."""
    return asdict(replace(ended, parts=tuple(part.packed for part in ended.parts)), dict_factory=as_texts)


def give_up(study: optuna.Study, trial: optuna.trial.Trial, kind: Unwanted, text: str) -> None:
    """Tell a trial FAIL that shall not run and does not count."""
    fail(study, trial, Ended(reason=Reason(kind, text), counts=False))


def _told(
    study: optuna.Study, trial: optuna.trial.Trial, ended: Ended, state: TrialState, values: list[float] | None
) -> bool:
    """End a trial: the one place where that is done, and once. Return whether it ended now.

    What has ended stays as it is; where it ended otherwise than it is told, that is logged.
    """
    kept = as_kept(ended)
    try:
        # `study.tell` would read the trial twice more
        write(study, trial._trial_id, Written(attributes={f"{PREFIX}ended": kept}, state=state, values=values))
    except UpdateFinishedTrialError:  # it has ended before, or another process was faster
        pass
    else:
        return True
    held = _now(study, trial)
    reason = (held.user_attrs.get(f"{PREFIX}ended") or {}).get("reason")
    if (held.state, held.values, reason) != (state, values, kept["reason"]):
        words = (trial.number, held.state.name, state.name)
        _LOG.warning("trial %d ended as %s already: that it also ended as %s is dropped", *words)
    return False


def _now(study: optuna.Study, trial: optuna.trial.Trial) -> FrozenTrial:
    return study._storage.get_trial(trial._trial_id)


def read(study: Recorded, ended: dict[int, Trial]) -> tuple[Trial, ...]:
    """Return every trial, oldest first; raises InputError if one was not written by this archcost.

    ended: the caller's memory of trials that have ended, which never change: they are read once.
    """
    found = []
    for frozen in study.get_trials(deepcopy=False):
        if (trial := ended.get(frozen.number)) is None:
            trial = typed(frozen)
            if frozen.state.is_finished():
                ended[frozen.number] = trial
        found.append(trial)
    return tuple(found)


def typed(frozen: FrozenTrial) -> Trial:
    """Return one trial; raises InputError if it is not archcost's."""
    attributes = frozen.user_attrs
    rungs = {epoch: _numbers(value) for epoch, value in _at_rungs(attributes, _RUNG)}
    columns = {epoch: tuple(map(_numbers, value)) for epoch, value in _at_rungs(attributes, _COLUMNS)}
    try:
        begun, ended = (
            _adapter(kind).validate_python(attributes[key]) if (key := f"{PREFIX}{name}") in attributes else None
            for name, kind in (("begun", Begun), ("ended", Ended))
        )
    except ValidationError as error:
        every = error.errors(include_url=False)
        first = next((each for each in every if each["type"] == "value_error"), every[0])  # what was changed since
        where = ".".join(str(part) for part in first["loc"] if "[" not in str(part))  # no names of types
        raise InputError(Mistake(f"trial {frozen.number} is not archcost's: {where}: {first['msg']}")) from None
    values = tuple(map(float, frozen.values)) if frozen.state is TrialState.COMPLETE and frozen.values else ()
    state, dates = _STATES[frozen.state], (frozen.datetime_start, frozen.datetime_complete)
    wrote, training = attributes.get(f"{PREFIX}writes") is True, str(attributes.get(f"{PREFIX}training", ""))
    return Trial(
        frozen.number, state, dict(frozen.params), values, begun, rungs, ended, *dates, wrote, training, columns
    )


def _at_rungs(attributes: Mapping[str, Any], prefix: str) -> Iterator[tuple[int, Any]]:
    return ((int(key.removeprefix(prefix)), value) for key, value in attributes.items() if key.startswith(prefix))


def _numbers(value: Iterable[float]) -> tuple[float, ...]:
    return tuple(map(float, value))


def remember(study: optuna.Study, key: str, value: object) -> None:
    """Keep something of the study itself: what is learned after a trial has ended."""
    study.set_user_attr(f"{PREFIX}{key}", json.loads(json.dumps(value)))


def remembered(study: Recorded, key: str) -> Any:  # noqa: ANN401  # JSON
    """Return what was kept of the study under a key, None if nothing was."""
    return study.user_attrs.get(f"{PREFIX}{key}")
