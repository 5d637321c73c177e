"""What is learnt of trials: warps and their way back, directions whose mean is a volume, and better points first."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from archcost.search.acquisition import direction, everywhere, learn, promise, segments, warp
from archcost.search.domains import Point, Whole, active
from archcost.search.gaussian_process import Array
from archcost.search.pareto import hypervolume
from archcost.search.points import Seen


@given(st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=40))
def test_a_warp_is_undone(values: list[float]) -> None:
    """Scores keep the order, equal values have equal scores, and the way back gives the values."""
    known = np.array(values)
    found = warp(known)
    assert found.value(found.score(known)) == pytest.approx(known)
    assert list(np.argsort(found.score(known), kind="stable")) == list(np.argsort(known, kind="stable"))


def test_below_the_best_a_warp_goes_on() -> None:
    """What is better than all that is known gets a better value; what is worse than all gets the worst."""
    found = warp(np.arange(50.0))
    low, high = found.value(np.array([-5.0, 5.0]))
    assert low < 0
    assert high == 49.0


@given(st.integers(1, 4), st.integers(1, 10), st.integers(0, 10**6))
def test_directions_point_from_the_reference(objectives: int, members: int, seed: int) -> None:
    """A direction has length 1 and goes towards better values of every objective."""
    chance = np.random.default_rng(seed)
    way = direction(-chance.uniform(0.01, 1.0, (members, objectives)), chance)
    assert np.linalg.norm(way) == pytest.approx(1.0)
    assert np.all(way > 0)


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_mean_over_directions_is_the_hypervolume(objectives: int) -> None:
    """Golovin and Zhang's lemma 5: over uniform directions the longest segments' powers are in mean the volume."""
    chance = np.random.default_rng(0)
    points = -chance.uniform(0.1, 1.0, (6, objectives))
    mean = np.mean([segments(points, way).max() for way in everywhere(objectives, 20_000, chance)])
    ball = math.pi ** (objectives / 2) / math.gamma(objectives / 2 + 1) / 2**objectives  # the positive part of it
    assert ball * mean == pytest.approx(hypervolume(points.tolist(), [0.0] * objectives), rel=0.03)


def trial(x: int, y: int, state: TrialState = TrialState.COMPLETE) -> Seen:
    """Return a trial at a point of a 9 x 9 space, its two objectives being x and y where it is complete."""
    point, domains = active(lambda pick: [pick(n, Whole(0, 8)) for n in "xy"], {"x": x, "y": y}, lambda n, d: 0)
    return Seen(point, domains, state, (float(x), float(y)) if state is TrialState.COMPLETE else ())


PLACES = [(8, 8), (2, 7), (7, 2), (5, 5), (6, 6), (8, 3), (3, 8), (4, 7), (7, 4), (6, 7), (6, 5)]
SPREAD = [trial(x, y) for x, y in PLACES]


def promised(seen: list[Seen], *points: Point) -> Array:
    """Return what points promise, summed over twenty directions."""
    learnt = [learn(seen, np.random.default_rng(seed)) for seed in range(20)]
    total: Array = np.sum([promise(each, points) for each in learnt], axis=0)
    return total


def test_what_is_promising_is_better() -> None:
    """If the objectives are the parameters, small ones promise more than large ones."""
    low, middle, high = promised(SPREAD, {"x": 2, "y": 2}, {"x": 6, "y": 4}, {"x": 8, "y": 7})
    assert low > middle > high


def test_where_trials_fail_little_is_promised() -> None:
    """A point beside three that failed promises less than half of what it did before those failed."""
    failed = [trial(x, y, TrialState.FAIL) for x, y in [(1, 2), (3, 2), (2, 1)]]
    assert promised([*SPREAD, *failed], {"x": 2, "y": 2}) < 0.5 * promised(SPREAD, {"x": 2, "y": 2})


def test_what_runs_is_taken_as_seen() -> None:
    """A point where a trial runs promises others far less than it did."""
    running = [*SPREAD, trial(2, 2, TrialState.RUNNING)]
    assert promised(running, {"x": 2, "y": 2}) < 0.5 * promised(SPREAD, {"x": 2, "y": 2})


def test_points_without_parameters_are_survived() -> None:
    """A space of a single point, and trials that all gave the same, have a promise that is a number."""
    empty = [Seen({}, {}, TrialState.COMPLETE, (1.0, 2.0))] * 3
    assert np.isfinite(promise(learn(empty, np.random.default_rng(0)), [{}])).all()
    same = [Seen(each.point, each.domains, each.state, (1.0, 1.0)) for each in SPREAD]
    assert np.isfinite(promise(learn(same, np.random.default_rng(0)), [{"x": 1, "y": 1}])).all()
