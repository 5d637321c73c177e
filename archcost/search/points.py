"""Points in an Optuna storage: their distributions, trials that have them, and writing them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, Literal, Protocol, TypeAlias, assert_never, final, runtime_checkable

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from archcost.search.domains import (
    Choice,
    Domain,
    Draw,
    Point,
    Real,
    Scalar,
    Whole,
    active,
    at_random,
    contains,
    points,
    sample,
)

PREFIX: Final = "archcost:"
"""Begins the name of everything that archcost keeps in a trial's or a study's attributes."""
GAVE_WAY: Final = f"{PREFIX}gave_way"
"""Marks a trial that left its point to another one that had it at the same moment."""
Unwanted: TypeAlias = Literal["gave_way", "enqueued"]
"""Why a trial shall not run: another worker has its point, or what was enqueued is no point."""
Key: TypeAlias = frozenset[tuple[str, str, Scalar]]
"""A point as a member of a set: 1, 1.0 and true are different values."""


_NOTHING = "\0"  # text that YAML cannot hold, so no option
_TIMES: Final = 100
"""Random points in a row that are known, after which all points are gone through: few can be left."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A trial that has a point: its domains, its state and what it gave, minimised.

    values: empty if it is not complete, breaks a constraint or gave what is not finite; key: of its point.
    """

    point: Point
    domains: dict[str, Domain]
    state: TrialState
    values: tuple[float, ...]
    key: Key = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the key once: it is asked for at every ask."""
        object.__setattr__(self, "key", key(self.point))


Memory: TypeAlias = dict[int, Seen | None]
"""What was read of the trials of one study that have ended, by their numbers; None: no point, or one left to others."""


class _StrangeError(LookupError):
    """A parameter is missing, or its value is not in the domain."""


def key(point: Point) -> Key:
    """Return a point as a member of a set."""
    return frozenset([(name, type(value).__name__, value) for name, value in point.items()])  # quicker than one by one


def distribution(domain: Domain) -> BaseDistribution:
    """Return what Optuna draws a domain's values from."""
    match domain:
        case Whole():
            return IntDistribution(domain.low, domain.last, log=domain.log, step=domain.step)
        case Real():
            return FloatDistribution(domain.low, domain.high, log=domain.log)
        case Choice():
            return CategoricalDistribution([stored(domain, option) for option in domain.options])
        case _:
            assert_never(domain)


def stored(domain: Domain, value: Scalar) -> Scalar:
    """Return a value as Optuna keeps it: as it is, but as JSON text where Optuna would take it for another option.

    Optuna compares options by `==`, by which 1, 1.0 and true are the same.
    """
    if isinstance(domain, Choice) and _alike(domain):
        return json.dumps(value)
    return value


def meant(domain: Domain, value: Scalar) -> Scalar:
    """Return the value that stands in a storage, the inverse of `stored`; what is not a domain's comes as it is."""
    if isinstance(domain, Real) and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(domain, Choice) and _alike(domain):
        return next((option for option in domain.options if json.dumps(option) == value), _NOTHING)
    return value


def _alike(domain: Choice) -> bool:
    return len(set(domain.options)) < len(domain.options)


def read_point(
    draw: Draw, params: Mapping[str, Any], missing: Callable[[str, Domain], Scalar] | None = None
) -> tuple[Point, dict[str, Domain]] | None:
    """Return a trial's point and its domains, None if it is not (or no longer) one that `draw` picks.

    missing: gives the parameters that a trial lacks; without it, such a trial has no point.
    """
    point: Point = {}
    domains: dict[str, Domain] = {}

    def pick(name: str, domain: Domain) -> Scalar:
        if name not in params and missing is not None:
            value = missing(name, domain)
        else:
            value = meant(domain, params.get(name, _NOTHING))
        if not contains(domain, value):
            raise _StrangeError(name)
        point[name], domains[name] = value, domain
        return value

    try:
        draw(pick)
    except _StrangeError:
        return None
    return point, domains


def seen(
    study: optuna.Study, trials: Iterable[FrozenTrial], draw: Draw, memory: Memory | None = None
) -> Iterator[Seen]:
    """Yield what is known of the trials that have begun and whose parameters are a point's.

    memory: the caller's, of this study and `draw`: what has ended never changes, and is read once.
    """
    ways, memory = signs(study), {} if memory is None else memory
    for trial in trials:
        if trial.number in memory:
            found = memory[trial.number]
        else:
            found = _seen(trial, draw, ways)
            if trial.state.is_finished():
                memory[trial.number] = found
        if found is not None:
            yield found


def _seen(trial: FrozenTrial, draw: Draw, ways: Sequence[float]) -> Seen | None:
    if trial.state is TrialState.WAITING or GAVE_WAY in trial.user_attrs:
        return None
    found = read_point(draw, trial.params)
    return None if found is None else Seen(*found, trial.state, minimised(trial, ways))


def signs(study: optuna.Study) -> tuple[float, ...]:
    """Return what each objective is multiplied by, so that all are minimised."""
    return tuple(-1.0 if way is StudyDirection.MAXIMIZE else 1.0 for way in study.directions)


def minimised(trial: FrozenTrial, signs: Sequence[float]) -> tuple[float, ...]:
    """Return what a trial gave, minimised.

    Empty if it is not complete, breaks a constraint or gave what is not finite.
    """
    if trial.state is not TrialState.COMPLETE or not all(map(isfinite, trial.values)):
        return ()
    if any(value > 0 for value in trial.constraints.values()):
        return ()
    return tuple(sign * value for sign, value in zip(signs, trial.values, strict=False))


def untried(draw: Draw, known: Collection[Key], chance: random.Random, *, grid: bool = False) -> Point | None:
    """Return a point at random that is not known, None if all are; grid: five values stand for a float's domain."""
    for _ in range(_TIMES):
        point = _on_grid(draw, chance) if grid else sample(draw, chance)
        if key(point) not in known:
            return point
    return next((point for point in points(draw) if key(point) not in known), None)


def _on_grid(draw: Draw, chance: random.Random) -> Point:
    def drawn(_: str, domain: Domain) -> Scalar:
        return chance.choice(domain.grid()) if isinstance(domain, Real) else at_random(domain, chance)

    return active(draw, {}, drawn)[0]


@final
@dataclass(frozen=True, slots=True)
class Written:
    """Parts of a trial: values of parameters as they are stored, with their distributions; attributes; how it ended.

    values: of the objectives, of a trial that is complete.
    """

    parameters: Mapping[str, tuple[BaseDistribution, Scalar]] = field(default_factory=dict)
    attributes: Mapping[str, object] = field(default_factory=dict)
    state: TrialState | None = None
    values: Sequence[float] | None = None


@runtime_checkable
class Together(Protocol):
    """A storage that writes parts of a trial together: all of them, or none."""

    def write_together(self, trial_id: int, what: Written) -> None:
        """Write them; raises UpdateFinishedTrialError if the trial has ended."""


def write(study: optuna.Study, trial_id: int, what: Written) -> None:
    """Write parts of a trial, one after the other where the storage knows no other way.

    Raises UpdateFinishedTrialError if the trial has ended.
    """
    storage = study._storage
    backend = getattr(storage, "_backend", storage)  # behind Optuna's cache, which holds trials that have ended alone
    if isinstance(backend, Together):
        backend.write_together(trial_id, what)
        return
    for name, (distribution, value) in what.parameters.items():
        storage.set_trial_param(trial_id, name, distribution.to_internal_repr(value), distribution)
    for key, told in what.attributes.items():
        storage.set_trial_user_attr(trial_id, key, told)
    if what.state is not None:
        storage.set_trial_state_values(trial_id, what.state, what.values)
