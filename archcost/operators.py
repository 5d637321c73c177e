"""What torch's own operators cost: a rule for each that carries multiply-accumulates, by its shapes.

These are the operators that reach the dispatcher, below autograd, modules and composite functions: einsum, matmul,
linear layers and recurrent cells have become mm, addmm and bmm there. What is in none of the tables here is reported as
uncounted: it may carry MACs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

Args: TypeAlias = Sequence[Any]
Rule: TypeAlias = Callable[[Args, Any], int]
"""(arguments, result) -> a number; arguments as the schema orders them."""


def _mm(args: Args, _: Any) -> int:
    return int(args[0].shape[0] * args[0].shape[1] * args[1].shape[1])


def _addmm(args: Args, out: Any) -> int:
    return _mm(args[1:], out)


def _bmm(args: Args, _: Any) -> int:
    return int(prod(args[0].shape) * args[1].shape[2])


def _baddbmm(args: Args, out: Any) -> int:
    return _bmm(args[1:], out)


def _mv(args: Args, _: Any) -> int:
    return int(prod(args[0].shape))


def _addmv(args: Args, out: Any) -> int:
    return _mv(args[1:], out)


def _convolution(args: Args, out: Any) -> int:
    """(x, weight, bias, stride, padding, dilation, transposed, ...); every weight meets every place it slides over."""
    x, weight, transposed = args[0], args[1], args[6]
    places = x if transposed else out
    return int(prod(places.shape) * prod(weight.shape[1:]))


def _convolution_backward(args: Args, _: Any) -> int:
    """(grad, x, weight, bias sizes, stride, padding, dilation, transposed, output padding, groups, mask).

    The input's and the weight's gradient each multiply as often as the forward pass; the mask says which are asked for.
    """
    grad, x, weight, transposed, mask = args[0], args[1], args[2], args[7], args[10]
    places = x if transposed else grad
    return int(prod(places.shape) * prod(weight.shape[1:])) * (bool(mask[0]) + bool(mask[1]))


def _trilinear(args: Args, _: Any) -> int:
    """nn.Bilinear's kernel: every weight meets the product of one value of each input, once an example."""
    return int(prod(args[0].shape[:1]) * prod(args[1].shape))


def _attention(args: Args, _: Any) -> int:
    """(query, key, value, ...) of (B, heads, T, D): scores and their product with the values, masked ones too."""
    query, key, value = args[:3]
    return int(prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


def _attention_backward(args: Args, out: Any) -> int:
    """(grad, query, key, value, ...): the scores again, and two products for each of the forward's two."""
    query, key, value = args[1:4]
    scores = prod(query.shape[:-1]) * key.shape[-2]
    return int(scores * (3 * query.shape[-1] + 2 * value.shape[-1]))


def _quantized_linear(args: Args, out: Any) -> int:
    return int(prod(out.shape) * args[0].shape[-1])


_aten = torch.ops.aten

MACS: Final[Mapping[Any, Rule]] = {
    _aten.mm: _mm,
    _aten._int_mm: _mm,
    _aten._scaled_mm: _mm,
    _aten.addmm: _addmm,
    _aten._addmm_activation: _addmm,
    _aten.addmm_: _addmm,
    _aten.bmm: _bmm,
    _aten.baddbmm: _baddbmm,
    _aten.baddbmm_: _baddbmm,
    _aten.mv: _mv,
    _aten.addmv: _addmv,
    _aten.dot: _mv,
    _aten.vdot: _mv,
    _aten.convolution: _convolution,
    _aten._convolution: _convolution,
    _aten.convolution_overrideable: _convolution,
    _aten.convolution_backward: _convolution_backward,
    _aten._trilinear: _trilinear,
    _aten._scaled_dot_product_flash_attention: _attention,
    _aten._scaled_dot_product_efficient_attention: _attention,
    _aten._scaled_dot_product_cudnn_attention: _attention,
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._scaled_dot_product_flash_attention_backward: _attention_backward,
    _aten._scaled_dot_product_efficient_attention_backward: _attention_backward,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
BY_NAME: Final[Mapping[str, Rule]] = {
    "quantized::linear_dynamic": _quantized_linear,
    "quantized::linear_relu_dynamic": _quantized_linear,
    "quantized::linear_dynamic_fp16": _quantized_linear,
    "quantized::linear": _quantized_linear,
}


def _size(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel()
    return sum(_size(v) for v in value) if isinstance(value, list | tuple) else 0


def _per_output(times: int) -> Rule:
    return lambda _, out: times * _size(out[0] if isinstance(out, tuple) else out)


def _per_input(args: Args, _: Any) -> int:
    return _size(args[0])


def _pool(extra: int) -> Rule:
    """Return the rule of a pool of k x k values: k^2 - 1 an output, `extra` more for an average."""
    return lambda args, out: (prod(args[1]) - 1 + extra) * _size(out[0] if isinstance(out, tuple) else out)


def _bias(place: int) -> Rule:
    return lambda args, out: _size(out) if isinstance(args[place], Tensor) else 0


_NORMS = (
    "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm "
    "_batch_norm_with_update _batch_norm_no_update native_layer_norm native_group_norm _fused_rms_norm"
)
_REDUCTIONS = (
    "sum mean amax amin prod var std var_mean std_mean linalg_vector_norm norm logsumexp cumsum cumprod any all max min "
    "argmax argmin aminmax max_pool1d_with_indices median mode"
)
ELEMENTWISE: Final[Mapping[Any, Rule]] = {
    **{getattr(_aten, name): _per_output(2) for name in _NORMS.split() if hasattr(_aten, name)},
    **{getattr(_aten, name): _per_input for name in _REDUCTIONS.split() if hasattr(_aten, name)},
    **{getattr(_aten, name): _per_output(1) for name in ("_softmax", "_log_softmax", "_safe_softmax")},
    **{getattr(_aten, f"{kind}{d}d"): _pool(1) for kind in ("avg_pool",) for d in (2, 3)},
    **{getattr(_aten, f"max_pool{d}d_with_indices"): _pool(0) for d in (2, 3)},
    **{getattr(_aten, f"_adaptive_avg_pool{d}d"): _per_input for d in (2, 3)},
    **{getattr(_aten, f"adaptive_max_pool{d}d"): _per_input for d in (2, 3)},
    _aten.addmm: _bias(0),
    _aten.convolution: _bias(2),
}

MOVES: Final = frozenset(
    """_assert_async _cdist_none _conj _copy_from _embedding_bag _embedding_bag_forward_only _local_scalar_dense
    _nested_tensor_from_mask _nested_tensor_from_mask_left_aligned _pack_padded_sequence _pad_packed_sequence
    _reshape_alias _reshape_copy _to_copy _unsafe_index _unsafe_view alias arange argsort as_strided bernoulli bernoulli_
    bincount cat clone col2im constant_pad_nd contiguous copy copy_ detach detach_ diag_embed embedding empty empty_like
    empty_permuted empty_strided equal exponential_ expand eye fill fill_ flip full full_like gather im2col index
    index_add index_copy index_fill index_put index_put_ index_select item kthvalue lift lift_fresh lift_fresh_copy
    linspace masked_fill masked_fill_ masked_scatter masked_select multinomial native_dropout new_empty
    new_empty_strided new_full new_ones new_zeros nonzero normal normal_ one_hot ones ones_like pad permute pixel_shuffle
    pixel_unshuffle rand rand_like randint randint_like randn randn_like randperm reflection_pad1d reflection_pad2d
    reflection_pad3d repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d resize_ roll
    rot90 scalar_tensor scatter scatter_ scatter_add searchsorted select_backward select_scatter set_ slice_backward
    slice_scatter sort split split_with_sizes stack t topk tril tril_indices triu triu_indices unbind unfold
    unfold_backward uniform uniform_ unique unsafe_split unsafe_split_with_sizes upsample_bicubic2d upsample_bilinear2d
    upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d view zero_ zeros
    zeros_like embedding_dense_backward _embedding_bag_dense_backward""".split()
)
"""Operators that move, make or choose values, or interpolate them: no matrix product is in them."""

_BACKWARD_ENDS: Final = ("_backward", "_backward_data")


def macs_rule(op: Any) -> Rule | None:
    """Return the rule of an operator that carries MACs, None for others; `op` is an OpOverload."""
    return MACS.get(op.overloadpacket) or BY_NAME.get(op._schema.name)


def elementwise_rule(op: Any) -> Rule | None:
    """Return the rule of an operator's elementwise work, None where it has none."""
    rule = ELEMENTWISE.get(op.overloadpacket)
    if rule is None and torch.Tag.pointwise in op.tags:
        return _per_output(1)
    return rule


def known(op: Any) -> bool:
    """Return whether an operator has a rule or provably multiplies no matrices: what is not known is uncounted."""
    name = op._schema.name.partition("::")[2]
    return (
        macs_rule(op) is not None
        or elementwise_rule(op) is not None
        or op.is_view
        or name in MOVES
        or (name.endswith(_BACKWARD_ENDS) and _elementwise_backward(name))
    )


def _elementwise_backward(name: str) -> bool:
    forward = name.removesuffix("_data").removesuffix("_backward")
    whole = {packet._qualified_op_name.partition("::")[2] for packet in ELEMENTWISE}
    return any(n in whole or n in MOVES for n in (forward, f"{forward}_with_indices", f"native_{forward}")) or (
        hasattr(_aten, forward) and any(
            torch.Tag.pointwise in getattr(getattr(_aten, forward), o).tags for o in getattr(_aten, forward).overloads()
        )
    )
