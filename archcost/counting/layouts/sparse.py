"""What operators on sparse tensors cost: products by the values that are stored.

A block stores all that is in it. A product with a dense side multiplies every stored value with each row or column of
that side. Of two sparse matrices, column k of the left meets row k of the right: the sum over k of
nnz(A[:, k]) * nnz(B[k, :]) (Gustavson, 1978).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from archcost.nets.storage import SPARSE, values_of

Rule: TypeAlias = Callable[[Sequence[Any]], int | None]
"""arguments -> multiply-accumulates; None if this form of the operator has no count."""

Elementwise: TypeAlias = Callable[[Sequence[Any], Any], int]
"""(arguments, result) -> elementwise operations."""


def is_sparse(value: object) -> bool:
    """Return whether a value is a sparse tensor."""
    return isinstance(value, Tensor) and value.layout in SPARSE


def stored(tensor: Tensor) -> int:
    """Return the values of a sparse tensor, zeros inside blocks with them; of a dense one all."""
    return values_of(tensor).numel()


def macs_of(name: str, args: Sequence[Any]) -> int | None:
    """Return what an operator multiplies if some of its arguments are sparse; None if it has no rule here."""
    rule = _RULES.get(name)
    return None if rule is None else rule(args)


def multiplies(name: str) -> bool:
    """Return whether an operator multiplies matrices if some of them are sparse."""
    return name in _RULES


def harmless(name: str) -> bool:
    """Return whether an operator makes, converts, orders or reads sparse tensors, or is elementwise on them alone."""
    return name in _MOVES or name in _PER_VALUE


def elementwise_of(name: str, rule: Elementwise | None, args: Sequence[Any], result: Any) -> int:
    """Return the elementwise operations of an operator with sparse arguments: its rule, of the stored values alone.

    What adds a sparse tensor to a dense one, or reduces it to one, visits the stored values only.
    """
    if name in _PER_VALUE:
        return stored(args[0])
    if rule is None:
        return 0
    if name not in _RULES and isinstance(result, Tensor) and not is_sparse(result):
        return max((stored(value) for value in args if is_sparse(value)), default=0)
    return rule([_flat(value) for value in args], _flat(result))


def _flat(value: Any) -> Any:
    if is_sparse(value):
        return values_of(value)
    return [_flat(v) for v in value] if isinstance(value, list | tuple) else value


def _product(args: Sequence[Any], first: int = 0) -> int | None:
    """(left, right), from a place on; vectors are one column or row."""
    left, right = args[first : first + 2]
    if is_sparse(left) and is_sparse(right):
        return _of_two(left, right) if left.dim() == right.dim() == 2 else None
    if is_sparse(left):
        return stored(left) * (int(right.shape[-1]) if right.dim() > 1 else 1)
    if is_sparse(right):
        return stored(right) * (int(left.shape[-2]) if left.dim() > 1 else 1)
    if first and is_sparse(args[0]):
        return int(prod(left.shape) * (right.shape[-1] if right.dim() > 1 else 1))
    return None


def _of_two(left: Tensor, right: Tensor) -> int:
    columns, rows = _spread(left, 1), _spread(right, 0)
    return int((columns * rows).sum())


def _spread(matrix: Tensor, dimension: int) -> Tensor:
    """Return how many values each row (0) or column (1) of a matrix stores; matrix: (R, C) -> (R,) or (C,)."""
    if matrix.layout is torch.sparse_coo:
        return torch.bincount(matrix._indices()[dimension], minlength=matrix.shape[dimension])
    by_rows = matrix.layout in (torch.sparse_csr, torch.sparse_bsr)
    block = matrix.values().shape[1:3] if matrix.values().dim() > 1 else (1, 1)
    if by_rows is (dimension == 0):  # the compressed side: differences of its pointers
        pointers = matrix.crow_indices() if by_rows else matrix.ccol_indices()
        blocks = pointers.diff()
    else:
        plain = matrix.col_indices() if by_rows else matrix.row_indices()
        blocks = torch.bincount(plain, minlength=matrix.shape[dimension] // block[dimension])
    return blocks.repeat_interleave(block[dimension]) * block[1 - dimension]


def _sampled(args: Sequence[Any]) -> int:
    """(pattern, left, right): a product of a row and a column for each value of the pattern."""
    return stored(args[0]) * int(args[1].shape[-1])


def _reduced_backward(args: Sequence[Any]) -> int:
    """(sparse, gradient, dense, reduction, places, which are wanted): the forward's products again for each."""
    return stored(args[0]) * int(args[1].shape[-1]) * sum(map(bool, args[5]))


_behind = partial(_product, first=1)
_RULES: Final[Mapping[str, Rule]] = {
    **dict.fromkeys("mm mv bmm matmul hspmm _sparse_sparse_matmul _sparse_mm_reduce_impl".split(), _product),
    **dict.fromkeys("addmm addmm_ _sparse_addmm addmv addmv_ baddbmm baddbmm_ sspaddmm".split(), _behind),
    "sparse_sampled_addmm": _sampled,
    "_sparse_mm_reduce_impl_backward": _reduced_backward,
}
_PER_VALUE: Final = frozenset(
    """_sparse_softmax _sparse_log_softmax _sparse_softmax_backward_data _sparse_log_softmax_backward_data _sparse_sum
    _sparse_sum_backward""".split()
)
_MOVES: Final = frozenset(
    """_coalesce _coalesced_ _convert_indices_from_coo_to_csr _convert_indices_from_csr_to_coo _indices _nnz
    _sparse_broadcast_to _sparse_compressed_tensor_unsafe _sparse_compressed_tensor_with_dims
    _sparse_coo_tensor_unsafe _sparse_coo_tensor_with_dims _sparse_coo_tensor_with_dims_and_tensors
    _sparse_mask_projection _spdiags _to_dense _to_sparse _to_sparse_bsc _to_sparse_bsr _to_sparse_csc
    _to_sparse_csr _validate_sparse_compressed_tensor_args _validate_sparse_coo_tensor_args _values ccol_indices
    col_indices copy_sparse_to_sparse_ crow_indices dense_dim indices is_coalesced row_indices
    sparse_compressed_tensor sparse_coo_tensor sparse_dim sparse_mask sparse_resize_ sparse_resize_and_clear_
    values _validate_sparse_csr_tensor_args _validate_sparse_csc_tensor_args _validate_sparse_bsr_tensor_args
    _validate_sparse_bsc_tensor_args""".split()
)
