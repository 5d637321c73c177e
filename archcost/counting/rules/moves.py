"""Operators that move, make, choose or interpolate values: no products, 0 operations."""

from __future__ import annotations

from typing import Final

_VIEWS_COPIED: Final = """_conj_copy _fw_primal_copy _indices_copy _make_dual_copy _nested_get_values_copy
    _nested_view_from_buffer_copy _nested_view_from_jagged_copy _neg_view_copy _reshape_alias_copy _reshape_copy
    _sparse_broadcast_to_copy _values_copy alias_copy as_strided_copy ccol_indices_copy col_indices_copy
    crow_indices_copy detach_copy diagonal_copy expand_copy indices_copy lift_fresh_copy narrow_copy
    permute_copy row_indices_copy select_copy slice_copy split_copy split_with_sizes_copy squeeze_copy t_copy
    transpose_copy unbind_copy unfold_copy unsqueeze_copy values_copy view_as_complex_copy view_as_real_copy
    view_copy"""

_VIEWS: Final = """_conj _fw_primal _has_same_storage_numel _make_dual _reshape_alias _unpack_dual _unsafe_view
    alias as_strided contiguous detach diag_embed expand lift lift_fresh one_hot permute resize resize_as set
    split split_with_sizes squeeze stack t transpose unbind unfold unsafe_split unsafe_split_with_sizes
    unsqueeze view _lazy_clone _resize_output _stack _unsafe_masked_index"""

_MADE: Final = """_efficientzerotensor _empty_affine_quantized _empty_per_channel_affine_quantized arange
    bartlett_window bernoulli binomial blackman_window cauchy empty empty_like empty_permuted empty_quantized
    empty_strided exponential eye fft_fftfreq fft_rfftfreq fill from_file full full_like geometric
    hamming_window hann_window kaiser_window linspace log_normal logspace multinomial new_empty
    new_empty_strided new_full new_ones new_zeros normal normal_functional ones ones_like poisson rand rand_like
    randint randint_like randn randn_like random randperm range scalar_tensor tril_indices triu_indices uniform
    zero zeros zeros_like _new_zeros_with_same_feature_meta _sample_dirichlet _standard_gamma
    _cudnn_init_dropout_state _fill_mem_eff_dropout_mask _philox_key_fold_in _philox_key_split _philox_normal
    _philox_uniform _make_dep_token native_dropout _fused_dropout"""

_MOVED: Final = """_chunk_cat _copy_from _copy_from_and_resize _reshape_copy _to_copy _foreach_copy
    _foreach_clone _foreach_zero _pin_memory block_diag cat channel_shuffle clone col2im constant_pad_nd copy
    diagonal_scatter as_strided_scatter flip im2col index_copy index_fill index_put _index_put_impl
    _unsafe_index_put _unsafe_masked_index_put_accumulate masked_fill masked_scatter max_unpool2d max_unpool3d
    native_channel_shuffle pad pixel_shuffle pixel_unshuffle put reflection_pad1d reflection_pad2d
    reflection_pad3d repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d roll rot90
    scatter select_scatter slice_scatter tril triu lu_unpack _mkldnn_reshape _mkldnn_transpose
    mkldnn_reorder_conv2d_weight mkldnn_reorder_conv3d_weight to_mkldnn _cudnn_rnn_flatten_weight
    select_backward slice_backward diagonal_backward unfold_backward _nested_select_backward
    embedding_dense_backward _embedding_bag_dense_backward"""

_CHOSEN: Final = """_embedding_bag _embedding_bag_forward_only _unique _unique2 _unsafe_index argsort bincount
    bucketize embedding gather index index_select kthvalue masked_select nll_loss2d_forward nll_loss_forward
    nll_loss2d_backward nll_loss_backward nonzero nonzero_static searchsorted sort take topk unique_consecutive
    unique_dim unique_dim_consecutive"""

_INTERPOLATED: Final = """grid_sampler_2d grid_sampler_3d cudnn_grid_sampler _grid_sampler_2d_cpu_fallback
    upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d
    upsample_nearest3d upsample_trilinear3d _upsample_bicubic2d_aa _upsample_bilinear2d_aa
    _upsample_lanczos2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d"""

_ASKED: Final = """_assert_async _assert_tensor_metadata _functional_assert_async _functional_assert_scalar
    _functional_sym_constrain_range _functional_sym_constrain_range_for_size _fused_sdp_choice
    _linalg_check_errors _local_scalar_dense _use_cudnn_ctc_loss _use_miopen_ctc_loss
    _validate_compressed_sparse_indices _cslt_sparse_mm_search equal is_pinned is_same_size is_set_to item
    record_stream sym_size"""

_PACKED: Final = """_make_per_channel_quantized_tensor _make_per_tensor_quantized_tensor dequantize int_repr
    q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point qscheme
    quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic _convert_weight_to_int4pack
    _convert_weight_to_int4pack_for_cpu _dyn_quant_pack_4bit_weight _cslt_compress _to_sparse_semi_structured
    _sparse_semi_structured_apply _sparse_semi_structured_apply_dense _sparse_semi_structured_tile"""

_LAID_OUT: Final = """_dimI _dimV resize_as_sparse _nested_compute_contiguous_strides_offsets
    _nested_get_max_seqlen _nested_get_min_seqlen _pack_padded_sequence _pad_packed_sequence"""

MOVES: Final = frozenset(
    " ".join((_VIEWS_COPIED, _VIEWS, _MADE, _MOVED, _CHOSEN, _INTERPOLATED, _ASKED, _PACKED, _LAID_OUT)).split()
)
"""By name, without the underscore at the end of those that write into an argument."""

LOOKUPS: Final = frozenset("embedding _embedding_bag index index_select gather take _unsafe_index".split())
"""Operators that read of their first argument only what they return."""

MOVING_SPACES: Final = frozenset("prim profiler c10d _c10d_functional _c10d_functional_autograd".split())
"""Namespaces whose operators all note or send values."""

ELSEWHERE: Final[frozenset[str]] = frozenset(
    """torchvision::nms torchvision::roi_align torchvision::roi_pool torchvision::ps_roi_align torchvision::ps_roi_pool
    torchvision::_roi_align_backward torchvision::_roi_pool_backward torchvision::_ps_roi_align_backward
    torchvision::_ps_roi_pool_backward quantized::dropout quantized::cat quantized::cat_relu quantized::cat_out
    quantized::cat_relu_out quantized::embedding_byte quantized::embedding_4bit quantized::embedding_bag_byte
    quantized::embedding_bag_4bit quantized::embedding_bag_byte_rowwise_offsets
    quantized::embedding_bag_4bit_rowwise_offsets quantized::embedding_bag_2bit_rowwise_offsets
    quantized::embedding_bag_prepack quantized::embedding_bag_byte_prepack quantized::embedding_bag_4bit_prepack
    quantized::embedding_bag_2bit_prepack quantized::embedding_bag_byte_unpack quantized::embedding_bag_4bit_unpack
    quantized::embedding_bag_2bit_unpack quantized::conv_prepack quantized::conv1d_prepack quantized::conv2d_prepack
    quantized::conv3d_prepack quantized::conv_transpose1d_prepack quantized::conv_transpose2d_prepack
    quantized::conv_transpose3d_prepack quantized::linear_prepack quantized::linear_prepack_fp16
    quantized::linear_unpack quantized::linear_unpack_fp16 quantized::make_quantized_cell_params
    quantized::make_quantized_cell_params_dynamic""".split()
)
"""The same in other namespaces, with their namespace."""
