"""Products of matrices and vectors: dense, in groups, of few bits."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Final

from archcost.counting.rules.rule import Args, Rule, asked, each, last


def _mm(args: Args, _: Any) -> int:
    """(left, right)."""
    left, right = args[:2]
    return int(left.shape[0] * left.shape[1] * right.shape[1])


def _bmm(args: Args, _: Any) -> int:
    return int(prod(args[0].shape) * args[1].shape[2])


def _mv(args: Args, _: Any) -> int:
    return int(prod(args[0].shape))


def _behind(rule: Rule) -> Rule:
    """Return the rule of a product whose arguments stand behind what is added to it."""
    return lambda args, out: rule(args[1:], out)


def _outer(args: Args, _: Any) -> int:
    return int(args[1].shape[0] * args[2].shape[0])


def _mm_list(args: Args, _: Any) -> int:
    return sum(_mm(pair, None) for pair in zip(args[0], args[1], strict=True))


def _grouped(args: Args, _: Any) -> int:
    """(left, right, ..., offsets, ...): a mixture of experts; rows, columns or what is summed fall into groups.

    A side of two dimensions is cut by the offsets, so that each of its rows (or columns) meets one group of the other
    side; two sides of three dimensions are a batch of products.
    """
    left, right = args[:2]
    if left.dim() == 3 and right.dim() == 2:
        return int(left.shape[1] * prod(right.shape))
    return int(prod(left.shape) * right.shape[-1])


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


def _combination(args: Args, _: Any) -> int:
    """(terms (K, ...), coefficients (N, K)): N sums of K terms, as matrix_exp adds up its powers."""
    return int(prod(args[0].shape[1:]) * prod(args[1].shape))


def _halved(args: Args, out: Any) -> int:
    """(left with every other value, right (K, N), ...): two of four values are kept, and multiplied."""
    return int(prod(out.shape) * args[1].shape[0]) // 2


def _bag_weights(args: Args, _: Any) -> int:
    """(gradient (B, D), weight, indices, ...): one product of D values for each index."""
    return int(args[2].numel() * args[0].shape[-1])


def _linear_backward(args: Args, _: Any) -> int:
    """(x, gradient, weight, which are wanted)."""
    return int(prod(args[1].shape[:-1]) * prod(args[2].shape)) * asked(args[3])


def _matmul_backward(args: Args, _: Any) -> int:
    """(gradient, left, right, which are wanted): each as often as forward, where every output sums over left's last."""
    return int(prod(args[0].shape) * args[1].shape[-1]) * asked(args[3])


def _chunked_loss(args: Args, _: Any) -> int:
    """(x, weight (V, D), ..., whether x's and the weight's gradients are made at once).

    F.linear_cross_entropy in chunks: the readout of every token, and its gradients in the same pass.
    """
    gradients = asked(args[12:14]) if len(args) > 13 else 0
    return int(prod(args[0].shape) * args[1].shape[0]) * (1 + gradients)


_LINEAR: Final = """mkldnn_linear _weight_int8pack_mm _weight_int4pack_mm _weight_int4pack_mm_for_cpu
    _weight_int4pack_mm_with_scales_and_zeros _dyn_quant_matmul_4bit _mixed_dtypes_linear"""

PRODUCTS: Final[Mapping[str, Rule]] = {
    **each("mm _int_mm _scaled_mm _scaled_mm_v2", _mm),
    **each("addmm _addmm_activation", _behind(_mm)),
    **each("bmm", _bmm),
    **each("baddbmm addbmm", _behind(_bmm)),
    **each("mv dot vdot", _mv),
    **each("addmv", _behind(_mv)),
    **each("addr", _outer),
    **each("_foreach_mm", _mm_list),
    **each("_grouped_mm _scaled_grouped_mm _scaled_grouped_mm_v2", _grouped),
    **each(_LINEAR, last),
    **each("linear_backward mkldnn_linear_backward", _linear_backward),
    **each(
        "mkldnn_linear_backward_input mkldnn_linear_backward_weights",
        lambda args, _: (
            int(prod(args[1].shape[:-1] if isinstance(args[0], list) else args[0].shape[:-1]))
            * int(prod(args[2].shape))
        ),
    ),
    **each("matmul_backward", _matmul_backward),
    **each("_trilinear", _trilinear),
    **each("_compute_linear_combination", _combination),
    **each("_cslt_sparse_mm", _halved),
    **each("_sparse_semi_structured_linear", lambda args, out: int(prod(out.shape) * args[1].shape[-1])),
    **each("_sparse_semi_structured_mm", lambda args, out: int(prod(args[0].shape) * args[2].shape[-1])),
    **each("_sparse_semi_structured_addmm", lambda args, out: int(prod(args[1].shape) * args[3].shape[-1])),
    **each("_embedding_bag_per_sample_weights_backward", _bag_weights),
    **each(
        "_linear_cross_entropy_batch_chunked _linear_cross_entropy_batch_chunked_no_reduction",
        _chunked_loss,
        "torch_nn",
    ),
}
