"""Successive halving for several objectives: who goes on, and that about a share of them does."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.search.halving import goes_on
from archcost.search.pareto import dominates

POINT = st.tuples(st.integers(0, 9).map(float), st.integers(0, 9).map(float))

CASES = {
    "the first": ((9.0, 9.0), [], True),
    "none dominates it": ((9.0, 0.0), [(0.0, 9.0), (1.0, 1.0)], True),
    "the best of one objective": ((1.0,), [(2.0,), (3.0,)], True),
    "the second of three": ((2.0,), [(1.0,), (3.0,)], False),
    "the second of six": ((2.0,), [(1.0,), (3.0,), (4.0,), (5.0,), (6.0,)], True),
    "the third of six": ((3.0,), [(1.0,), (2.0,), (4.0,), (5.0,), (6.0,)], False),
    "equal to the front": ((1.0, 1.0), [(1.0, 1.0), (1.0, 1.0)], True),
    "not a number": ((float("nan"), 0.0), [(1.0, 1.0)], False),
    "infinite": ((float("inf"), 0.0), [], False),
    "others that are not finite are not counted": ((1.0, 1.0), [(float("-inf"), 0.0)], True),
}


@pytest.mark.parametrize("case", CASES)
def test_goes_on(case: str) -> None:
    """A trial goes on where it is among the best third, or none dominates it."""
    values, passed, expected = CASES[case]
    assert expected == goes_on(values, passed, 1 / 3)


@given(POINT, st.lists(POINT, max_size=20), st.floats(0, 1))
def test_what_none_dominates_goes_on(values: tuple[float, ...], passed: list[tuple[float, ...]], share: float) -> None:
    """Whatever the share, no member of the front so far is stopped."""
    assert goes_on(values, passed, share) or any(dominates(each, values) for each in passed)


@given(POINT, st.lists(POINT, max_size=20), st.floats(0, 1))
def test_a_share_of_all_stops_none(values: tuple[float, ...], passed: list[tuple[float, ...]], share: float) -> None:
    """Share 1 lets everybody go on, and a larger share stops nobody that a smaller one lets go on."""
    assert goes_on(values, passed, 1.0)
    assert goes_on(values, passed, min(1.0, share + 0.2)) or not goes_on(values, passed, share)


def test_about_a_share_goes_on() -> None:
    """Of 300 seeded trials a third goes on, within a tenth of all: at first many are on the front."""
    draw = random.Random(0)
    points = [(draw.random(), draw.random()) for _ in range(300)]
    on = sum(goes_on(point, points[:place], 1 / 3) for place, point in enumerate(points))
    assert abs(on / 300 - 1 / 3) < 0.1
