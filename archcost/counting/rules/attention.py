"""Attention as one operator: scores, and their product with the values."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Final

from torch import Tensor

from archcost.counting.rules.rule import Args, Rule, each


def attention(args: Args, _: Any) -> int:
    """(query, key, value, ...) of (..., T, D): scores and their product with the values, masked ones too."""
    query, key, value = args[:3]
    return int(prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


def attention_backward(args: Args, _: Any) -> int:
    """(gradient, query, key, value, ...): the scores again, and two products for each of the forward's two."""
    query, key, value = args[1:4]
    scores = prod(query.shape[:-1]) * key.shape[-2]
    return int(scores * (3 * query.shape[-1] + 2 * value.shape[-1]))


def scores(args: Args, _: Any) -> int:
    """(query, key, ...): how many scores a softmax is taken of."""
    query, key = args[:2]
    return int(prod(query.shape[:-1]) * key.shape[-2])


def _lengths(offsets: Any, longest: int) -> list[int]:
    """Return the lengths of sequences behind each other; without data each may be the longest, as torch counts it."""
    if offsets.is_meta:
        return [int(longest)] * (offsets.shape[0] - 1)
    return [int(n) for n in offsets.diff().tolist()]


def _heads_last(args: Args, behind: int) -> tuple[int, int, int]:
    """Return the scores of a kernel's call, and the sizes of query and value.

    (query, key, value) are (B, T, heads, D); or, with offsets, all sequences behind each other: (T, heads, D). The
    offsets of queries and keys and their longest sequences are the four arguments from `behind` on.
    """
    query, key, value = args[:3]
    sizes = (int(query.shape[-1]), int(value.shape[-1]))
    offsets = args[behind : behind + 4]
    if len(offsets) == 4 and isinstance(offsets[0], Tensor) and isinstance(offsets[1], Tensor):
        pairs = zip(_lengths(offsets[0], offsets[2]), _lengths(offsets[1], offsets[3]), strict=True)
        return int(query.shape[-2]) * sum(q * k for q, k in pairs), *sizes
    return int(prod(query.shape[:-1]) * key.shape[-3]), *sizes


def _kernel(behind: int) -> Rule:
    def rule(args: Args, _: Any) -> int:
        number, width, depth = _heads_last(args, behind)
        return number * (width + depth)

    return rule


def _kernel_backward(behind: int) -> Rule:
    def rule(args: Args, _: Any) -> int:
        number, width, depth = _heads_last(args[1:], behind)
        return number * (3 * width + 2 * depth)

    return rule


def _kernel_scores(behind: int) -> Rule:
    return lambda args, _: _heads_last(args, behind)[0]


def _multi_head(args: Args, _: Any) -> int:
    """(query (B, T, D), key, value, D, heads, weights (3 D, D), bias, weights (D, D), ...)."""
    projections, readout = args[5], args[7]
    projected = sum(int(prod(x.shape[:-1]) * prod(projections.shape)) // 3 for x in args[:3])
    query, key = args[:2]
    return int(projected + prod(query.shape[:-1]) * prod(readout.shape) + 2 * prod(query.shape) * key.shape[-2])


def _encoder_layer(args: Args, _: Any) -> int:
    """(x (B, T, D), D, heads, two weights of attention and, among biases and norms, two of the layers behind, ...)."""
    x, weights = args[0], (args[3], args[5], args[14], args[16])
    return int(prod(x.shape[:-1]) * sum(prod(w.shape) for w in weights) + 2 * prod(x.shape) * x.shape[-2])


_KINDS: Final = """flash_attention efficient_attention cudnn_attention flash_attention_for_cpu
    fused_attention_overrideable"""
_FUSED: Final = " ".join(f"_scaled_dot_product_{kind}" for kind in _KINDS.split())
_FUSED_BACKWARD: Final = " ".join(f"_scaled_dot_product_{kind}_backward" for kind in _KINDS.split())
_PLAIN: Final = f"{_FUSED} _scaled_dot_product_attention_math_for_mps _triton_scaled_dot_attention"

ATTENTION: Final[Mapping[str, Rule]] = {
    **each(f"{_PLAIN} _cudnn_attention_forward", attention),
    **each(f"{_FUSED_BACKWARD} _cudnn_attention_backward", attention_backward),
    **each("_flash_attention_forward", _kernel(3)),
    **each("_flash_attention_forward_no_dropout_inplace", lambda args, out: _kernel(3)(args[1:], out)),
    **each("_efficient_attention_forward", _kernel(4)),
    **each("_flash_attention_backward _efficient_attention_backward", _kernel_backward(5)),
    **each("_native_multi_head_attention _triton_multi_head_attention", _multi_head),
    **each("_transformer_encoder_layer_fwd", _encoder_layer),
}
SCORES: Final[Mapping[str, Rule]] = {
    **each(f"{_PLAIN} _cudnn_attention_forward", scores),
    **each("_flash_attention_forward", _kernel_scores(3)),
    **each("_efficient_attention_forward", _kernel_scores(4)),
}
"""The elementwise part of attention: a score each."""
