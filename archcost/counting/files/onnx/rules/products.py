"""What ONNX's operators multiply: a rule for each, by shapes.

As for torch's operators, a multiply-accumulate is one, biases are not in it, and what a mask leaves out is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil, log2, prod
from typing import Final, TypeAlias

from archcost.counting.files.onnx.rules.steps import Shape, Step, UnknownShape

Rule: TypeAlias = Callable[[Step], int]
"""Gives a number of one call; raises UnknownShape if sizes that it needs follow from data."""


def _convolution(x: int, weight: int, *, transposed: bool = False) -> Rule:
    """Return the rule of (x, weight (M, C/groups, *kernel)): every weight meets every place that it slides over."""
    return lambda step: prod(step.shape(x) if transposed else step.result) * prod(step.shape(weight)[1:])


def _product(left: int) -> Rule:
    """Return the rule of a product whose left operand's last axis is summed over: (..., M, K) x (..., K, N)."""
    return lambda step: prod(step.result) * step.shape(left)[-1]


def _gemm(step: Step) -> int:
    """(A (M, K) or with transA (K, M), B, C)."""
    return prod(step.result) * step.shape(0)[0 if step.number("transA") else 1]


def _fused_product(step: Step) -> int:
    """com.microsoft.FusedMatMul: transA swaps A's last two axes, transBatchA moves its first to before the last."""
    shape = step.shape(0)
    if len(shape) > 1 and step.number("transA"):
        return prod(step.result) * shape[0 if step.number("transBatchA") else -2]
    return prod(step.result) * shape[-1]


def _packed_product(step: Step) -> int:
    """com.microsoft.MatMulNBits and MatMulBnb4: the weight is packed, N and K are attributes."""
    return prod(step.shape(0)[:-1]) * step.number("K") * step.number("N")


def einsum(step: Step) -> int:
    """Return what an Einsum multiplies, from left to right: each pair once for every combination of its letters.

    As torch does, a letter that no later operand and no output has is summed with the pair that has it last, and one
    that a single operand has alone before it is multiplied. Without a letter to sum over, a pair is elementwise.
    """
    terms, output = _letters(step)
    sizes: dict[str, int] = {}
    for place, term in enumerate(terms):
        for letter, size in zip(term, _aligned(step.shape(place), term), strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    wanted = [set("".join(terms[place + 1 :])) | set(output) for place in range(len(terms))]
    left, total = set(terms[0]), 0
    for place, term in enumerate(terms[1:], start=1):
        right, later = set(term), wanted[place]
        left, right = left & (right | later), right & (left | later)
        if (left & right) - later:
            total += prod(sizes[letter] for letter in left | right)
        left = (left | right) & later
    return total


def _letters(step: Step) -> tuple[list[str], str]:
    """Return the letters of each operand and of the result, an ellipsis as letters of another alphabet."""
    before, arrow, after = step.text("equation").replace(" ", "").partition("->")
    terms = before.split(",")
    if len(terms) != len(step.inputs):
        raise UnknownShape
    named = [_spelt(term, len(step.shape(place)) - len(term.replace("...", ""))) for place, term in enumerate(terms)]
    widest = max((_spread(term) for term in named), key=len, default="")
    letters = "".join(named)
    alone = "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c not in widest))
    return named, after.replace("...", widest) if arrow else widest + alone


def _spelt(term: str, more: int) -> str:
    """Return an operand's letters with its ellipsis spelt out: axes of ellipses are equal counted from the last."""
    return term.replace("...", "".join(chr(0x1000 + place) for place in range(more, 0, -1)))


def _spread(term: str) -> str:
    return "".join(letter for letter in term if ord(letter) >= 0x1000)


def _aligned(shape: Shape, term: str) -> Shape:
    if len(shape) != len(term):
        raise UnknownShape
    return shape


def _recurrent(weight: int, state: int) -> Rule:
    """Return the rule of (x, W (directions, gates * H, I), R (directions, gates * H, H)): both meet every step."""

    def rule(step: Step) -> int:
        return prod(step.shape(0)[:2]) * (prod(step.shape(weight)) + prod(step.shape(state)))

    return rule


def heads(step: Step) -> tuple[int, int, int, int, int]:
    """Return (batch * query heads, queries, keys, head size, value size) of ai.onnx's Attention, past keys included.

    Q, K and V are (batch, heads, length, size), or (batch, length, heads * size) with the heads as attributes.
    """
    query, key, value = step.shape(0), step.shape(1), step.shape(2)
    if len(query) == 4:
        count, queries, keys, size, size_v = query[1], query[2], key[2], query[3], value[3]
    else:
        count, of_keys = step.number("q_num_heads"), step.number("kv_num_heads")
        if not count or not of_keys:
            raise UnknownShape
        queries, keys, size, size_v = query[1], key[1], query[2] // count, value[2] // of_keys
    past = step.shape(4)[2] if step.has(4) else 0
    return query[0] * count, queries, keys + past, size, size_v


def _attention(step: Step) -> int:
    count, queries, keys, size, size_v = heads(step)
    return count * queries * keys * (size + size_v)


def _linear_attention(step: Step) -> int:
    """(query, key, value (B, T, heads * size), ...): S += k v^T and q^T S each step, with a delta rule S^T k too.

    The state is of every key head, the query reads it by its own heads.
    """
    query, value = step.shape(0), step.shape(2)
    own, shared = step.number("q_num_heads"), step.number("kv_num_heads")
    if not own or not shared:
        raise UnknownShape
    state = query[2] // own * (value[2] // shared)
    updates = 2 if "delta" in step.text("update_rule", "gated_delta") else 1
    return prod(query[:2]) * state * (own + updates * shared)


def transform(length: int, times: int, *, real: bool) -> int:
    """Return the multiply-adds of `times` FFTs: 5 n log2 n operations, two a multiply-add, half for a real one."""
    complex_one = 5 * length * log2(length) / 2 if length > 1 else 0.0
    return times * ceil(complex_one / 2 if real else complex_one)


def _dft(step: Step) -> int:
    """(x (..., n, 1 or 2), dft_length, axis): real if the last axis is 1, or the result is the inverse's real one."""
    shape, result = step.shape(0), step.result
    axis = step.number("axis", 1) if step.version < 20 else -2
    if step.has(2) and step.version >= 20:
        if step.input(2).known is None:
            raise UnknownShape
        axis = int(step.input(2).known.reshape(-1)[0])
    axis %= len(shape)
    length = max(shape[axis], result[axis])
    if step.has(1):
        if step.input(1).known is None:
            raise UnknownShape
        length = int(step.input(1).known.reshape(-1)[0])
    times = prod(size for place, size in enumerate(shape[:-1]) if place != axis)
    return transform(length, times, real=1 in (shape[-1], result[-1]))


def _stft(step: Step) -> int:
    """(signal (B, n, 1 or 2), step, window, frame length) -> (B, frames, bins, 2)."""
    batch, frames, bins, _ = step.result
    is_real = step.shape(0)[-1] == 1
    length = step.shape(2)[0] if step.has(2) else (bins - 1) * 2 if step.number("onesided", 1) else bins
    return transform(length, batch * frames, real=is_real)


def _affine_grid(step: Step) -> int:
    """(theta (N, 2, 3) or (N, 3, 4), size) -> (N, *places, 2 or 3): every place meets its example's matrix."""
    return prod(step.result) * (step.result[-1] + 1)


def _linear_model(step: Step) -> int:
    """ai.onnx.ml's LinearClassifier and LinearRegressor: (x (N, C)), the coefficients of every class or target."""
    shape = step.shape(0)
    return (shape[0] if len(shape) > 1 else 1) * len(step.attributes.get("coefficients", ()))


def _support_vectors(step: Step) -> int:
    """ai.onnx.ml's SVMs: every example meets every support vector, and their coefficients."""
    shape = step.shape(0)
    terms = len(step.attributes.get("support_vectors", ())) + len(step.attributes.get("coefficients", ()))
    return (shape[0] if len(shape) > 1 else 1) * terms


PRODUCTS: Final[Mapping[str, Rule]] = {
    "Conv": _convolution(0, 1),
    "ConvInteger": _convolution(0, 1),
    "QLinearConv": _convolution(0, 3),
    "DeformConv": _convolution(0, 1),
    "CausalConvWithState": _convolution(0, 1),
    "ConvTranspose": _convolution(0, 1, transposed=True),
    "Gemm": _gemm,
    "MatMul": _product(0),
    "MatMulInteger": _product(0),
    "QLinearMatMul": _product(0),
    "Einsum": einsum,
    "RNN": _recurrent(1, 2),
    "GRU": _recurrent(1, 2),
    "LSTM": _recurrent(1, 2),
    "Attention": _attention,
    "LinearAttention": _linear_attention,
    "DFT": _dft,
    "STFT": _stft,
    "AffineGrid": _affine_grid,
}
"""Those of ai.onnx."""

CLASSICAL: Final[Mapping[str, Rule]] = {
    "LinearClassifier": _linear_model,
    "LinearRegressor": _linear_model,
    "SVMClassifier": _support_vectors,
    "SVMRegressor": _support_vectors,
}
"""Those of ai.onnx.ml."""

OPEN: Final[Mapping[str, str]] = {
    "Det": "a decomposition, whose order depends on the implementation",
    "SequenceMap": "its body runs as often as a sequence is long, which no type says",
    "Gradient": "the graph that it differentiates is not in it",
    "FlexAttention": "a preview whose graphs change the scores",
    "ImageDecoder": "decodes a file",
}
"""What has no count, with the reason: such a node makes MACs a lower bound."""

FUSED: Final[Mapping[str, Rule]] = {
    "FusedMatMul": _fused_product,
    "TransposeMatMul": _fused_product,
    "FusedMatMulActivation": _fused_product,
    "MatMulNBits": _packed_product,
    "MatMulBnb4": _packed_product,
    "DynamicQuantizeLSTM": _recurrent(1, 2),
}
"""Those of com.microsoft that are no operator of ai.onnx's with more inputs, attention apart."""
