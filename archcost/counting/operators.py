"""What torch's operators cost: a rule for each that multiplies matrices, by its shapes.

These are the operators that reach the dispatcher, below autograd, modules and composite functions: einsum, matmul,
linear layers and recurrent cells have become mm, addmm and bmm there. What no table here knows is reported as
uncounted: it may carry multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import prod
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

Args: TypeAlias = Sequence[Any]
Rule: TypeAlias = Callable[[Args, Any], int]
"""(arguments, result) -> a number; arguments as the schema orders them."""


def _mm(args: Args, _: Any) -> int:
    """(left, right); of a sparse left only the values that are there meet a row of the right."""
    left, right = args[:2]
    dense = left.layout is torch.strided
    return int((left.shape[0] * left.shape[1] if dense else left._nnz()) * right.shape[1])


def _bmm(args: Args, _: Any) -> int:
    return int(prod(args[0].shape) * args[1].shape[2])


def _mv(args: Args, _: Any) -> int:
    return int(prod(args[0].shape))


def _behind_bias(rule: Rule) -> Rule:
    """Return the rule of a product whose arguments stand behind what is added to it."""
    return lambda args, out: rule(args[1:], out)


def _outer(args: Args, _: Any) -> int:
    return int(args[1].shape[0] * args[2].shape[0])


def _convolution(args: Args, out: Any) -> int:
    """(x, weight, bias, stride, padding, dilation, transposed, ...); every weight meets every place it slides over."""
    x, weight, transposed = args[0], args[1], len(args) > 6 and args[6] is True
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
    """nn.Bilinear's kernel, forward and backward: (three factors, the dimensions each is spread over, ...).

    One product for every combination of indices.
    """
    sides: list[int] = []
    for factor, spread in zip(args[:3], args[3:6], strict=True):
        shape = list(factor.shape)
        for dimension in sorted(spread):
            shape.insert(dimension, 1)
        sides = [max(pair) for pair in zip(sides or shape, shape, strict=True)]
    return prod(sides)


def _attention(args: Args, _: Any) -> int:
    """(query, key, value, ...) of (..., T, D): scores and their product with the values, masked ones too."""
    query, key, value = args[:3]
    return int(prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


def _attention_backward(args: Args, _: Any) -> int:
    """(grad, query, key, value, ...): the scores again, and two products for each of the forward's two."""
    query, key, value = args[1:4]
    scores = prod(query.shape[:-1]) * key.shape[-2]
    return int(scores * (3 * query.shape[-1] + 2 * value.shape[-1]))


def _quantized_linear(args: Args, out: Any) -> int:
    """(x, packed weight, ...)."""
    return int(prod(out.shape) * args[0].shape[-1])


def _fused_recurrence(args: Args, _: Any) -> int:
    """(x, weights of the input, weights of the state, ...): both meet every step of every example."""
    return int(prod(args[0].shape[:-1]) * (args[1].numel() + args[2].numel()))


_aten = torch.ops.aten


def _each(names: str, rule: Rule) -> dict[Any, Rule]:
    """Return the rule for each of torch's operators of those names that this version of torch has."""
    return {getattr(_aten, name): rule for name in names.split() if hasattr(_aten, name)}


_FUSED = "flash_attention efficient_attention cudnn_attention flash_attention_for_cpu".split()

MACS: Final[Mapping[Any, Rule]] = {
    **_each("mm _int_mm _scaled_mm", _mm),
    **_each("addmm addmm_ _addmm_activation", _behind_bias(_mm)),
    **_each("bmm", _bmm),
    **_each("baddbmm baddbmm_ addbmm addbmm_", _behind_bias(_bmm)),
    **_each("mv dot vdot", _mv),
    **_each("addmv addmv_", _behind_bias(_mv)),
    **_each("addr addr_", _outer),
    **_each("convolution _convolution convolution_overrideable cudnn_convolution mkldnn_convolution", _convolution),
    **_each("convolution_backward", _convolution_backward),
    **_each("_trilinear", _trilinear),
    **_each("_sparse_addmm", _behind_bias(_mm)),
    **_each("conv_tbc", lambda args, out: int(prod(out.shape) * prod(args[1].shape[:2]))),
    **_each("mkldnn_rnn_layer", _fused_recurrence),
    **_each(" ".join(f"_scaled_dot_product_{kind}" for kind in _FUSED), _attention),
    **_each(" ".join(f"_scaled_dot_product_{kind}_backward" for kind in _FUSED), _attention_backward),
}
BY_NAME: Final[Mapping[str, Rule]] = {
    f"quantized::linear{kind}": _quantized_linear
    for kind in ("", "_relu", "_dynamic", "_relu_dynamic", "_dynamic_fp16", "_relu_dynamic_fp16")
}


def _size(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel()
    return sum(_size(v) for v in value) if isinstance(value, list | tuple) else 0


def _first(out: Any) -> Any:
    return out[0] if isinstance(out, tuple | list) and out else out


def _per_output(times: int) -> Rule:
    return lambda _, out: times * _size(_first(out))


def _per_input(args: Args, _: Any) -> int:
    return _size(args[0])


def _per_score(args: Args, _: Any) -> int:
    query, key = args[:2]
    return int(prod(query.shape[:-1]) * key.shape[-2])


def _pool(extra: int) -> Rule:
    """Return the rule of a pool of k x k values: k^2 - 1 an output, `extra` more for an average."""
    return lambda args, out: (prod(args[1]) - 1 + extra) * _size(_first(out))


def _bias(place: int) -> Rule:
    return lambda args, out: _size(out) if isinstance(args[place], Tensor) else 0


_NORMS = """native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm
    _batch_norm_with_update _batch_norm_no_update native_layer_norm native_group_norm _fused_rms_norm"""
_REDUCTIONS = """sum mean amax amin prod var std var_mean std_mean linalg_vector_norm norm logsumexp cumsum cumprod any
    all max min argmax argmin aminmax max_pool1d_with_indices median mode _adaptive_avg_pool2d _adaptive_avg_pool3d
    adaptive_max_pool2d adaptive_max_pool3d"""
ELEMENTWISE: Final[Mapping[Any, Rule]] = {
    **_each(_NORMS, _per_output(2)),
    **_each(_REDUCTIONS, _per_input),
    **_each("_weight_norm_interface", _per_output(2)),
    **_each("_softmax _log_softmax _safe_softmax", _per_output(1)),
    **_each(" ".join(f"_scaled_dot_product_{kind}" for kind in _FUSED), _per_score),
    **_each("avg_pool2d avg_pool3d", _pool(1)),
    **_each("max_pool2d_with_indices max_pool3d_with_indices", _pool(0)),
    **_each("addmm addmm_ addmv addmv_ baddbmm baddbmm_", _bias(0)),
    **_each("convolution _convolution convolution_overrideable", _bias(2)),
}
"""What is no matrix product: 2 a norm's output, 1 an activation's, each input of a reduction, and so on."""

MOVES: Final = frozenset(
    """_assert_async _cdist_none _conj _copy_from _efficientzerotensor _embedding_bag _embedding_bag_dense_backward
    _embedding_bag_forward_only _fw_primal _has_same_storage_numel _local_scalar_dense _make_dual
    _nested_tensor_from_mask _nested_tensor_from_mask_left_aligned _nested_view_from_jagged
    _pack_padded_sequence _pad_packed_sequence _reshape_alias _reshape_copy _to_copy _unique2 _unpack_dual
    _unsafe_index _unsafe_view alias arange argsort as_strided bernoulli bernoulli_ bincount cat channel_shuffle
    clone col2im constant_pad_nd contiguous copy copy_ dequantize detach detach_ diag_embed embedding
    embedding_dense_backward empty empty_like empty_permuted empty_strided equal expand exponential_ eye fill
    fill_ flip full full_like gather grid_sampler_2d grid_sampler_3d hamming_window hann_window im2col index
    index_add index_add_ index_copy index_copy_ index_fill index_put index_put_ index_select is_same_size item
    kthvalue lift lift_fresh lift_fresh_copy linspace masked_fill masked_fill_ masked_scatter masked_select
    multinomial native_channel_shuffle native_dropout new_empty new_empty_strided new_full new_ones new_zeros
    nll_loss2d_forward nll_loss_forward nonzero normal normal_ one_hot ones ones_like pad permute pixel_shuffle
    pixel_unshuffle quantize_per_tensor rand rand_like randint randint_like randn randn_like randperm
    reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave replication_pad1d
    replication_pad2d replication_pad3d resize_ roll rot90 scalar_tensor scatter scatter_ scatter_add
    scatter_add_ searchsorted select_backward select_scatter set_ slice_backward slice_scatter sort split
    split_with_sizes squeeze_ stack sym_size t t_ topk transpose_ tril tril_ tril_indices triu triu_
    triu_indices unbind unfold unfold_backward uniform uniform_ unique unique_consecutive unsafe_split
    unsafe_split_with_sizes unsqueeze_ upsample_bicubic2d upsample_bilinear2d upsample_linear1d
    upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d view zero zero_ zeros
    zeros_like""".split()
)
"""Operators that move, make or choose values, or interpolate them: no matrix product is in them."""

LOOKUPS: Final = frozenset("embedding _embedding_bag index index_select gather take _unsafe_index".split())
"""Operators that read of their first argument only what they return."""

PRODUCTS: Final = frozenset({packet._qualified_op_name.partition("::")[2] for packet in MACS})
_BACKWARD_ENDS: Final = ("_backward", "_backward_data")


FLEX: Final = "flex_attention"
"""The higher-order operator that has a rule: (query, key, value, ...) as any attention."""


def flex_work(args: Args) -> tuple[int, int]:
    """Return flex_attention's MACs and elementwise operations, masked scores with them."""
    return _attention(args, None), _per_score(args, None)


def macs_rule(op: Any) -> Rule | None:
    """Return the rule of an operator that multiplies matrices, None for others; `op` is an OpOverload."""
    return MACS.get(op.overloadpacket) or BY_NAME.get(op._schema.name)


def elementwise_rule(op: Any) -> Rule | None:
    """Return the rule of an operator's elementwise work, None if it has none."""
    rule = ELEMENTWISE.get(op.overloadpacket)
    if rule is None and torch.Tag.pointwise in op.tags and op._schema.name.partition("::")[2] not in MOVES:
        return _per_output(1)
    return rule


def known(op: Any) -> bool:
    """Return whether an operator has a rule or provably multiplies no matrices: what is not known is uncounted."""
    space, _, name = op._schema.name.partition("::")
    return (
        space == "profiler"
        or macs_rule(op) is not None
        or elementwise_rule(op) is not None
        or op.is_view
        or (space in ("aten", "prims", "prim", "quantized") and name in MOVES)
        or (space == "aten" and name.endswith(_BACKWARD_ENDS) and _elementwise_backward(name))
    )


def _elementwise_backward(name: str) -> bool:
    forward = name.removesuffix("_data").removesuffix("_backward")
    names = (forward, f"{forward}_with_indices", f"native_{forward}")
    return any(n in _without_products() or n in MOVES for n in names) or _is_pointwise(forward)


@cache
def _without_products() -> frozenset[str]:
    return frozenset(packet._qualified_op_name.partition("::")[2] for packet in ELEMENTWISE) - PRODUCTS


def _is_pointwise(name: str) -> bool:
    packet = getattr(_aten, name, None)
    return packet is not None and any(torch.Tag.pointwise in getattr(packet, o).tags for o in packet.overloads())
