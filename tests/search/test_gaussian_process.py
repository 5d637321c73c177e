"""The surrogate: distances of mixed points, a Gaussian process against its closed forms, warps, and directions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from archcost.search import gaussian_process
from archcost.search.acquisition import direction, everywhere, learn, promise, segments, warp
from archcost.search.domains import Choice, Domain, Point, Real, Whole, active
from archcost.search.features import Array, axes, features
from archcost.search.gaussian_process import Scales, fit, kernel, predict, process
from archcost.search.pareto import hypervolume
from archcost.search.points import Seen

MIXED: dict[str, Domain] = {
    "kind": Choice((1, True, "x")),
    "width": Whole(8, 64, step=8),
    "rate": Real(1e-4, 1e-1, log=True),
    "only": Choice(("one",)),
}


def distance(one: Point, other: Point, domains: list[dict[str, Domain]]) -> float:
    along = axes(domains)
    a, b = features([one, other], along)
    return float(((a - b) ** 2).sum())


PAIRS: dict[str, tuple[Point, Point, float]] = {
    "equal": ({"kind": 1}, {"kind": 1}, 0.0),
    "other options": ({"kind": 1}, {"kind": "x"}, 1.0),
    "options that are equal to Python": ({"kind": 1}, {"kind": True}, 1.0),
    "the ends of an order": ({"width": 8}, {"width": 64}, 1.0),
    "a seventh of an order": ({"width": 8}, {"width": 16}, 1 / 49),
    "a third of the logarithms": ({"rate": 1e-4}, {"rate": 1e-3}, 1 / 9),
    "two parameters": ({"kind": 1, "width": 8}, {"kind": "x", "width": 64}, 2.0),
    "a parameter with one value": ({"only": "one"}, {}, 0.0),
    "missing beside the middle": ({"width": 36}, {}, 1.0),
}


@pytest.mark.parametrize("case", PAIRS)
def test_distances(case: str) -> None:
    """Two options are 1 apart, as are the ends of an order; log domains are even in their logarithm."""
    one, other, expected = PAIRS[case]
    assert distance(one, other, [MIXED]) == pytest.approx(expected)


def test_a_missing_option_is_between_the_others() -> None:
    """A point without a parameter is apart from all that have it, and less from each than they are from each other."""
    apart = [distance({"kind": kind}, {}, [MIXED]) for kind in (1, True, "x")]
    assert apart == pytest.approx([0.5] * 3)


def wavy(n: int, seed: int) -> tuple[Array, Array]:
    """Return points of three parameters, (n, 3), and values that depend on the first two."""
    chance = np.random.default_rng(seed)
    points = chance.uniform(-0.5, 0.5, (n, 3))
    return points, np.sin(4 * points[:, 0]) + points[:, 1] ** 2


@given(st.integers(0, 1000))
def test_a_process_goes_through_what_it_has_seen(seed: int) -> None:
    """Without noise the mean is the value where there is one, and the deviation vanishes."""
    points, values = wavy(12, seed)
    found = process(Scales(np.full(3, 20.0), 1e-8), points, values)
    mean, deviation = predict(found, points)
    assert mean == pytest.approx(values, abs=1e-4)
    assert np.all(deviation < 1e-2)


def test_far_from_everything_a_process_knows_the_mean() -> None:
    """Where nothing is near, the mean is that of all values and the deviation that of the function."""
    points, values = wavy(30, 0)
    mean, deviation = predict(process(Scales(np.full(3, 5.0), 0.01), points, values), np.full((1, 3), 1e3))
    centred = values - values.mean()
    covariance = kernel(np.full(3, 5.0), points, points) + 0.01 * np.eye(30)
    assert mean[0] == pytest.approx(values.mean())
    assert deviation[0] == pytest.approx(math.sqrt(centred @ np.linalg.solve(covariance, centred) / 30))


def test_the_slope_is_the_likelihoods() -> None:
    """The slope that the fit follows equals finite differences of the likelihood."""
    points, values = wavy(20, 1)
    groups = np.array([0, 1, 1])
    logs = np.log(np.array([2.0, 1.0, 0.1]))
    _, slope = gaussian_process._likelihood(logs, points, groups, values - values.mean())
    for place, step in enumerate(1e-5 * np.eye(3)):
        ends = [
            gaussian_process._likelihood(logs + sign * step, points, groups, values - values.mean())[0]
            for sign in (1, -1)
        ]
        assert slope[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-3, abs=1e-4)


def test_a_fit_finds_what_matters() -> None:
    """The parameter that the values do not depend on has by far the smallest weight, and predictions are close."""
    points, values = wavy(60, 2)
    scales = fit(points, np.arange(3), values)
    assert scales.weights[2] < 0.5 * scales.weights[0]
    others, truth = wavy(200, 3)
    mean, _ = predict(process(scales, points, values), others)
    assert np.sqrt(((mean - truth) ** 2).mean()) < 0.15 * truth.std()


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
    """Where the objectives are the parameters, small ones promise more than large ones."""
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
