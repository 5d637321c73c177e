"""A Gaussian process: a function known at some points, and how far it may be off elsewhere.

Fitted in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Groups: TypeAlias = NDArray[np.int64]

FITTED: Final = 100
"""Points that the scales are fitted on: a step's cost grows with their cube."""
STEPS: Final = 15
PRIOR: Final = 0.7
"""Standard deviation of a scale's logarithm, before anything is known of it."""
WIDE: Final = 1.5
"""The same if a parameter has many values in an order: a function may have several hills along it."""
ROUGH: Final = 2.0
"""How much greater the logarithms of scales are where a rough function is tried."""
NOISE: Final = 0.03
"""Share of the variance that is noise, before anything is known of it."""
BLOCK: Final = 32
"""Rows up to which LAPACK inverts a triangle at once; larger ones in halves: products are quicker than its solver."""


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
    return Process(scales, points, values, inverted(covariance)[0])


def inverted(covariance: Array) -> tuple[Array, float]:
    """Return the inverse of a symmetric positive definite matrix, (n, n), and the logarithm of its determinant.

    By its Cholesky factor L, as (1 / L)' (1 / L): a third to two thirds of the time of numpy's `inv`.
    """
    factor = np.linalg.cholesky(covariance).astype(np.float64, copy=False)
    root = _triangle_inverted(factor)
    return root.T @ root, 2 * float(np.log(factor.diagonal()).sum())


def _triangle_inverted(factor: Array) -> Array:
    n, half = len(factor), len(factor) // 2
    if n <= BLOCK:
        return np.linalg.inv(factor).astype(np.float64, copy=False)
    found = np.zeros_like(factor)
    found[:half, :half] = first = _triangle_inverted(factor[:half, :half])
    found[half:, half:] = last = _triangle_inverted(factor[half:, half:])
    found[half:, :half] = -last @ (factor[half:, :half] @ first)
    return found


def predict(function: Process, others: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation elsewhere, (m,) each; others: (m, q)."""
    values, inverse = function.values, function.inverse
    mean = float(values.mean())
    scaled = inverse @ (values - mean)
    variance = max(float((values - mean) @ scaled) / len(values), 1e-12)
    reach = kernel(function.scales.weights, function.points, others)
    left = np.maximum(1.0 - (reach * (inverse @ reach)).sum(axis=0), 1e-9)
    return mean + scaled @ reach, np.sqrt(variance * left)


def means(function: Process) -> Callable[[Array], Array]:
    """Return what gives the mean elsewhere alone, (m, q) -> (m,), as often as it is asked."""
    middle = float(function.values.mean())
    pull = function.inverse @ (function.values - middle)

    def at(others: Array) -> Array:
        found: Array = middle + pull @ kernel(function.scales.weights, function.points, others)
        return found

    return at


def kernel(weights: Array, some: Array, others: Array) -> Array:
    """Return covariances exp(-sum of weight times squared distance); some: (n, q), others: (m, q) -> (n, m)."""
    roots = np.sqrt(weights)
    a = some * roots
    b = a if others is some else others * roots
    near: Array = a @ b.T
    near *= 2
    near -= (a**2).sum(axis=1)[:, None]
    near -= (b**2).sum(axis=1)
    return np.exp(np.minimum(near, 0.0, out=near), out=near)


def fit(points: Array, groups: Groups, values: Array, prior: float = PRIOR) -> Scales:
    """Return the scales under which values are most probable, with a mild preference for smooth functions.

    points: (n, q); groups: (q,), the parameter of each feature; values: (n,); prior: of the scales, the deviation of
    their logarithms. Where that is wide, a rough function is tried too: there may be two explanations.
    """
    values = values - values.mean()
    size = int(groups.max(initial=-1)) + 1
    spread = np.bincount(groups, 2 * points.var(axis=0), size)  # the mean squared distance in each parameter
    smooth = np.append(-np.log(np.maximum(spread, 0.05) * max(size, 1)), np.log(NOISE))
    deviations = np.append(np.full(size, prior), PRIOR)
    starts = [smooth] if prior <= PRIOR else [smooth, smooth + np.append(np.full(size, ROUGH), 0.0)]

    def probable(logs: Array) -> tuple[float, Array]:
        likelihood, slope = _likelihood(logs, points, groups, values)
        off = (logs - smooth) / deviations
        return likelihood - float((off**2).sum()) / 2, slope - off / deviations

    best = max((_climbed(start, probable) for start in starts), key=lambda each: each[0])[1]
    return Scales(np.exp(best[:-1])[groups], float(np.exp(best[-1])))


def _climbed(start: Array, probable: Callable[[Array], tuple[float, Array]]) -> tuple[float, Array]:
    """Return the highest value found from a start, and where: Rprop on logarithms of scales and noise.

    The marginal likelihood (Rasmussen and Williams 2006, 5.9, the variance at its optimum), a log-normal prior.
    """
    now, stride, before = start.copy(), np.full(len(start), 0.5), np.zeros(len(start))
    best, best_at = -np.inf, start
    for _ in range(STEPS):
        likelihood, slope = probable(now)
        if likelihood > best:
            best, best_at = likelihood, now.copy()
        turn = slope * before
        stride = np.clip(stride * np.where(turn > 0, 1.3, np.where(turn < 0, 0.5, 1.0)), 0.02, 1.5)
        before = slope
        now = np.clip(now + np.sign(slope) * stride, start - 6, start + 6)
    return best, best_at


def _likelihood(logs: Array, points: Array, groups: Groups, values: Array) -> tuple[float, Array]:
    """Return the log-likelihood at the logarithms of weights and noise, and its slope."""
    n = len(values)
    weights, noise = np.exp(logs[:-1]), float(np.exp(logs[-1]))
    smooth = kernel(weights[groups], points, points)
    covariance = smooth + noise * np.eye(n)
    inverse, logarithm = inverted(covariance)
    scaled = inverse @ values
    variance = max(float(values @ scaled) / n, 1e-12)
    likelihood = -0.5 * n * np.log(variance) - 0.5 * logarithm
    pull = 0.5 * (np.outer(scaled, scaled) / variance - inverse)
    moved = pull * smooth
    along = 2 * (moved.sum(axis=1) @ points**2 - (points * (moved @ points)).sum(axis=0))  # (q,)
    return likelihood, np.append(-weights * np.bincount(groups, along, len(weights)), noise * np.trace(pull))
