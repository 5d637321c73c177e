"""From what a pass saw to the rows of a cost table, in execution order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from torch import nn

from archcost.counting.dispatch import Calls, Tally
from archcost.counting.parameters import Weights
from archcost.graph.cost import Row

UNCALLED: Final = "not called"
_MOST_GROUPS: Final = 100
_FEWEST_GROUPS: Final = 4


class Placed(NamedTuple):
    """A row, and where the pass saw it."""

    path: str
    op: str
    row: Row


def placed(module: nn.Module, calls: Calls, weights: Weights) -> tuple[Placed, ...]:
    """Return the rows of a pass; a part's parameters stand in its first row, or in a row of their own at the end.

    A part that holds parameters without running any operator itself is `not called`: its parameters may be read by
    another part, as those of nn.MultiheadAttention's projection are.
    """
    grouped, root = _groups(calls), type(module).__name__
    left = dict(weights.own)
    rows = []
    for (path, op), tally in calls.tallies.items():
        owned = (calls.runs.get(path, 1), *left.pop(path, (0, 0)))
        rows.append(Placed(path, op, _row((path or root, op, grouped(path) or root), tally, owned)))
    for path, sizes in left.items():
        if any(sizes):
            owned = (calls.runs.get(path, 0), *sizes)
            rows.append(Placed(path, UNCALLED, _row((path or root, UNCALLED, grouped(path) or root), Tally(), owned)))
    return tuple(rows)


def _row(names: tuple[str, str, str], tally: Tally, owned: tuple[int, int, int]) -> Row:
    (name, op, group), (runs, params, buffers) = names, owned
    counts = (params, buffers, tally.macs, tally.elementwise, tally.read, 0, 0, tally.written)  # read: weights with it
    return Row(name, op, group, None, tuple(tally.shape), runs, *counts)


class _Groups(NamedTuple):
    """Paths cut to `depth` names."""

    depth: int

    def __call__(self, path: str) -> str:
        return ".".join(path.split(".")[: self.depth])


def _groups(calls: Calls) -> _Groups:
    """Return how paths are grouped: as coarsely as still tells a few parts apart, not so finely that they are many."""
    paths = {path for (path, _), tally in calls.tallies.items() if tally.macs}
    deepest = max((path.count(".") + 1 for path in paths), default=1)
    sizes = {depth: len({_Groups(depth)(path) for path in paths}) for depth in range(1, deepest + 1)}
    enough = [depth for depth, size in sizes.items() if _FEWEST_GROUPS <= size <= _MOST_GROUPS]
    few = [depth for depth, size in sizes.items() if size <= _MOST_GROUPS]
    return _Groups(min(enough) if enough else max(few, key=lambda depth: sizes[depth], default=1))


def digest(rows: Sequence[Placed]) -> str:
    """Return the SHA-256 of what a module did for its call: operators with their counts and shapes, no names."""
    lines = [[p.op, list(p.row.shape), p.row.runs, p.row.params, p.row.macs, p.row.elementwise] for p in rows]
    return hashlib.sha256(json.dumps(lines, separators=(",", ":")).encode()).hexdigest()


def by_path(calls: Calls) -> dict[str, int]:
    """Return the multiply-accumulates of each part."""
    sums: dict[str, int] = {}
    for (path, _), tally in calls.tallies.items():
        sums[path] = sums.get(path, 0) + tally.macs
    return sums
