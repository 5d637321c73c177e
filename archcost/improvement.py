"""How much points would push a front out in some directions, for any number of objectives.

The hypervolume below a reference is a mean over directions of the longest segment from the reference that a point cuts,
to the power of the number of objectives (Golovin and Zhang 2020, lemma 5). Many directions together are the expected
improvement of the hypervolume (Emmerich 2005): best while a front is coarse, as it goes where most is to be had. Later
it would go on where the model errs most; one direction a trial, drawn anew, keeps every part of the front in turn.
Coordinates are those of the reference: a point is better than it where it is negative.
"""

from __future__ import annotations

import numpy as np

from archcost.encoding import Array


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
