"""Optuna's parameters as domains: every value goes there and comes back."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from archcost.search.domains import Choice, Domain, Real, Whole, at_random, contains
from archcost.search.optuna_studies.parameters import Table, only, parameter

NAN = float("nan")


@pytest.mark.parametrize(
    ("distribution", "domain"),
    [
        (IntDistribution(3, 9), Whole(3, 9)),
        (IntDistribution(3, 9, step=2), Whole(3, 9, step=2)),
        (IntDistribution(1, 100, log=True), Whole(1, 100, log=True)),
        (FloatDistribution(-1.0, 1.0), Real(-1.0, 1.0)),
        (FloatDistribution(1e-7, 1.0, log=True), Real(1e-7, 1.0, log=True)),
        (FloatDistribution(-10.2, 10.2, step=0.1), Whole(0, 204)),
        (FloatDistribution(2.0, 2.0), Real(2.0, 2.0)),
        (CategoricalDistribution(("a", None, 1.5)), Choice((0, 1, 2))),
        (CategoricalDistribution((1, True, 1.0, "1")), Choice((0, 3))),  # a storage keeps the first of equal choices
        (CategoricalDistribution((NAN, 0)), Choice((0, 1))),
    ],
)
def test_values_go_into_a_domain_and_come_back(distribution: BaseDistribution, domain: Domain) -> None:
    """What a domain gives is one of Optuna's values, and is read as what it was."""
    made, chance = parameter({}, "x", distribution), random.Random(0)
    assert domain == made.domain
    for _ in range(100):
        value = at_random(domain, chance)
        outside = made.outside(value)
        assert distribution._contains(distribution.to_internal_repr(outside))
        assert value == made.inside(outside)


@pytest.mark.filterwarnings("ignore:Choices for a categorical")
def test_choices_may_be_anything() -> None:
    """Lists and mappings have places like other choices."""
    choices: Any = ([1, 2], {"a": 1}, (), NAN)
    made = parameter({}, "x", CategoricalDistribution(choices))
    assert [0, 1, 2, 3] == [made.inside(each) for each in choices]
    assert choices[1] is made.outside(1)
    assert math.isnan(made.outside(3))


def test_a_range_that_changed_is_another_parameter() -> None:
    """One of a name and a distribution is made once; where values compare they share a label, else they have two."""
    table: Table = {}
    ranges = [parameter(table, "x", IntDistribution(0, high)) for high in (5, 9, 5)]
    assert ranges[0] is ranges[2]
    assert ranges[0] is not ranges[1]
    assert ["x"] * 3 == [each.label for each in ranges]
    steps = [parameter(table, "y", FloatDistribution(low, 1.0, step=0.25)) for low in (0.0, 0.5)]
    assert len({each.label for each in steps}) == 2
    assert {"x", "y"} == table.keys()


@pytest.mark.parametrize(
    ("domain", "value"), [(Whole(0, 9, step=3), 6), (Real(0.1, 1.0, log=True), 0.5), (Choice((1, 2)), 2)]
)
def test_a_domain_of_one_value(domain: Domain, value: int | float) -> None:
    """It is of the same kind, and has that value alone."""
    one = only(domain, value)
    assert type(domain) is type(one)
    assert contains(one, value)
    assert one.size == 1
