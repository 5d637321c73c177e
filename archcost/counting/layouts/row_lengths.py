"""What operators on nested tensors cost: the sum over their rows, each of its own length.

Of a jagged one (torch.jagged) torch itself says which dense operators it consists of, and these are counted, except
products that it pads to the longest row; a strided one has no sizes, and is counted by its rows here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, Final, TypeAlias

from torch import Tensor

Rule: TypeAlias = Callable[[Sequence[Any]], int]
"""arguments, with the row of a nested tensor in its place -> multiply-accumulates of that row."""

Elementwise: TypeAlias = Callable[[Sequence[Any], Any], int]
"""(arguments, result) -> elementwise operations."""


def is_nested(value: object) -> bool:
    """Return whether a value is a nested tensor, of either layout."""
    return isinstance(value, Tensor) and value.is_nested


def padded(name: str, args: Sequence[Any]) -> bool:
    """Return whether torch would pad a product's jagged tensor: if it meets a batch of matrices."""
    return name in _PADDED and all(value.dim() > 2 for value in args if isinstance(value, Tensor))


def multiplies(name: str) -> bool:
    """Return whether an operator multiplies matrices."""
    return name in _RULES


def macs_of(name: str, args: Sequence[Any]) -> int | None:
    """Return what an operator multiplies for all rows of its nested arguments; None if it has no rule here."""
    rule = _RULES.get(name)
    return None if rule is None else sum(rule(row) for row in _rows(args))


def harmless(name: str) -> bool:
    """Return whether an operator only makes, pads, or takes apart nested tensors."""
    return name in _MOVES


def elementwise_of(name: str, rule: Elementwise | None, args: Sequence[Any], result: Any) -> int:
    """Return the elementwise operations of an operator: of what torch has as one for nested tensors, or its own."""
    if name in _ELEMENTWISE:
        return sum(_ELEMENTWISE[name](row) for row in _rows(args))
    return rule(args, result) if rule is not None else 0


def asked_by_torch() -> bool:
    """Return whether torch's own code for nested tensors, and not a module's, has called the operator that runs.

    It reads the lengths of rows, which decides the count and not the course of the call.
    """
    frame = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith("torch.nested"):
            return True
        if not name.startswith(("torch.", "archcost.counting.")):
            return False
        frame = frame.f_back  # type: ignore[assignment]  # None ends it
    return False


def _rows(args: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield the arguments row by row: of a nested tensor, and of a batch of matrices beside it, their i-th part."""
    count = next(len(value.unbind()) for value in args if is_nested(value))
    parts = [_parts(value, count) for value in args]
    for i in range(count):
        yield [values[i] for values in parts]


def _parts(value: Any, count: int) -> Sequence[Any]:
    if is_nested(value) or (isinstance(value, Tensor) and value.dim() > 2 and value.shape[0] == count):
        return list(value.unbind())
    return [value] * count


def _product(args: Sequence[Any]) -> int:
    """(left, right) of one row: (..., R, K) @ (..., K, C)."""
    left, right = args[:2]
    return int(prod(left.shape) * right.shape[-1])


def _linear(args: Sequence[Any]) -> int:
    """(x, weight, bias): (L, K) and (N, K)."""
    return int(prod(args[0].shape) * args[1].shape[0])


def _attention(query: Tensor, key: Tensor, value: Tensor, width: int) -> int:
    """Return the MACs of a whole attention layer with projections of that width, of one row."""
    projected = width * width * (2 * query.shape[0] + key.shape[0] + value.shape[0])
    return int(projected + 2 * query.shape[0] * key.shape[0] * width)


def _layer(args: Sequence[Any]) -> int:
    """(x, width, heads, ..., first matrix of the feed-forward part, ...): attention, and two matrices."""
    x, width, inner = args[0], args[1], args[14]
    return _attention(x, x, x, width) + int(2 * prod(x.shape) * inner.shape[0])


def _bias(args: Sequence[Any]) -> int:
    return int(args[0].shape[0] * args[1].shape[0]) if len(args) > 2 and args[2] is not None else 0


def _scores(args: Sequence[Any]) -> int:
    """(query, key, value, width, heads, ...): a softmax over the scores, and the biases of four projections."""
    query, key, value, width, heads = args[:5]
    rows = 2 * query.shape[0] + key.shape[0] + value.shape[0]
    return int(heads * query.shape[0] * key.shape[0] + width * rows)


def _between(args: Sequence[Any]) -> int:
    """A layer's: those of its attention, two norms (2 a value), two sums, two biases, an activation."""
    x, width, heads, inner = args[0], args[1], args[2], args[14]
    length = x.shape[0]
    return _scores([x, x, x, width, heads]) + int(length * (7 * width + 2 * inner.shape[0]))


_ATTENTION: Final = "_native_multi_head_attention"
_LAYER: Final = "_transformer_encoder_layer_fwd"
_PADDED: Final = frozenset({"bmm", "matmul"})
_RULES: Final[Mapping[str, Rule]] = {
    "linear": _linear,
    "matmul": _product,
    "bmm": _product,
    _ATTENTION: lambda args: _attention(*args[:4]),
    _LAYER: _layer,
}
_ELEMENTWISE: Final[Mapping[str, Rule]] = {"linear": _bias, _ATTENTION: _scores, _LAYER: _between}
_MOVES: Final = frozenset(
    """_jagged_to_padded_dense_forward _nested_from_padded _nested_from_padded_and_nested_example
    _nested_from_padded_tensor _nested_get_jagged_dummy _nested_get_lengths _nested_get_offsets
    _nested_get_ragged_idx _nested_get_values _nested_tensor_from_mask _nested_tensor_from_mask_left_aligned
    _nested_tensor_from_tensor_list _nested_tensor_size _nested_tensor_storage_offsets _nested_tensor_strides
    _nested_view_from_buffer _nested_view_from_jagged _padded_dense_to_jagged_forward nested_to_padded_tensor
    to_padded_tensor values""".split()
)
