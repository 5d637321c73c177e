"""Successive halving for several objectives: who goes on, and that about a share of them does."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.search.halving import Parts, fewest, goes_on
from archcost.search.pareto import dominates

POINT = st.tuples(st.integers(0, 9).map(float), st.integers(0, 9).map(float))
PARTS = st.lists(POINT, min_size=1, max_size=3)

WORSE = [[(8.0,)]] * 4
"""Four trials that have come before, so that a fifth may end."""

CASES = {
    "the first": ([(9.0, 9.0)], [], True),
    "none dominates it": ([(9.0, 0.0)], [[(0.0, 9.0)]] * 3 + [[(1.0, 1.0)]] * 3, True),
    "the best of one objective": ([(1.0,)], [[(2.0,)], *WORSE], True),
    "the second of five": ([(2.0,)], [[(1.0,)], *WORSE[:3]], False),
    "the second of six": ([(2.0,)], [[(1.0,)], *WORSE], True),
    "the third of six": ([(3.0,)], [[(1.0,)], [(2.0,)], *WORSE[:3]], False),
    "the last of four": ([(9.0,)], WORSE[:3], True),
    "the last of five": ([(9.0,)], WORSE, False),
    "equal to the front": ([(1.0, 1.0)], [[(1.0, 1.0)]] * 6, True),
    "not a number": ([(float("nan"), 0.0)], [[(1.0, 1.0)]], False),
    "infinite": ([(float("inf"), 0.0)], [], False),
    "others that are not finite are not counted": ([(9.0,)], [*WORSE[:3], [(float("-inf"),)]], True),
    "its column is the best": ([(9.0,), (1.0,)], [[(2.0,)], *WORSE], True),
    "its column is in the best third": ([(9.0,), (2.0,)], [[(1.0,)], *WORSE], True),
    "columns of one trial are one": ([(3.0,)], [[(1.0,), (2.0,), (2.5,)], *WORSE], True),
    "none of its networks is": ([(9.0,), (7.0,)], [[(1.0,)], [(2.0,)], *WORSE], False),
    "its column alone is finite": ([(float("nan"),), (1.0,)], WORSE, True),
}


@pytest.mark.parametrize("case", CASES)
def test_goes_on(case: str) -> None:
    """A trial goes on if one of its networks is among the best third, or none dominates it, or few have come."""
    parts, passed, expected = CASES[case]
    assert expected == goes_on(parts, passed, 1 / 3)


@pytest.mark.parametrize(("share", "count"), [(1 / 3, 5), (0.5, 5), (0.2, 5), (0.19, 6), (0.1, 10), (0.9, 5)])
def test_none_ends_before_enough_have_come(share: float, count: int) -> None:
    """Five, and as many as it takes until the share of them is one."""
    assert count == fewest(share)
    assert [True] * (count - 1) == [goes_on([(9.0,)], [[(1.0,)]] * before, share) for before in range(count - 1)]
    assert not goes_on([(9.0,)], [[(1.0,)]] * (count - 1), share)


@given(PARTS, st.lists(PARTS, max_size=20), st.floats(0.01, 1))
def test_what_none_dominates_goes_on(parts: Parts, passed: list[Parts], share: float) -> None:
    """Whatever the share, no trial with a member of the front so far is stopped."""
    others = [each for trial in (*passed, parts) for each in trial]
    assert goes_on(parts, passed, share) or all(any(dominates(each, one) for each in others) for one in parts)


@given(PARTS, st.lists(PARTS, max_size=20), st.floats(0.01, 1))
def test_a_share_of_all_stops_none(parts: Parts, passed: list[Parts], share: float) -> None:
    """Share 1 lets everybody go on, and of enough trials a larger share stops nobody that a smaller one lets go on."""
    assert goes_on(parts, passed, 1.0)
    enough = len(passed) + 1 >= fewest(share)
    assert goes_on(parts, passed, min(1.0, share + 0.2)) or not enough or not goes_on(parts, passed, share)


def test_about_a_share_goes_on() -> None:
    """Of 300 seeded trials a third goes on, within a tenth of all: at first many are on the front."""
    draw = random.Random(0)
    points = [(draw.random(), draw.random()) for _ in range(300)]
    on = sum(goes_on([point], [[each] for each in points[:place]], 1 / 3) for place, point in enumerate(points))
    assert abs(on / 300 - 1 / 3) < 0.1
