"""Expected hypervolume improvement of candidates whose objectives are uncertain, for any number of objectives."""

from __future__ import annotations

from typing import Final

import numpy as np

from archcost.encoding import Array

DIRECTIONS: Final = 48
DRAWS: Final = 8


def expected(means: Array, deviations: Array, known: Array, reference: Array, chance: np.random.Generator) -> Array:
    """Return how much hypervolume each candidate is expected to add to what known points dominate, up to a factor.

    means, deviations: (c, m), independent and normal; known: (n, m); reference: (m,) -> (c,). The hypervolume is a mean
    over directions of the longest segment from the reference that some point cuts (Golovin and Zhang 2020, lemma 5),
    so that no boxes are needed, and three objectives cost little more than two. All candidates share the drawn numbers.
    """
    m = len(reference)
    ways = np.abs(chance.standard_normal((DIRECTIONS, m))) + 1e-9
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    held = _segments(known, reference, ways).max(axis=-1, initial=0.0)  # (directions,)
    gained = np.zeros(len(means))
    for drawn in _spread(chance, m):
        longer = _segments(means + deviations * drawn, reference, ways) - held[:, None]  # (directions, c)
        gained += np.maximum(longer, 0.0).mean(axis=0)
    return gained / DRAWS


def _spread(chance: np.random.Generator, m: int) -> Array:
    """Return normal numbers (draws, m) and their opposites, so that their mean is 0."""
    half = chance.standard_normal((DRAWS // 2, m))
    return np.concatenate([half, -half])


def _segments(points: Array, reference: Array, ways: Array) -> Array:
    """Return the m-th powers of the segments that points cut; points: (c, m), ways: (d, m) -> (d, c)."""
    below = np.maximum(reference - points, 0.0)
    cut = below[:, 0] / ways[:, 0, None]
    for place in range(1, len(reference)):
        np.minimum(cut, below[:, place] / ways[:, place, None], out=cut)
    powers: Array = cut ** len(reference)
    return powers
