"""Operators on values of few bits, whose weights are packed beside tensors."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Final

from archcost.counting.rules.rule import Args, Rule, each, last, per_output


def _filters(args: Args) -> Any:
    """Return the weight among a call's arguments: (x, packed weight, ...), or something added before it."""
    packed = next(value for value in args[1:] if hasattr(value, "unpack"))
    return packed.unpack()[0]


def _slid(args: Args, out: Any) -> int:
    return int(prod(out.shape) * prod(_filters(args).shape[1:]))


def _spread(args: Args, _: Any) -> int:
    """Every weight meets every place of the input."""
    return int(prod(args[0].shape) * prod(_filters(args).shape[1:]))


_LINEAR: Final = """linear linear_relu linear_leaky_relu linear_tanh linear_dynamic linear_relu_dynamic
    linear_dynamic_fp16 linear_relu_dynamic_fp16 linear_with_input_q_dq_qweight_dq_output_fp32
    linear_with_input_q_dq_qweight_dq_relu_output_fp32 linear_dynamic_fp16_unpacked_weight int4mm_packed_weight_cpu"""
_CONVOLUTIONS: Final = """conv1d conv1d_relu conv1d_dynamic conv2d conv2d_relu conv2d_add conv2d_add_relu
    conv2d_dynamic conv3d conv3d_relu conv3d_dynamic"""
_TRANSPOSED: Final = """conv_transpose1d conv_transpose1d_dynamic conv_transpose2d conv_transpose2d_dynamic
    conv_transpose3d conv_transpose3d_dynamic"""

QUANTIZED: Final[Mapping[str, Rule]] = {
    **each(_LINEAR, last, "quantized"),
    **each(_CONVOLUTIONS, _slid, "quantized"),
    **each(_TRANSPOSED, _spread, "quantized"),
    **each("matmul", last, "quantized"),
    **each("qlinear qlinear_relu qlinear_dynamic qlinear_relu_dynamic", last, "sparse"),
    **each("linear_dynamic_fp16 linear_relu_dynamic_fp16 qlinear_pointwise", last, "onednn"),
    **each("linear linear_dynamic", last, "_quantized"),
}

_ONE: Final = """add add_out add_relu add_relu_out add_scalar add_scalar_out add_scalar_relu add_scalar_relu_out mul
    mul_out mul_relu mul_relu_out mul_scalar mul_scalar_out mul_scalar_relu mul_scalar_relu_out celu clamp elu hardswish
    leaky_relu prelu relu6 sigmoid softmax threshold"""
_NORMS: Final = """batch_norm batch_norm1d batch_norm1d_relu batch_norm2d batch_norm2d_relu batch_norm3d
    batch_norm3d_relu batch_norm_relu group_norm instance_norm layer_norm"""

QUANTIZED_ELEMENTWISE: Final[Mapping[str, Rule]] = {
    **each(_ONE, per_output(1), "quantized"),
    **each(_NORMS, per_output(2), "quantized"),
    **each("max_pool1d max_pool2d", lambda args, out: (prod(args[1]) - 1) * int(prod(out.shape)), "quantized"),
}
