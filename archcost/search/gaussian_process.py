"""A Gaussian process over points with ordered, unordered and missing parameters.

Fitted in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from archcost.search.features import Array

Groups = NDArray[np.int64]

FITTED: Final = 100
"""Points that the scales are fitted on: a step's cost grows with their cube."""
STEPS: Final = 15
PRIOR: Final = 0.7
"""Standard deviation of a scale's logarithm, before anything is known of it."""
NOISE: Final = 0.03
"""Share of the variance that is noise, before anything is known of it."""


@final
@dataclass(frozen=True, slots=True)
class Scales:
    """How quickly a function changes along each feature (q,), and the share of its variance that is noise."""

    weights: Array
    noise: float


@final
@dataclass(frozen=True, slots=True)
class Process:
    """A function seen at points (n, q) to have values (n,), and the inverse of their covariances (n, n)."""

    scales: Scales
    points: Array
    values: Array
    inverse: Array


def process(scales: Scales, points: Array, values: Array) -> Process:
    """Return a function with known scales and values; points: (n, q), values: (n,)."""
    covariance = kernel(scales.weights, points, points) + scales.noise * np.eye(len(values))
    return Process(scales, points, values, np.linalg.inv(covariance).astype(np.float64))


def predict(function: Process, others: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation elsewhere, (m,) each; others: (m, q)."""
    values, inverse = function.values, function.inverse
    mean = float(values.mean())
    scaled = inverse @ (values - mean)
    variance = max(float((values - mean) @ scaled) / len(values), 1e-12)
    reach = kernel(function.scales.weights, function.points, others)
    left = np.maximum(1.0 - (reach * (inverse @ reach)).sum(axis=0), 1e-9)
    return mean + scaled @ reach, np.sqrt(variance * left)


def kernel(weights: Array, some: Array, others: Array) -> Array:
    """Return covariances exp(-sum of weight times squared distance); some: (n, q), others: (m, q) -> (n, m)."""
    a, b = some * np.sqrt(weights), others * np.sqrt(weights)
    apart = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * (a @ b.T)
    covariance: Array = np.exp(-np.maximum(apart, 0.0))
    return covariance


def fit(points: Array, groups: Groups, values: Array) -> Scales:
    """Return the scales under which values are most probable, with a mild preference for smooth functions.

    points: (n, q); groups: (q,), the parameter of each feature; values: (n,). Rprop on the logarithms of the marginal
    likelihood (Rasmussen and Williams 2006, 5.9, the variance at its optimum) and of a log-normal prior.
    """
    values = values - values.mean()
    size = int(groups.max(initial=-1)) + 1
    spread = np.bincount(groups, 2 * points.var(axis=0), size)  # the mean squared distance in each parameter
    start = np.append(-np.log(np.maximum(spread, 0.05) * max(size, 1)), np.log(NOISE))
    now, stride, before = start.copy(), np.full(len(start), 0.5), np.zeros(len(start))
    best, best_at = -np.inf, start
    for _ in range(STEPS):
        likelihood, slope = _likelihood(now, points, groups, values)
        likelihood -= float(((now - start) ** 2).sum()) / (2 * PRIOR**2)
        slope -= (now - start) / PRIOR**2
        if likelihood > best:
            best, best_at = likelihood, now.copy()
        turn = slope * before
        stride = np.clip(stride * np.where(turn > 0, 1.3, np.where(turn < 0, 0.5, 1.0)), 0.02, 1.5)
        before = slope
        now = np.clip(now + np.sign(slope) * stride, start - 6, start + 6)
    return Scales(np.exp(best_at[:-1])[groups], float(np.exp(best_at[-1])))


def _likelihood(logs: Array, points: Array, groups: Groups, values: Array) -> tuple[float, Array]:
    """Return the log-likelihood at the logarithms of weights and noise, and its slope."""
    n = len(values)
    weights, noise = np.exp(logs[:-1]), float(np.exp(logs[-1]))
    smooth = kernel(weights[groups], points, points)
    covariance = smooth + noise * np.eye(n)
    inverse = np.linalg.inv(covariance)
    scaled = inverse @ values
    variance = max(float(values @ scaled) / n, 1e-12)
    likelihood = -0.5 * n * np.log(variance) - 0.5 * float(np.linalg.slogdet(covariance)[1])
    pull = 0.5 * (np.outer(scaled, scaled) / variance - inverse)
    moved = pull * smooth
    along = 2 * (moved.sum(axis=1) @ points**2 - (points * (moved @ points)).sum(axis=0))  # (q,)
    return likelihood, np.append(-weights * np.bincount(groups, along, len(weights)), noise * np.trace(pull))
