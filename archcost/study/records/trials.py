"""The typed view of the trials in a study's storage: written and read here alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cache
from itertools import count, takewhile
from math import isfinite
from typing import Any, Final, Literal, TypeAlias

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from pydantic import TypeAdapter, ValidationError

from archcost.errors import InputError, Mistake
from archcost.latency.samples import Samples
from archcost.latency.statistics import median
from archcost.nets.export.quantisation.spec import FloatLayer
from archcost.profiling.budget import Budget
from archcost.search.domains import Point
from archcost.search.points import PREFIX, Unwanted
from archcost.study.objectives import quantity_of
from archcost.study.records.names import Way
from archcost.study.records.reasons import Kept, Reason
from archcost.training.score import Score
from archcost.units import data_size, duration, grouped

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
class InWay:
    """What a network of a trial is in one of the ways that its study names.

    score: as it is quantised for that way, None in a way that quantises nothing; reason: why it has no point there;
    float_layers: those that are in float32 in its file of 8 bits; why: what is known of them, with the numbers that
    decided, of the whole network or column; earlier versions kept nothing.
    """

    memory_bytes: int
    weights_bytes: int
    score: Score | None = None
    reason: Kept = None
    float_layers: tuple[str, ...] = ()
    why: tuple[FloatLayer, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One network of a trial: the whole one, column 0, or a column of it (1 = shallowest) with shared weights.

    samples: one for each setup in which the study measures, in its order, but for those at the places of `skipped`, in
    which it does not run; weights_bytes: of parameters and buffers, None of a network that an earlier version kept;
    memory_bytes, weights_bytes: in the first way of the study; ways: of one that names ways, what it is in each.
    """

    column: int
    digest: str
    params: int
    macs: int
    memory_bytes: int
    score: Score | None = None
    samples: tuple[Samples, ...] = ()
    weights_bytes: int | None = None
    ways: tuple[InWay, ...] = ()
    skipped: tuple[int, ...] = ()

    @property
    def measured(self) -> Mapping[int, Samples]:
        """Its samples by the place of their setup."""
        return placed(self.samples, self.skipped)

    def in_way(self, way: Way) -> Part:
        """Return it as it is in one way: with the score, the bytes and the samples that it has there.

        Its samples are then those of its latencies, in the order of the objectives, up to one that is missing.
        """
        taken = in_order(self.measured, way.places)
        if not self.ways:
            return replace(self, samples=taken, skipped=())
        here = self.ways[way.number]
        score = here.score if way.quantised else self.score
        found = replace(self, memory_bytes=here.memory_bytes, weights_bytes=here.weights_bytes, score=score)
        return replace(found, samples=taken, ways=(), skipped=())

    def missing(self, way: Way) -> Reason | None:
        """Return why it has no point in a way, None if nothing is known of that."""
        return self.ways[way.number].reason if self.ways else None


def placed(samples: Sequence[Samples], skipped: Collection[int]) -> dict[int, Samples]:
    """Return samples by the places of their setups, of which some were skipped."""
    places = (place for place in count() if place not in skipped)
    return dict(zip(places, samples, strict=False))


def in_order(measured: Mapping[int, Samples], places: Sequence[int]) -> tuple[Samples, ...]:
    """Return the samples at places in their order, up to one that is missing."""
    return tuple(measured[place] for place in takewhile(measured.__contains__, places))


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
    def fate(self) -> str:
        """Its state, but of one that was interrupted or refused, which for Optuna has failed, that."""
        kind = self.reason.kind if self.reason else ""
        return kind if kind in ("interrupted", "refused") else self.state


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def begin(trial: optuna.trial.Trial, begun: Begun) -> None:
    """Keep what is known of a trial before it runs."""
    trial.set_user_attr(f"{PREFIX}begun", asdict(begun))


def reach(
    trial: optuna.trial.Trial, epoch: int, values: Sequence[float], columns: Sequence[Sequence[float]] = ()
) -> None:
    """Keep the stored values a trial has at a rung, and those of its columns and other ways."""
    if columns:  # first: who reads the rung finds them
        trial.set_user_attr(f"{_COLUMNS}{epoch}", list(map(list, columns)))
    trial.set_user_attr(f"{_RUNG}{epoch}", list(values))


def writes(trial: optuna.trial.Trial, training: str = "") -> None:
    """Keep that a trial is about to run, and will write the file of its weights.

    training: what its checkpoint is of.
    """
    trial.set_user_attr(f"{PREFIX}training", training)
    trial.set_user_attr(f"{PREFIX}writes", True)


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


def give_up(study: optuna.Study, trial: optuna.trial.Trial, kind: Unwanted, text: str) -> None:
    """Tell a trial FAIL that shall not run and does not count."""
    fail(study, trial, Ended(reason=Reason(kind, text), counts=False))


def _told(
    study: optuna.Study, trial: optuna.trial.Trial, ended: Ended, state: TrialState, values: list[float] | None
) -> bool:
    """End a trial: the one place where that is done, and once. Return whether it ended now.

    What has ended stays as it is; where it ended otherwise than it is told, that is logged.
    """
    kept = asdict(ended)
    if not _now(study, trial).state.is_finished():
        try:
            trial.set_user_attr(f"{PREFIX}ended", kept)
            study.tell(trial, values, state)
        except UpdateFinishedTrialError:  # another process was faster
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
        trial = ended.get(frozen.number) or typed(frozen)
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
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
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


def achieved(part: Part, objectives: Sequence[tuple[str, int | None]]) -> tuple[float, ...]:
    """Return the stored values of a part; objectives: names, and of a latency the place of its way among the samples.

    A value that is not known is not finite: it never enters.
    """
    return tuple(quantity_of(name).stored(_value(part, name, way)) for name, way in objectives)


def counted(part: Part, name: str) -> int | None:
    """Return the value of an objective that is a count, exactly; None of one that is measured or learnt."""
    return {"params": part.params, "macs": part.macs, "memory": part.memory_bytes}.get(name)


def _value(part: Part, name: str, way: int | None) -> float:
    if (exactly := counted(part, name)) is not None:
        return float(exactly)
    match name:
        case "latency":
            assert way is not None
            return median(part.samples[way].samples_s) if way < len(part.samples) else float("nan")
        case _:
            found = part.score.value(quantity_of(name).name) if part.score else None
            return float("nan") if found is None else float(found)


def over(part: Part, limits: Budget | None) -> Reason | None:
    """Return which limits a network exceeds in the way that a part is of, None if it keeps to all that are known.

    part: as `Part.in_way` gives it. A latency is over its limit if any of its ways to measure is.
    """
    allowed = limits.limits() if limits else {}
    has: list[tuple[str, float | None, Callable[[float], str]]] = [
        ("params", part.params, lambda value: grouped(round(value))),
        ("macs", part.macs, lambda value: grouped(round(value))),
        ("memory", part.memory_bytes, lambda value: data_size(round(value))),
        ("weights", part.weights_bytes, lambda value: data_size(round(value))),
        *(("latency", median(each.samples_s), duration) for each in part.samples),
    ]
    for name, value, words in has:
        if name in allowed and value is not None and value > allowed[name]:
            return Reason("limit", f"limits: {name} {words(value)}; allowed: {words(allowed[name])}", name)
    return None


def remember(study: optuna.Study, key: str, value: object) -> None:
    """Keep something of the study itself: what is learned after a trial has ended."""
    study.set_user_attr(f"{PREFIX}{key}", json.loads(json.dumps(value)))


def remembered(study: Recorded, key: str) -> Any:  # noqa: ANN401  # JSON
    """Return what was kept of the study under a key, None if nothing was."""
    return study.user_attrs.get(f"{PREFIX}{key}")
