"""Which parameters decide whether a trial is among the best: PED-ANOVA."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from archcost.report.study.facts import thinned
from archcost.units import counted_words, grouped

FEWEST: Final = 10
"""Complete trials below which nothing is said of a parameter."""

ROUGH: Final = 50
"""Complete trials below which the best tenth has fewer than five: what is said is rough."""


MOST: Final = 4000
"""Trials that parameters are judged from, all groups of parameters together: optuna copies each, half a millisecond."""


@dataclass(frozen=True, slots=True)
class Importance:
    """How much a parameter decides: for each objective its share of what all parameters do, none if `why` says so.

    trials: complete ones that have it; judged: how many of them it was judged from, evenly spread over all.
    """

    name: str
    trials: int
    shares: tuple[float, ...]
    judged: int
    why: str = ""


def importances(every: Sequence[FrozenTrial]) -> tuple[Importance, ...]:
    """Return every parameter's importance for each objective of a study, the most important first.

    It is how far the best tenth's values of a parameter differ from all trials' (Watanabe et al. 2023, PED-ANOVA, which
    optuna computes for values that are the better the smaller, as archcost stores all). A parameter that only some
    trials have, as one of a template's own, is judged among those.
    """
    complete = [each for each in every if each.state is TrialState.COMPLETE and each.values]
    divergences: dict[str, tuple[float, ...]] = {}
    known: dict[str, Importance] = {}
    groups = list(_together(complete))
    for names, trials in groups:
        some = thinned(trials, max(FEWEST, MOST // len(groups)))
        known |= {name: Importance(name, len(trials), (), len(some), _unfit(name, trials)) for name in names}
        divergences |= _divergences([name for name in names if not known[name].why], some)
    totals = [math.fsum(each) for each in zip(*divergences.values(), strict=True)]
    for name, each in divergences.items():
        shares = tuple(one / total if total > 0 else 0.0 for one, total in zip(each, totals, strict=True))
        known[name] = replace(known[name], shares=shares)
    return tuple(sorted(known.values(), key=lambda each: (-max(each.shares, default=-1.0), each.name)))


def _together(complete: Sequence[FrozenTrial]) -> Iterator[tuple[list[str], list[FrozenTrial]]]:
    """Yield the parameters that the very same trials have, with these trials."""
    having: dict[str, list[int]] = {}
    for place, each in enumerate(complete):
        for name in each.params:
            having.setdefault(name, []).append(place)
    same: dict[tuple[int, ...], list[str]] = {}
    for name, places in having.items():
        same.setdefault(tuple(places), []).append(name)
    for key, names in same.items():
        yield names, [complete[place] for place in key]


def _unfit(name: str, trials: Sequence[FrozenTrial]) -> str:
    if len(trials) < FEWEST:
        return f"{counted_words(len(trials), 'complete trial')} with it; at least {grouped(FEWEST)} are needed"
    first = trials[0].params[name]
    same = all(type(each.params[name]) is type(first) and each.params[name] == first for each in trials)
    return "all trials have the same value of it" if same else ""


def _divergences(names: Sequence[str], trials: Sequence[FrozenTrial]) -> Mapping[str, tuple[float, ...]]:
    if not names:
        return {}
    alone = _alone(names, trials)
    evaluator = PedAnovaImportanceEvaluator()
    found: dict[str, list[float]] = {name: [] for name in names}
    with warnings.catch_warnings():  # that low targets are taken to be good, which they are
        warnings.simplefilter("ignore")
        for place in range(len(trials[0].values)):
            each = get_param_importances(
                alone, evaluator=evaluator, params=list(names), target=_value(place), normalize=False
            )
            for name in names:
                found[name].append(float(each[name]))
    return {name: tuple(each) for name, each in found.items()}


def _value(place: int) -> Callable[[FrozenTrial], float]:
    return lambda trial: float(trial.values[place])


def _alone(names: Sequence[str], trials: Sequence[FrozenTrial]) -> optuna.Study:
    """Return a study in memory of these trials, with these parameters alone."""
    study = optuna.create_study(directions=["minimize"] * len(trials[0].values))
    study.add_trials(
        optuna.trial.create_trial(
            values=each.values,
            params={name: each.params[name] for name in names},
            distributions={name: each.distributions[name] for name in names},
        )
        for each in trials
    )
    return study
