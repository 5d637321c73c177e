"""Products under other names: distances between rows, grids, triangular systems."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Final

import torch

from archcost.counting.rules.rule import Args, Rule, each, first


def _pairs(args: Args) -> int:
    """(rows (..., P, M), rows (..., R, M), ...): P R M, in every batch; batches are broadcast."""
    left, right = args[:2]
    batches = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])  # type: ignore[no-untyped-call]  # torch's
    return int(prod(batches) * left.shape[-2] * right.shape[-2] * left.shape[-1])


def _euclidean(power: float) -> bool:
    return power == 2


def _distances(args: Args, _: Any) -> int:
    """(rows, rows, p, ...): of Euclidean distances one multiply-add for every component, others multiply nothing."""
    return _pairs(args) if len(args) < 3 or _euclidean(args[2]) else 0


def _distances_backward(args: Args, _: Any) -> int:
    """(gradient, rows, rows, p, distances): of either side's gradient, as often as forward."""
    return _pairs(args[1:3]) if _euclidean(args[3]) else 0


def _own_distances(args: Args, _: Any) -> int:
    """(rows (N, M), p): each pair once."""
    rows, columns = args[0].shape
    return int(rows * (rows - 1) // 2 * columns) if len(args) < 2 or _euclidean(args[1]) else 0


def _own_distances_backward(args: Args, _: Any) -> int:
    """(gradient, rows (N, M), p, distances): each pair for both of its rows."""
    rows, columns = args[1].shape
    return int(rows * (rows - 1) * columns) if _euclidean(args[2]) else 0


def _grid(args: Args, out: Any) -> int:
    """(theta (N, d, d + 1), size, ...) -> (N, ..., d): every place is multiplied with a matrix."""
    return int(prod(out.shape) * args[0].shape[-1])


def _grid_backward(args: Args, out: Any) -> int:
    """(gradient (N, ..., d), ...) -> (N, d, d + 1)."""
    return int(prod(args[0].shape) * out.shape[-1])


def _solved(solves: int, place: int) -> Rule:
    """Return the rule of systems that are solved by so many triangular matrices of n rows, the argument at `place`.

    The unknown of row i is a sum over the i - 1 before it: n (n - 1) / 2 multiply-adds for each right side (Golub and
    Van Loan, Matrix Computations, 3.1).
    """
    return lambda args, out: int(solves * prod(first(out).shape) * (args[place].shape[-1] - 1)) // 2


GEOMETRY: Final[Mapping[str, Rule]] = {
    **each("_cdist_forward _euclidean_dist", _distances),
    **each("_cdist_backward", _distances_backward),
    **each("_pdist_forward", _own_distances),
    **each("_pdist_backward", _own_distances_backward),
    **each("affine_grid_generator cudnn_affine_grid_generator", _grid),
    **each("cudnn_affine_grid_generator_backward", _grid_backward),
    **each("triangular_solve", _solved(1, 1)),
    **each("linalg_solve_triangular", _solved(1, 0)),
    **each("cholesky_solve _cholesky_solve_helper", _solved(2, 1)),
    **each("linalg_lu_solve linalg_ldl_solve", _solved(2, 0)),
}


def _differences(args: Args, _: Any) -> int:
    """(rows, rows, p, ...): a difference for every component; its power too if the distance is not Euclidean."""
    return _pairs(args) * (1 if len(args) < 3 or _euclidean(args[2]) else 2)


def _own_differences(args: Args, _: Any) -> int:
    rows, columns = args[0].shape
    return int(rows * (rows - 1) // 2 * columns) * (1 if len(args) < 2 or _euclidean(args[1]) else 2)


DIFFERENCES: Final[Mapping[str, Rule]] = {
    **each("_cdist_forward _euclidean_dist", _differences),
    **each("_pdist_forward", _own_differences),
}
"""The elementwise part of distances."""
