"""What a surrogate has learnt from a study's trials: how promising a point is that nobody has tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from optuna.trial import TrialState

from archcost import surrogate
from archcost.domains import Point
from archcost.encoding import Array, Axis, axes, features
from archcost.improvement import expected
from archcost.seen import Seen
from archcost.surrogate import Scales

LEARNT: Final = 300
"""Trials that are learnt from, the newest: the cost grows with their cube."""
FITTED: Final = 100
"""Trials that the scales are fitted on."""
FIRST: Final = 10
"""Complete trials that say how large an objective is."""
FAR = 2.0
CUT = 0.25
LEAST: Final = 0.01
"""The chance that is left to points like those that failed or were stopped."""


@final
@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that trials gave and others are predicted to give. points: (n, q), values: (n,)."""

    points: Array
    values: Array
    scales: Scales

    def at(self, others: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation at other points; others: (m, q) -> (m,), (m,)."""
        return surrogate.predict(self.scales, self.points, self.values, others)


@final
@dataclass(frozen=True, slots=True)
class Learnt:
    """What is predicted of points: their objectives, and whether they give any (None where all have so far)."""

    along: tuple[Axis, ...]
    objectives: tuple[Quantity, ...]
    gives: Quantity | None


def learn(seen: Sequence[Seen], chance: np.random.Generator) -> Learnt:
    """Return what is learnt of trials, at least one of them complete.

    One that runs is taken to give what is predicted of it, so that no second one is sent after the same gain.
    """
    values = _scaled(np.array([each.values for each in seen if each.values]))[-LEARNT:]  # (n, m)
    good = [each for each in seen if each.values][-LEARNT:]
    ended = [each for each in seen if each.state is not TrialState.RUNNING][-LEARNT:]
    along = axes(each.domains for each in seen)
    objectives = [_quantity(good, along, column, chance) for column in values.T]
    if running := [each.point for each in seen if each.state is TrialState.RUNNING]:
        more = features(running, along)
        objectives = [_believed(each, more) for each in objectives]
    gives = None
    if not all(each.values for each in ended):
        gives = _quantity(ended, along, np.array([float(bool(each.values)) for each in ended]), chance)
    return Learnt(along, tuple(objectives), gives)


def _quantity(trials: Sequence[Seen], along: Sequence[Axis], values: Array, chance: np.random.Generator) -> Quantity:
    points = features([each.point for each in trials], along)
    groups = np.repeat(np.arange(len(along)), [axis.width for axis in along])
    some = chance.permutation(len(trials))[:FITTED]
    return Quantity(points, values, surrogate.fit(points[some], groups, values[some] - values[some].mean()))


def _believed(quantity: Quantity, more: Array) -> Quantity:
    """Return a quantity as if it had been seen where it is only predicted."""
    both = np.concatenate([quantity.points, more])
    return Quantity(both, np.append(quantity.values, quantity.at(more)[0]), quantity.scales)


def _scaled(values: Array) -> Array:
    """Return values (n, m), 0 at the worst that counts and -1 at the best of the first trials."""
    first = values[:FIRST]
    middle, best, worst = np.median(first, axis=0), first.min(axis=0), first.max(axis=0)
    limit = np.minimum(worst, middle + FAR * (middle - best))
    scaled: Array = np.minimum((values - limit) / np.maximum(limit - best, 1e-12), CUT)
    return scaled


def promise(learnt: Learnt, points: Sequence[Point], chance: np.random.Generator) -> Array:
    """Return how much hypervolume each point is expected to add, times the chance that it gives anything: (c,)."""
    others = features(points, learnt.along)
    means, deviations = (
        np.stack(each, axis=1) for each in zip(*(q.at(others) for q in learnt.objectives), strict=True)
    )
    known = np.stack([quantity.values for quantity in learnt.objectives], axis=1)
    gained = expected(means, deviations, known, np.zeros(known.shape[1]), chance)
    if learnt.gives is not None:
        gained = gained * np.clip(learnt.gives.at(others)[0], LEAST, 1.0)
    return gained
