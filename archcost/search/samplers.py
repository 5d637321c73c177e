"""Points that Optuna's samplers propose for a trial, before any is written."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias, assert_never

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from archcost.search.domains import Domain, Draw, Point, Scalar, contains
from archcost.search.points import distribution, meant

Name: TypeAlias = Literal["tpe", "nsga2", "random", "grid"]


def sampler(name: Name, seed: int, trials: int, *, alone: bool) -> BaseSampler:
    """Return Optuna's sampler of a name; trials: how many the study shall have; alone: no other trial is running.

    The grid's points are drawn by who asks for them: Optuna's grid knows no conditional parameters.
    """
    match name:
        case "tpe":
            with _experimental():  # `group` is, since 2.8; conditional spaces need it
                return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=not alone)
        case "nsga2":
            return NSGAIISampler(seed=seed, population_size=min(50, max(10, trials // 5)))
        case "random" | "grid":
            return RandomSampler(seed=seed)
        case _:
            assert_never(name)


_ONE: Final = threading.Lock()


@contextmanager
def _experimental() -> Iterator[None]:
    """Let Optuna make what it calls experimental without a word; filters are the process's, so one thread at a time."""
    with _ONE, warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def propose(study: optuna.Study, trial: FrozenTrial, by: BaseSampler, draw: Draw) -> Point:
    """Return a point that a sampler proposes for a trial that has none yet; asked again, it proposes another."""
    together = by.sample_relative(study, trial, by.infer_relative_search_space(study, trial))
    point: Point = {}

    def pick(name: str, domain: Domain) -> Scalar:
        value = meant(domain, together[name]) if name in together else None
        if name not in together or not contains(domain, value):
            value = meant(domain, by.sample_independent(study, trial, name, distribution(domain)))
        point[name] = value
        return value

    draw(pick)
    return point
