"""From what a pass saw to the rows of a cost table, in execution order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from torch import nn

from archcost.counting.dispatch import Calls, Tally
from archcost.counting.parameters import Weights
from archcost.graph import tables
from archcost.graph.cost import Row, cut

UNCALLED: Final = "not called"


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
    depth = tables.depth(path for (path, _), tally in calls.tallies.items() if tally.macs)
    root = type(module).__name__
    left = dict(weights.own)
    rows = []
    for (path, op), tally in calls.tallies.items():
        owned = (calls.runs.get(path, 1), *left.pop(path, (0, 0)))
        rows.append(Placed(path, op, _row((path or root, op, cut(path, depth) or root), tally, owned)))
    for path, sizes in left.items():
        if any(sizes):
            owned = (calls.runs.get(path, 0), *sizes)
            rows.append(
                Placed(path, UNCALLED, _row((path or root, UNCALLED, cut(path, depth) or root), Tally(), owned))
            )
    return tuple(rows)


def _row(names: tuple[str, str, str], tally: Tally, owned: tuple[int, int, int]) -> Row:
    (name, op, group), (runs, params, buffers) = names, owned
    counts = (params, buffers, tally.macs, tally.elementwise, tally.read, 0, 0, tally.written)  # read: weights with it
    return Row(name, op, group, None, tuple(tally.shape), runs, *counts)


def digest(rows: Sequence[Placed]) -> str:
    """Return the SHA-256 of what a module did for its call."""
    return tables.digest([placed.row for placed in rows])


def by_path(calls: Calls) -> dict[str, int]:
    """Return the multiply-accumulates of each part."""
    sums: dict[str, int] = {}
    for (path, _), tally in calls.tallies.items():
        sums[path] = sums.get(path, 0) + tally.macs
    return sums
