"""Elementwise work: 2 a norm's output, 1 an activation's, each input of a reduction or loss.

What torch tags as pointwise needs no line here: it is one operation an output. So is the backward of an operator
without products.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Final

from torch import Tensor

from archcost.counting.rules.attention import SCORES
from archcost.counting.rules.few_bits import QUANTIZED_ELEMENTWISE
from archcost.counting.rules.geometry import DIFFERENCES
from archcost.counting.rules.rule import Rule, each, first, per_input, per_output, size


def _pool(extra: int) -> Rule:
    """Return the rule of a pool of k x k values: k^2 - 1 an output, `extra` more for an average."""
    return lambda args, out: (prod(args[1]) - 1 + extra) * size(first(out))


def _bias(place: int) -> Rule:
    return lambda args, out: size(out) if isinstance(args[place], Tensor) else 0


_NORMS: Final = """native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training
    cudnn_batch_norm _native_batch_norm_legit_functional _batch_norm_with_update
    _batch_norm_with_update_functional _batch_norm_no_update batch_norm_elemt miopen_batch_norm
    quantized_batch_norm native_layer_norm native_group_norm _fused_rms_norm renorm embedding_renorm
    _weight_norm_interface"""
_ONE: Final = """_softmax _log_softmax _safe_softmax _masked_softmax _sparse_softmax _sparse_log_softmax
    _nested_tensor_softmax_with_shape _add_relu _conj_physical _masked_scale _prelu_kernel __lshift__ __rshift__
    __ilshift__ __irshift__ abs add bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor
    celu complex copysign cumprod cumsum div elu eq floor_divide gcd ge gelu glu glu_jvp glu_backward_jvp gt
    hardshrink hardsigmoid hardswish hardtanh heaviside isin isinf isnan lcm le leaky_relu linalg_cross
    log_sigmoid_forward lt mish mul ne polar relu remainder rrelu_with_noise rrelu_with_noise_functional rsub
    softplus softshrink sub threshold where xlogy fake_quantize_per_channel_affine_cachemask
    fake_quantize_per_tensor_affine_cachemask _fake_quantize_per_tensor_affine_cachemask_tensor_qparams
    _fake_quantize_learnable_per_channel_affine _fake_quantize_learnable_per_tensor_affine
    _fused_moving_avg_obs_fq_helper _fused_moving_avg_obs_fq_helper_functional _transform_bias_rescale_qkv
    _amp_update_scale _dirichlet_grad _standard_gamma_grad _nested_sum_backward adaptive_avg_pool3d_backward
    _sparse_csr_prod _sparse_csr_sum"""
_REDUCTIONS: Final = """sum mean amax amin prod var std var_mean std_mean linalg_vector_norm norm native_norm
    logsumexp cummax cummin logcumsumexp _cummax_helper _cummin_helper _logcumsumexp any all max min argmax
    argmin aminmax _aminmax median nanmedian nansum count_nonzero mode trace dist allclose _is_all_true
    _is_any_true hash_tensor histc histogram _histogramdd_bin_edges _histogramdd_from_bin_cts
    _histogramdd_from_bin_tensors segment_reduce linalg__powsum _sparse_sum batch_norm_stats
    batch_norm_update_stats batch_norm_gather_stats batch_norm_gather_stats_with_counts max_pool1d_with_indices
    _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d mkldnn_adaptive_avg_pool2d"""
_LOSSES: Final = """mse_loss binary_cross_entropy binary_cross_entropy_with_logits huber_loss smooth_l1_loss
    soft_margin_loss multi_margin_loss multilabel_margin_loss_forward _ctc_loss _cudnn_ctc_loss miopen_ctc_loss"""
_MAX_POOLS: Final = """max_pool2d_with_indices max_pool3d_with_indices fractional_max_pool2d
    fractional_max_pool3d mkldnn_max_pool2d mkldnn_max_pool3d quantized_max_pool1d quantized_max_pool2d
    quantized_max_pool3d"""
_GATES: Final = "_thnn_fused_lstm_cell _thnn_fused_gru_cell _thnn_fused_lstm_cell_backward_impl"
_OPTIMISERS: Final = "_fused_adagrad _fused_adam _fused_adamw _fused_sgd"

ELEMENTWISE: Final[Mapping[str, Rule]] = {
    **each(_NORMS, per_output(2)),
    **each(_ONE, per_output(1)),
    **each(_REDUCTIONS, per_input()),
    **each(_LOSSES, per_input()),
    **each(_MAX_POOLS, _pool(0)),
    **each("avg_pool2d avg_pool3d", _pool(1)),
    **each("scatter_reduce index_reduce scatter_add index_add", per_input(3)),
    **each("batch_norm_backward_elemt batch_norm_backward_reduce", per_input()),
    **each("_amp_foreach_non_finite_check_and_unscale _foreach_powsum", per_input()),
    **each(_GATES, per_input()),
    **each(_OPTIMISERS, per_input()),
    **each("addmm _addmm_activation addmv baddbmm", _bias(0)),
    **each("convolution _convolution convolution_overrideable mkldnn_convolution", _bias(2)),
    **SCORES,
    **DIFFERENCES,
    **QUANTIZED_ELEMENTWISE,
}
