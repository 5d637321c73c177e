"""Dominance and what is derived from it: laws, and volumes against counting the cells of a grid."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.search.pareto import contributions, crowding, dominates, exclusive, front, hypervolume, knee, ranks

SIDE = 5


def points_of(objectives: int, most: int = 8) -> st.SearchStrategy[list[tuple[float, ...]]]:
    """Return lists of points whose objectives are small whole numbers, so that ties and repeats are common."""
    number = st.integers(0, SIDE).map(float)
    return st.lists(st.tuples(*[number] * objectives), max_size=most)


ANY = st.integers(1, 4).flatmap(points_of)


def cells(points: list[tuple[float, ...]], objectives: int) -> int:
    """Return the hypervolume below SIDE as a count of unit cells: the brute-force witness."""
    corners = itertools.product(range(SIDE), repeat=objectives)
    return sum(any(all(a <= c for a, c in zip(p, corner, strict=True)) for p in points) for corner in corners)


@given(ANY)
def test_front_is_what_nothing_dominates(points: list[tuple[float, ...]]) -> None:
    """The front holds exactly the points that none dominates, repeats included."""
    expected = tuple(i for i, p in enumerate(points) if not any(dominates(q, p) for q in points))
    assert expected == front(points)


@given(ANY)
def test_dominance_is_a_strict_order(points: list[tuple[float, ...]]) -> None:
    """No point dominates itself, no two dominate each other, and what dominates is passed on."""
    for p, q, r in itertools.product(points, repeat=3):
        assert not dominates(p, p)
        assert not (dominates(p, q) and dominates(q, p))
        assert dominates(p, r) or not (dominates(p, q) and dominates(q, r))


@given(ANY)
def test_a_rank_is_one_more_than_the_highest_that_dominates(points: list[tuple[float, ...]]) -> None:
    """A point's rank is the length of the longest chain of points above it."""
    found = ranks(points)
    for p, rank in zip(points, found, strict=True):
        above = [other for q, other in zip(points, found, strict=True) if dominates(q, p)]
        assert max(above, default=-1) + 1 == rank


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_hypervolume_is_the_number_of_cells(objectives: int) -> None:
    """On whole numbers the volume is a count: equal for one to four objectives."""

    @given(points_of(objectives))
    def law(points: list[tuple[float, ...]]) -> None:
        assert cells(points, objectives) == hypervolume(points, [SIDE] * objectives)

    law()


@given(st.integers(1, 4).flatmap(lambda m: points_of(m, 6)))
def test_a_contribution_is_what_is_lost(points: list[tuple[float, ...]]) -> None:
    """Each contribution is the volume with the point less that without it."""
    reference = [SIDE] * (len(points[0]) if points else 2)
    whole = hypervolume(points, reference)
    expected = [whole - hypervolume(points[:i] + points[i + 1 :], reference) for i in range(len(points))]
    assert expected == pytest.approx(list(contributions(points, reference)))


@given(points_of(3), st.permutations(range(3)))
def test_hypervolume_knows_no_order(points: list[tuple[float, ...]], order: list[int]) -> None:
    """Neither the order of the points nor that of the objectives matters, nor do dominated points."""
    turned = [tuple(p[i] for i in order) for p in reversed(points)]
    kept = [points[i] for i in front(points)]
    assert hypervolume(points, [SIDE] * 3) == hypervolume(turned, [SIDE] * 3) == hypervolume(kept, [SIDE] * 3)


def test_hypervolume_of_real_numbers() -> None:
    """Two boxes that overlap: .5 x .5 and .75 x .25 share .5 x .25; a point beyond the reference adds nothing."""
    assert hypervolume([(0.5, 0.5), (0.25, 0.75), (2.0, 0.0)], (1.0, 1.0)) == pytest.approx(0.25 + 0.1875 - 0.125)
    assert hypervolume([], (1.0, 1.0)) == 0.0
    assert exclusive((1.0, 0.0), [], (1.0, 1.0)) == 0.0


def test_crowding_of_a_line() -> None:
    """The ends are infinitely far from others, what lies between has its neighbours' distance in each objective."""
    found = crowding([(0.0, 4.0), (1.0, 3.0), (3.0, 1.0), (4.0, 0.0)])
    assert (math.inf, 0.75 + 0.75, 0.75 + 0.75, math.inf) == found
    assert crowding([]) == ()
    assert crowding([(1.0, 1.0), (1.0, 1.0), (1.0, 1.0)])[1] == 0.0


KNEES = {
    "bent": ([(0.0, 10.0), (1.0, 1.0), (10.0, 0.0)], 1),
    "most of several": ([(0.0, 10.0), (1.0, 5.0), (2.0, 1.0), (10.0, 0.0)], 2),
    "dominated points do not count": ([(9.0, 9.0), (0.0, 10.0), (1.0, 1.0), (10.0, 0.0), (99.0, 99.0)], 2),
    "straight": ([(0.0, 2.0), (1.0, 1.0), (2.0, 0.0)], None),
    "bent outward": ([(0.0, 10.0), (9.0, 9.0), (10.0, 0.0)], None),
    "two": ([(0.0, 1.0), (1.0, 0.0)], None),
    "the same twice": ([(0.0, 1.0), (0.0, 1.0), (1.0, 0.0)], None),
    "one objective": ([(0.0,), (1.0,)], None),
    "none": ([], None),
    "three objectives": ([(0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0), (0.1, 0.1, 0.1)], 3),
}  # fmt: skip


@pytest.mark.parametrize("case", KNEES)
def test_knee(case: str) -> None:
    """The knee is where giving up a little of one objective no longer gains much of another."""
    points, expected = KNEES[case]
    assert expected == knee(points)
