"""The surrogate: distances of mixed points, and a Gaussian process against its closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.search import gaussian_process
from archcost.search.domains import Choice, Domain, Point, Real, Whole
from archcost.search.features import axes, features
from archcost.search.gaussian_process import BLOCK, Array, Scales, fit, inverted, kernel, predict, process

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
    """Without noise the mean is the value if there is one, and the deviation vanishes."""
    points, values = wavy(12, seed)
    found = process(Scales(np.full(3, 20.0), 1e-8), points, values)
    mean, deviation = predict(found, points)
    assert mean == pytest.approx(values, abs=1e-4)
    assert np.all(deviation < 1e-2)


def test_far_from_everything_a_process_knows_the_mean() -> None:
    """If nothing is near, the mean is that of all values and the deviation that of the function."""
    points, values = wavy(30, 0)
    mean, deviation = predict(process(Scales(np.full(3, 5.0), 0.01), points, values), np.full((1, 3), 1e3))
    centred = values - values.mean()
    covariance = kernel(np.full(3, 5.0), points, points) + 0.01 * np.eye(30)
    assert mean[0] == pytest.approx(values.mean())
    assert deviation[0] == pytest.approx(math.sqrt(centred @ np.linalg.solve(covariance, centred) / 30))


@pytest.mark.parametrize("n", [1, 2, BLOCK, BLOCK + 1, 2 * BLOCK + 3, 300])
def test_inversion_by_blocks_equals_lapack(n: int) -> None:
    """The inverse is symmetric and LAPACK's, as is the logarithm of the determinant, with little noise too."""
    points, _ = wavy(n, 4)
    covariance = kernel(np.full(3, 5.0), points, points) + 1e-4 * np.eye(n)
    inverse, logarithm = inverted(covariance)
    np.testing.assert_allclose(inverse, np.linalg.inv(covariance), atol=1e-12 / 1e-4**2)
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-12 / 1e-4**2)
    np.testing.assert_allclose(inverse @ covariance, np.eye(n), atol=1e-7)
    assert logarithm == pytest.approx(np.linalg.slogdet(covariance)[1], abs=1e-6)


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
