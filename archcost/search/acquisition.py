"""What a study's trials teach, and how promising that makes an untried point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, final

import numpy as np
from optuna.trial import TrialState

from archcost.search.domains import Point
from archcost.search.features import Axis, axes, features
from archcost.search.gaussian_process import FITTED, PRIOR, WIDE, Array, Process, fit, predict, process
from archcost.search.pareto import front
from archcost.search.points import Seen

LEARNT: Final = 300
"""Trials that are learnt from, the newest: the cost grows with their cube."""
FIRST: Final = 10
"""Complete trials that say what is good and bad of an objective."""
FAR: Final = 8.0
"""What is this much further from their median than their best is counts as bad as any."""
BEYOND: Final = 0.25
"""How much of what is as bad as any is still told apart, in times of the range from there to the best."""
LEAST: Final = 0.01
"""The chance that is left to points like those that failed or were stopped."""
DRAWS: Final = 16
DIRECTIONS: Final = 64
"""As many as stand for all of them."""
HINT: Final = 1e-6
"""What coming near counts, so that points of which none is expected to push the front out are told apart."""


def everywhere(objectives: int, count: int, chance: np.random.Generator) -> Array:
    """Return unit vectors from the reference, each as likely as another, (count, m), all positive."""
    ways = np.abs(chance.standard_normal((count, objectives))) + 1e-6
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    return ways


def direction(front: Array, chance: np.random.Generator) -> Array:
    """Return a unit vector from the reference into a gap between two neighbours on a front, or beyond an end of it.

    front: (n, m), none positive -> (m,), all positive. Every gap is as likely, however wide.
    """
    m = front.shape[1]
    axis = int(chance.integers(m))
    ways = -front[np.argsort(front[:, axis], kind="stable")]
    first = np.eye(m)[axis : axis + 1]
    last = np.where(np.arange(m) == axis, 0.0, ways[-1:]) if m > 1 else first
    ways = np.concatenate([first, ways / np.linalg.norm(ways, axis=1, keepdims=True), last]) + 1e-9
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    gap, share = int(chance.integers(len(ways) - 1)), chance.random()
    way: Array = (1 - share) * ways[gap] + share * ways[gap + 1] + 1e-6
    return way / np.linalg.norm(way)


def segments(points: Array, way: Array) -> Array:
    """Return the volumes that points' segments stand for; points: (..., m), way: (m,) -> (...)."""
    cut: Array = (np.maximum(-points, 0.0) / way).min(axis=-1) ** len(way)
    return cut


@final
@dataclass(frozen=True, slots=True)
class Warp:
    """The distinct values, ascending, and the normal quantiles of their ranks; below the least it goes on straight."""

    values: Array
    scores: Array
    slope: float

    def score(self, values: Array) -> Array:
        """Return the quantiles of values, those between two known ones in between."""
        found: Array = np.interp(values, self.values, self.scores)
        return found

    def value(self, scores: Array) -> Array:
        """Return the values of quantiles, the inverse of `score`."""
        beyond = np.minimum(scores - self.scores[0], 0.0)
        found: Array = np.interp(scores, self.scores, self.values) + beyond * self.slope
        return found


def warp(values: Array) -> Warp:
    """Return the warp of known values, (n,): equal ones have the mean of their ranks.

    The slope below the least is that of the best sixth, from one standard deviation on.
    """
    ordered = np.sort(values)
    distinct = np.unique(ordered)
    ranks = (np.searchsorted(ordered, distinct, "left") + np.searchsorted(ordered, distinct, "right")) / 2
    scores = np.array([NormalDist().inv_cdf(float(rank) / len(values)) for rank in ranks])
    if scores[0] > -1.2:  # too few to have a best sixth
        return Warp(distinct, scores, 0.0)
    slope = (np.interp(-1.0, scores, distinct) - distinct[0]) / (-1.0 - scores[0])
    return Warp(distinct, scores, float(slope))


@final
@dataclass(frozen=True, slots=True)
class Objective:
    """An objective as it is predicted, by normal quantiles of its values."""

    function: Process
    warp: Warp

    def drawn(self, others: Array, numbers: Array) -> Array:
        """Return what the objective may be at other points; others: (c, q), numbers: (d,), normal -> (d, c)."""
        mean, deviation = predict(self.function, others)
        return self.warp.value(mean + numbers[:, None] * deviation)


@final
@dataclass(frozen=True, slots=True)
class Learnt:
    """What is predicted of points, and what is looked for now.

    gives: whether a point gives any values, None if all have so far; ways: (k, m), the directions in which the
    front shall be pushed out, from where it is `held`, (k,); numbers: (d, m), the draws that all points share.
    """

    along: tuple[Axis, ...]
    objectives: tuple[Objective, ...]
    gives: Process | None
    ways: Array
    held: Array
    numbers: Array


def learn(seen: Sequence[Seen], chance: np.random.Generator) -> Learnt:
    """Return what is learnt of trials, at least one of them complete.

    One that runs is taken to give what is predicted of it, so that no second one is sent after the same gain.
    """
    good = [each for each in seen if each.values]
    running = [each.point for each in seen if each.state is TrialState.RUNNING]
    along = axes(each.domains for each in seen)
    points, more = features([each.point for each in good[-LEARNT:]], along), features(running, along)
    values = _scaled(np.array([each.values for each in good]))  # (n, m)
    objectives = tuple(_objective(points, more, column, along, chance) for column in values[-LEARNT:].T)
    believed = np.stack([each.warp.value(each.function.values[len(points) :]) for each in objectives], axis=1)
    known = np.concatenate([values, believed])
    ways = _ways(known, len(good), chance)
    held = np.array([segments(known, way).max() for way in ways])
    half = chance.standard_normal((DRAWS // 2, known.shape[1]))
    return Learnt(along, objectives, _gives(seen, along, chance), ways, held, np.concatenate([half, -half]))


def _ways(known: Array, complete: int, chance: np.random.Generator) -> Array:
    """Return all directions in the beginning, rarely later, when it is one; known: (n, m) -> (k, m)."""
    if chance.random() < (FIRST / complete) ** 2:
        return everywhere(known.shape[1], DIRECTIONS, chance)
    inside = known[(known < 0).all(axis=1)]
    best = inside[list(front(inside.tolist()))] if len(inside) else -np.ones((1, known.shape[1]))
    return direction(best, chance)[None]


def _objective(
    points: Array, running: Array, values: Array, along: Sequence[Axis], chance: np.random.Generator
) -> Objective:
    warped = warp(values)
    function = _function(points, warped.score(values), along, chance)
    if len(running):
        believed = np.append(function.values, predict(function, running)[0])
        function = process(function.scales, np.concatenate([points, running]), believed)
    return Objective(function, warped)


def _gives(seen: Sequence[Seen], along: Sequence[Axis], chance: np.random.Generator) -> Process | None:
    """Return where trials gave values, 1, and where they failed or were stopped, 0; what gave some at last is a 1."""
    given = {each.key for each in seen if each.values}
    ended = [each for each in seen if each.values or not (each.state is TrialState.RUNNING or each.key in given)]
    ended = ended[-LEARNT:]
    if all(each.values for each in ended):
        return None
    labels = np.array([float(bool(each.values)) for each in ended])
    return _function(features([each.point for each in ended], along), labels, along, chance)


def _function(points: Array, values: Array, along: Sequence[Axis], chance: np.random.Generator) -> Process:
    groups = np.repeat(np.arange(len(along)), [axis.width for axis in along])
    some = chance.permutation(len(values))[:FITTED]
    prior = WIDE if any(axis.fine for axis in along) else PRIOR
    return process(fit(points[some], groups, values[some], prior), points, values)


def _scaled(values: Array) -> Array:
    """Return values (n, m), -1 at the best of the first trials and 0 at the worst that counts: the reference."""
    first = values[:FIRST]
    middle, best, worst = np.median(first, axis=0), first.min(axis=0), first.max(axis=0)
    limit = np.minimum(worst, middle + FAR * (middle - best))
    spread = np.where(limit > best, limit - best, np.maximum(np.ptp(values, axis=0), 1e-12))
    scaled: Array = np.minimum((values - limit) / spread, BEYOND)
    return scaled


def promise(learnt: Learnt, points: Sequence[Point]) -> Array:
    """Return how far each point is expected to push the front out, times the chance that it gives anything: (c,)."""
    others = features(points, learnt.along)
    drawn = [each.drawn(others, numbers) for each, numbers in zip(learnt.objectives, learnt.numbers.T, strict=True)]
    values, gained = np.stack(drawn, axis=-1), np.zeros(len(points))  # (d, c, m)
    for way, held in zip(learnt.ways, learnt.held, strict=True):
        longest = segments(values, way)  # (d, c)
        gained += np.maximum(longest - held, 0.0).mean(axis=0) + HINT * longest.max(axis=0)
    if learnt.gives is not None:
        gained = gained * np.clip(predict(learnt.gives, others)[0], LEAST, 1.0)
    found: Array = gained
    return found
