"""From the times of operators to that of a whole network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from archcost.latency.prediction.operators import CONVOLUTION, DENSE, GROUPED, POINTWISE
from archcost.latency.prediction.times import Sums
from archcost.search.gaussian_process import Array, Scales, fit, means, process

ENOUGH: Final = 25
"""Networks from which on more is learnt than one factor and one overhead."""

CACHED: Final = (0.0, 2.0**18, 2.0**20, 2.0**22)
"""Numbers of weights from which on they may not stay in a cache: 0, 1, 4 and 16 MiB of float32."""

_APART: Final = (POINTWISE, CONVOLUTION, GROUPED, DENSE)  # kinds whose shares tell networks apart
_RIDGE: Final = 0.1  # how much a kind's factor is kept at that of all
_LITTLE: Final = 1e-9  # how much all else is kept at its start
_SIFTED: Final = 2  # times
_STRANGE: Final = 4.5  # medians apart: three standard deviations of a normal distribution
_NEAR: Final = 0.1  # of the logarithms: so near, nothing is left out
_LEAST: Final = 0.05  # of what operators take alone: no network takes less
_PRIOR: Final = 1.0
_FOLDS: Final = 5
_COVERED: Final = 0.9


class Timed(NamedTuple):
    """A whole network that was measured: what its operators take, and what it took."""

    sums: Sums
    time_s: float


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of the logarithms: points (n, q), values (n,), scales of a Gaussian process; spread: of features."""

    points: tuple[tuple[float, ...], ...]
    values: tuple[float, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    weights: tuple[float, ...]
    noise: float


@dataclass(frozen=True, slots=True)
class Whole:
    """What makes a network's time of its operators': a factor for each kind, an overhead a call, and one of all.

    factor: of kinds that no measured network had; weights_s: of reading a weight beyond each of `CACHED`, as an
    operator alone keeps its own in the cache; step_s: what a call takes more that is one of several; left: None if too
    few networks were measured.
    """

    factors: tuple[tuple[str, float], ...]
    factor: float
    call_s: float
    once_s: float
    weights_s: tuple[float, ...] = ()
    step_s: float = 0.0
    left: Left | None = None


@dataclass(frozen=True)
class WholeTimes:
    """The times of whole networks, ready to be asked for."""

    whole: Whole

    @cached_property
    def _function(self) -> Callable[[Array], Array] | None:
        left = self.whole.left
        if left is None:
            return None
        scales = Scales(np.asarray(left.weights), left.noise)
        return means(process(scales, np.asarray(left.points), np.asarray(left.values)))

    def time_s(self, sums: Sums) -> float:
        """Return what a network takes."""
        plain_s, left = _plain_s(self.whole, sums), self.whole.left
        if left is None or self._function is None:
            return plain_s
        point = (_features(sums, plain_s) - np.asarray(left.centre)) / np.asarray(left.spread)
        return plain_s * float(np.exp(self._function(point[None])[0]))


def _plain_s(whole: Whole, sums: Sums) -> float:
    factors = dict(whole.factors)
    work_s = sum(factors.get(kind, whole.factor) * seconds for kind, seconds in sums.by_kind_s.items())
    return max(work_s + _others_s(whole, sums), _LEAST * sums.total_s, 1e-9)


def _others_s(whole: Whole, sums: Sums) -> float:
    weights_s = sum(each_s * beyond for each_s, beyond in zip(whole.weights_s, _beyond(sums.weights), strict=False))
    return weights_s + whole.step_s * sums.steps + whole.call_s * sums.calls + whole.once_s


def _beyond(weights: float) -> tuple[float, ...]:
    """Return how many weights do not fit into each cache that there may be."""
    return tuple(max(0.0, weights - fit) for fit in CACHED)


def _features(sums: Sums, plain_s: float) -> Array:
    total_s = sums.total_s or 1.0
    shares = [sums.by_kind_s.get(kind, 0.0) / total_s for kind in _APART]
    return np.asarray([np.log(plain_s), np.log(max(1, sums.calls)), np.log(max(1, sums.steps)), *shares])


def learnt(networks: Sequence[Timed]) -> Whole:
    """Return what makes networks' times of their operators', by least squares of relative errors."""
    factor, call_s = _two(networks)
    if len(networks) < ENOUGH:
        return Whole((), factor, call_s, 0.0)
    plain = _by_kind(networks, factor, call_s)
    for _ in range(_SIFTED):  # what something disturbed is no network's time
        networks = _like(networks, _logs(plain, networks))
        plain = _by_kind(networks, factor, call_s)
    networks = _like(networks, _logs(plain, networks))
    logs = _logs(plain, networks)
    features = np.stack([_features(each.sums, _plain_s(plain, each.sums)) for each in networks])
    centre, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 0.05)
    points = (features - centre) / spread
    scales = fit(points, np.arange(points.shape[1]), logs, _PRIOR)
    standard = (_floats(centre), _floats(spread))
    left = Left(tuple(map(_floats, points)), _floats(logs), *standard, _floats(scales.weights), scales.noise)
    return replace(plain, left=left)


def _logs(plain: Whole, networks: Sequence[Timed]) -> Array:
    """Return the logarithms of what networks took over what they should take, (n,)."""
    return np.asarray([np.log(each.time_s / _plain_s(plain, each.sums)) for each in networks])


def _like(networks: Sequence[Timed], logs: Array) -> Sequence[Timed]:
    """Return the networks that are as far off as most are, by the median of the distances from the median."""
    apart = np.abs(logs - np.median(logs))
    limit = max(_STRANGE * float(np.median(apart)), _NEAR)
    return [each for each, far in zip(networks, apart, strict=True) if far <= limit]


def _floats(values: Array) -> tuple[float, ...]:
    return tuple(map(float, values))


def _two(networks: Sequence[Timed]) -> tuple[float, float]:
    """Return one factor for all operators, and an overhead a call; the factor alone if one network was measured."""
    columns = np.asarray([[each.sums.total_s, each.sums.calls] for each in networks])
    relative = columns / np.asarray([[each.time_s] for each in networks])
    if len(networks) > 1:
        factor, call_s = (float(each) for each in np.linalg.lstsq(relative, np.ones(len(networks)), rcond=None)[0])
        if factor > 0:
            return factor, call_s
    return float(1 / np.median(relative[:, 0])), 0.0


def _by_kind(networks: Sequence[Timed], factor: float, call_s: float) -> Whole:
    """Return a factor for each kind, none below 0, each kept near that of all as far as networks say nothing else."""
    kinds = sorted({kind for each in networks for kind in each.sums.by_kind_s})
    columns = np.asarray(
        [[*(each.sums.by_kind_s.get(kind, 0.0) for kind in kinds), *_others(each.sums)] for each in networks]
    )
    relative = columns / np.asarray([[each.time_s] for each in networks])
    start = np.asarray([*[factor] * len(kinds), *[0.0] * (len(CACHED) + 1), call_s, 0.0])
    found = _damped(relative, start, len(kinds))
    *weights_s, step_s, call_s, once_s = map(float, found[len(kinds) :])
    factors = tuple((kind, float(value)) for kind, value in zip(kinds, found, strict=False))
    return Whole(factors, factor, call_s, once_s, tuple(weights_s), step_s)


def _others(sums: Sums) -> tuple[float, ...]:
    """Return what a network has besides its operators' times: weights, steps, calls, one."""
    return *_beyond(sums.weights), sums.steps, sums.calls, 1.0


def _damped(relative: Array, start: Array, kinds: int) -> Array:
    """Return coefficients with which rows come to 1, kept near `start`: kinds, then `_others`.

    None is negative but those of calls and one.
    """
    scales = (relative[:, kinds:] ** 2).mean(axis=0) + 1e-300  # their units are no shares of the time
    damping = np.diag([*[_RIDGE] * kinds, *(_LITTLE * scales)])
    free, found = np.ones(len(start), dtype=bool), start.copy()
    while True:
        left = np.ones(len(relative)) - relative[:, free] @ start[free]
        inner = relative[:, free].T @ relative[:, free] + damping[np.ix_(free, free)]
        found[free] = start[free] + np.linalg.solve(inner, relative[:, free].T @ left)
        negative = free & (found < 0)
        negative[-2:] = False
        if not negative.any():
            return found
        free &= ~negative
        found[negative] = 0.0


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How far predictions of networks that nothing was learnt from were off, by folds.

    apart: the factor within which 90% of them lie; within_5, within_10: shares of them; mean: of absolute errors; rank:
    Spearman's correlation.
    """

    networks: int
    apart: float
    within_5: float
    within_10: float
    mean: float
    rank: float

    def to_dict(self) -> dict[str, object]:
        """Return them as JSON holds them."""
        return asdict(self)


def held_out(networks: Sequence[Timed]) -> HeldOut | None:
    """Return how far predictions are off by five folds, None if there are too few networks for that."""
    if len(networks) < 2 * _FOLDS:
        return None
    order = np.random.default_rng(0).permutation(len(networks))
    predicted_s = np.zeros(len(networks))
    for fold in range(_FOLDS):
        out = set(order[fold::_FOLDS].tolist())
        whole = WholeTimes(learnt([each for place, each in enumerate(networks) if place not in out]))
        for place in out:
            predicted_s[place] = whole.time_s(networks[place].sums)
    return errors(predicted_s, np.asarray([each.time_s for each in networks]))


def errors(predicted_s: Array, measured_s: Array) -> HeldOut:
    """Return how far predictions (n,) are off what was measured (n,)."""
    off = predicted_s / measured_s - 1
    apart = np.sort(np.abs(np.log(predicted_s / measured_s)))
    place = min(len(apart), int(np.ceil(_COVERED * (len(apart) + 1)))) - 1
    ranks = np.stack([np.argsort(np.argsort(each)) for each in (predicted_s, measured_s)]).astype(np.float64)
    return HeldOut(
        len(off),
        float(np.exp(apart[place])),
        float((np.abs(off) <= 0.05).mean()),
        float((np.abs(off) <= 0.1).mean()),
        float(np.abs(off).mean()),
        float(np.atleast_2d(np.corrcoef(ranks))[0, 1]),
    )
