"""The search of a study as a sampler for any study of Optuna's."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, final

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from archcost.search.ask import Method, Question, choosing, chosen, one_thread
from archcost.search.domains import Domain, at_random, contains
from archcost.search.optuna_studies.parameters import Table, only, parameter
from archcost.search.optuna_studies.structure import Row, learn, space
from archcost.search.points import Seen, minimised, signs

_HUGE: Final = 1e150
"""Beyond this a value is as good or bad as any: differences of the largest numbers there are would be infinite."""


@final
class ParetoSampler(BaseSampler):
    """archcost's search for any Optuna study: `optuna.create_study(sampler=archcost.ParetoSampler())`.

    The first seven points are spread over the space; after that those are chosen that are expected to push the front
    out most, or, with a single objective, to be better than the best. No point is proposed twice, unless all are known.

    Which parameters there are, and which depend on the values of others, is learnt from the trials in the storage,
    read once for each trial; nothing else is kept. A parameter that is met for the first time is drawn at random.
    Trials that failed, were pruned, gave what is not finite or broke a constraint (`trial.set_constraint`) gave
    nothing: points like them are proposed less often.

    seed: what is random follows from it and the trial's number, so that a study that is loaded again does not repeat
    its points; None: drawn anew.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = _anew() if seed is None else seed

    def reseed_rng(self) -> None:
        """Draw another seed, as Optuna asks for with `n_jobs` above 1."""
        self._seed = _anew()

    def infer_relative_search_space(
        self,
        study: optuna.Study,
        trial: FrozenTrial,  # noqa: ARG002  # Optuna's signature
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that trials had so far, each with its newest distribution."""
        return _known(_trials(study))

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the values of a point; parameters that depend on others are there if the point has them."""
        trials = _trials(study)
        hidden = _known(trials).keys() - search_space.keys()  # another sampler has them
        others = _read((each for each in trials if each.number != trial.number), signs(study), hidden)
        if not search_space or not others.rows:
            return {}
        draw = space(learn(others.rows), dict(_given(others.table, trial)))
        chance = random.Random(f"{self._seed}:{trial.number}")
        method = Method("random", local=True)
        with one_thread():
            point, _ = chosen(Question(study, trial, others.begun, choosing(trial, trials), draw, method, chance))
        parameters = (each for held in others.table.values() for each in held if each.label in point)
        return {each.name: each.outside(point[each.label]) for each in parameters if each.name in search_space}

    def sample_independent(
        self,
        study: optuna.Study,  # noqa: ARG002  # Optuna's signature
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401  # a choice may be anything
        """Return a random value of a parameter that no other trial had so far, or not with these values of others."""
        found = parameter({}, param_name, param_distribution)
        return found.outside(at_random(found.domain, random.Random(f"{self._seed}:{trial.number}:{param_name}")))


def _anew() -> int:
    return random.SystemRandom().getrandbits(64)


def _trials(study: optuna.Study) -> Sequence[FrozenTrial]:
    """Return a study's trials as they were when its newest one began; Optuna's samplers share this one reading."""
    return study._get_trials(deepcopy=False, use_cache=True)


def _known(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    found: dict[str, BaseDistribution] = {}
    for trial in reversed(trials):
        if trial.state.is_finished():
            found |= {name: each for name, each in trial.distributions.items() if name not in found}
    return {name: each for name, each in found.items() if not each.single()}


@final
@dataclass(frozen=True, slots=True)
class _Others:
    """The other trials: those that have begun, what those that ended say of the structure, and all parameters."""

    begun: tuple[Seen, ...]
    rows: tuple[Row, ...]
    table: Table


def _read(trials: Iterable[FrozenTrial], ways: Sequence[float], hidden: Collection[str]) -> _Others:
    """Return what is known of trials; hidden: names of parameters to leave out."""
    table: Table = {}
    begun, rows = [], []
    for trial in trials:
        found = [parameter(table, name, each) for name, each in trial.distributions.items() if name not in hidden]
        point = {each.label: each.inside(trial.params[each.name]) for each in found}
        if not point:
            continue
        values = tuple(min(_HUGE, max(-_HUGE, value)) for value in minimised(trial, ways))
        begun.append(Seen(point, {each.label: each.domain for each in found}, trial.state, values))
        if trial.state.is_finished():
            rows.append(Row(point, {each.label: each for each in found}))
    return _Others(tuple(begun), tuple(rows), table)


def _given(table: Table, trial: FrozenTrial) -> Iterator[tuple[str, Domain]]:
    """Yield the domains of parameters that have a value before any is chosen: those of a trial that was enqueued."""
    for name, value in trial.system_attrs.get("fixed_params", {}).items():
        for each in table.get(name, ()):
            with suppress(ValueError):  # no choice of this one
                if contains(each.domain, inside := each.inside(value)):
                    yield each.label, only(each.domain, inside)
