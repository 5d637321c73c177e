"""Rows of a cost that no graph made: how deep their names are grouped, and their digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Final

from archcost.graph.cost import Row, cut

_MOST_GROUPS: Final = 100
_FEWEST_GROUPS: Final = 4


def depth(names: Iterable[str]) -> int:
    """Return how many parts of names are a group: few enough that a few groups are told apart, not too many.

    names: of what multiplies, parts with dots between.
    """
    paths = set(names)
    deepest = max((path.count(".") + 1 for path in paths), default=1)
    sizes = {depth: len({cut(path, depth) for path in paths}) for depth in range(1, deepest + 1)}
    enough = [depth for depth, size in sizes.items() if _FEWEST_GROUPS <= size <= _MOST_GROUPS]
    few = [depth for depth, size in sizes.items() if size <= _MOST_GROUPS]
    return min(enough) if enough else max(few, key=lambda depth: sizes[depth], default=1)


def digest(rows: Sequence[Row]) -> str:
    """Return the SHA-256 of what was done: operators with their counts and shapes, no names."""
    lines = [[row.op, list(row.shape), row.runs, row.params, row.macs, row.elementwise] for row in rows]
    return hashlib.sha256(json.dumps(lines, separators=(",", ":")).encode()).hexdigest()
