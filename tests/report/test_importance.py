"""What a study's report computes: importance of parameters, rank correlation, fewer of many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from archcost.report.study.facts import thinned
from archcost.report.study.importance import importances
from archcost.report.study.latency import spearman


def trial(values: Sequence[float], **point: Any) -> FrozenTrial:
    ranges: dict[str, BaseDistribution] = {name: FloatDistribution(0, 1) for name in point}
    if "model" in point:
        ranges["model"] = CategoricalDistribution([0, 1])
    return optuna.trial.create_trial(values=list(values), params=point, distributions=ranges)


def grid(values: Callable[[float, float], Sequence[float]]) -> list[FrozenTrial]:
    """Return trials over a grid of two parameters."""
    return [trial(values(i / 20, j / 20), a=i / 20, b=j / 20) for i in range(21) for j in range(21)]


def test_the_parameter_that_drives_an_objective_is_the_important_one() -> None:
    """Each of two objectives follows one parameter alone."""
    of = {each.name: each.shares for each in importances(grid(lambda a, b: (a, 1 - b)))}
    assert of["a"][0] > 0.95
    assert of["b"][1] > 0.95
    assert [1.0, 1.0] == pytest.approx([of["a"][place] + of["b"][place] for place in (0, 1)])


def test_importance_explains_the_good_trials_and_not_the_bad() -> None:
    """One parameter makes the best tenth, the other the worst: stored values are the better the smaller."""
    of = {
        each.name: each.shares[0] for each in importances(grid(lambda a, b: (a if a < 0.15 else 1 + 9 * (b > 0.85),)))
    }
    assert of["a"] > 0.9
    turned = importances(grid(lambda a, b: (-(a if a < 0.15 else 1 + 9 * (b > 0.85)),)))
    assert "b" == turned[0].name


def test_a_parameter_of_one_template_is_judged_among_its_trials() -> None:
    """That a template as a whole is bad does not hide which of its parameters decides inside it."""
    good = [trial((i / 100,), model=0, other=(i * 37 % 50) / 50) for i in range(50)]
    bad = [trial((5 + i / 50,), model=1, own=i / 50, noise=(i * 37 % 50) / 50) for i in range(50)]
    of = {each.name: each for each in importances([*good, *bad])}
    assert 50 == of["own"].trials
    assert of["own"].shares[0] > of["noise"].shares[0]
    assert of["own"].shares[0] > of["other"].shares[0]


def test_what_cannot_be_judged_has_a_reason() -> None:
    """Too few trials, or one value in all of them."""
    few = importances([trial((i / 9,), a=i / 9) for i in range(9)])
    assert "9 complete trials with it; at least 10 are needed" == few[0].why
    (alike,) = importances([trial((i / 20,), a=0.5) for i in range(20)])
    assert ((), "all trials have the same value of it") == (alike.shares, alike.why)


def test_spearman_equals_values_worked_out_by_hand() -> None:
    """Without ties 1 - 6 sum(d^2) / (n^3 - n); with ties Pearson's correlation of the mean ranks."""
    # the example of Spearman's coefficient in most textbooks: IQ and hours of television
    iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    assert -29 / 165 == pytest.approx(spearman(iq, hours))
    # ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: 4.5 / sqrt(4.5 * 5)
    assert 4.5 / (4.5 * 5) ** 0.5 == pytest.approx(spearman([1, 2, 2, 3], [1, 3, 2, 4]))
    assert (1.0, -1.0) == (spearman([1, 2, 3], [1, 8, 9]), spearman([1, 2, 3], [3, 2, 1]))
    assert (None, None) == (spearman([1], [1]), spearman([1, 1], [1, 2]))


def test_thinning_is_even_and_always_the_same() -> None:
    """From the first on, never more than asked for, all where there are few."""
    assert (0, 2, 4, 6, 8) == thinned(range(10), 5)
    assert (0, 1, 2) == thinned(range(3), 5)
    assert () == thinned(range(3), 0)
