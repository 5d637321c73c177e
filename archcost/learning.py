"""What is learnt from a study's trials, and how promising that makes a point that nobody has tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from optuna.trial import TrialState

from archcost.domains import Point
from archcost.encoding import Array, Axis, axes, features
from archcost.improvement import direction, everywhere, segments
from archcost.pareto import front
from archcost.seen import Seen, key
from archcost.surrogate import FITTED, Process, fit, predict, process
from archcost.warping import Warp, warp

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

    gives: whether a point gives any values, None where all have so far; ways: (k, m), the directions in which the
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
    given = {key(each.point) for each in seen if each.values}
    ended = [each for each in seen if each.values or not (each.state is TrialState.RUNNING or key(each.point) in given)]
    ended = ended[-LEARNT:]
    if all(each.values for each in ended):
        return None
    labels = np.array([float(bool(each.values)) for each in ended])
    return _function(features([each.point for each in ended], along), labels, along, chance)


def _function(points: Array, values: Array, along: Sequence[Axis], chance: np.random.Generator) -> Process:
    groups = np.repeat(np.arange(len(along)), [axis.width for axis in along])
    some = chance.permutation(len(values))[:FITTED]
    return process(fit(points[some], groups, values[some]), points, values)


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
