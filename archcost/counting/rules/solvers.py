"""Solvers and decompositions, which are left open: they multiply, and have no agreed count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PIVOTS = "an LU factorisation, whose order depends on the values"
_ITERATES = "iterates until the values have converged"
_BLOCKS = "by blocks, whose size and extra products depend on the library"

OPEN: Final[Mapping[str, str]] = {
    "_linalg_det": _PIVOTS,
    "_linalg_slogdet": _PIVOTS,
    "_linalg_solve_ex": _PIVOTS,
    "linalg_inv_ex": _PIVOTS,
    "linalg_lu": _PIVOTS,
    "linalg_lu_factor_ex": _PIVOTS,
    "linalg_ldl_factor_ex": "a factorisation whose pivots depend on the values",
    "_linalg_eigh": _ITERATES,
    "_linalg_eigvals": _ITERATES,
    "_linalg_svd": _ITERATES,
    "linalg_eig": _ITERATES,
    "linalg_eigvals": _ITERATES,
    "linalg_pinv": "by a singular value decomposition, which iterates",
    "linalg_matrix_exp": "the number of its products depends on the norms of the values",
    "cholesky": _BLOCKS,
    "cholesky_inverse": _BLOCKS,
    "linalg_cholesky_ex": _BLOCKS,
    "geqrf": _BLOCKS,
    "linalg_qr": _BLOCKS,
    "linalg_householder_product": _BLOCKS,
    "ormqr": _BLOCKS,
    "linalg_lstsq": "by one of four factorisations, which the driver decides",
    "_spsolve": "a factorisation whose fill-in depends on the places of the values",
}
"""By name, with the reason; no network's inference holds one unless it solves or decomposes."""
