"""Operators of com.microsoft that ONNX Runtime's quantiser and optimiser write.

ONNX itself has no schema of theirs; shapes and costs are as ContribOperators.md of ONNX Runtime describes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Final, NamedTuple, TypeAlias

from archcost.counting.files.onnx.rules.elementwise import bias, per_output
from archcost.counting.files.onnx.rules.products import FUSED, Rule
from archcost.counting.files.onnx.rules.steps import Shape, Step, UnknownShape

DOMAIN: Final = "com.microsoft"
_FLOAT, _UINT8, _INT32 = 1, 2, 6  # as TensorProto numbers types

Results: TypeAlias = "list[tuple[int, Shape]]"
"""The type and shape of each result."""


@dataclass(frozen=True, slots=True)
class Alike:
    """An operator that is one of ai.onnx's, of some of its inputs (quantisation's and extras left out).

    inputs: places, a last None for every third one from there on; more: elementwise operations an output besides.
    """

    op: str
    inputs: tuple[int | None, ...] = (0,)
    more: int = 0
    elem: int = 0

    def picked(self, count: int) -> tuple[int, ...]:
        """Return the places among so many inputs."""
        *first, last = self.inputs
        start = self.inputs[-2] if last is None else None
        rest = range((start or 0) + 3, count, 3) if last is None else (last,)
        return tuple(place for place in (*(p for p in first if p is not None), *rest) if place is not None)


class Own(NamedTuple):
    """An operator with a rule for its results; macs: None if it multiplies no matrices."""

    results: Callable[[Step], Results]
    elementwise: Rule
    macs: Rule | None = None


ALIKE: Final[Mapping[str, Alike]] = {
    "QLinearAdd": Alike("Add", (0, 3)),
    "QLinearMul": Alike("Mul", (0, 3)),
    "QLinearWhere": Alike("Where", (0, 1, 4)),
    "QLinearSigmoid": Alike("Sigmoid"),
    "QLinearLeakyRelu": Alike("LeakyRelu"),
    "QLinearSoftmax": Alike("Softmax"),
    "QLinearAveragePool": Alike("AveragePool"),
    "QLinearReduceMean": Alike("ReduceMean"),
    "QLinearConcat": Alike("Concat", (2, None)),
    "QGemm": Alike("Gemm", (0, 3, 6)),
    "FusedConv": Alike("Conv", (0, 1, 2), more=1),
    "FusedGemm": Alike("Gemm", (0, 1, 2), more=1),
    "GemmFastGelu": Alike("MatMul", (0, 1), more=2),
    "MatMulIntegerToFloat": Alike("MatMulInteger", (0, 1), more=2, elem=_FLOAT),
    "DynamicQuantizeMatMul": Alike("MatMul", (0, 1), more=2),
    "MatMulInteger16": Alike("MatMulInteger", (0, 1)),
    "QuantizeLinear": Alike("QuantizeLinear", (0, 1, 2)),
    "DequantizeLinear": Alike("DequantizeLinear", (0, 1, 2)),
    "BiasGelu": Alike("Add", (0, 1), more=1),
    "FastGelu": Alike("Gelu"),
    "Gelu": Alike("Gelu"),
    "QuickGelu": Alike("Sigmoid", more=1),
    "BiasAdd": Alike("Add", (0, 1), more=1),
    "Pad": Alike("Pad", (0, 1, 2)),
    "Trilu": Alike("Trilu", (0, 1)),
    "GatherND": Alike("GatherND", (0, 1)),
    "Range": Alike("Range", (0, 1, 2)),
    "Unique": Alike("Unique"),
    "GridSample": Alike("GridSample", (0, 1)),
}
"""Those that are counted as an operator of ai.onnx's, with its attributes."""


def _same(step: Step) -> Results:
    return [(step.input(0).elem, step.shape(0))]


def _product(step: Step) -> Results:
    """FusedMatMul: shapes as its transposed operands broadcast."""
    left, right = _turned(step, "A", step.shape(0)), _turned(step, "B", step.shape(1))
    if len(left) < 2 or len(right) < 2:
        raise UnknownShape
    return [(step.input(0).elem, (*_broadcast(left[:-2], right[:-2]), left[-2], right[-1]))]


def _turned(step: Step, side: str, shape: Shape) -> Shape:
    if step.number(f"transBatch{side}") and len(shape) > 2:
        shape = (*shape[1:-1], shape[0], shape[-1])
    return (*shape[:-2], shape[-1], shape[-2]) if step.number(f"trans{side}") and len(shape) > 1 else shape


def _broadcast(left: Shape, right: Shape) -> Shape:
    longest = max(len(left), len(right))
    padded = [(1,) * (longest - len(each)) + each for each in (left, right)]
    return tuple(b if a == 1 else a for a, b in zip(*padded, strict=True))


def _packed_product(step: Step) -> Results:
    return [(step.input(0).elem, (*step.shape(0)[:-1], step.number("N")))]


def _pooled(step: Step) -> Results:
    """QLinearGlobalAveragePool: (N, C, *places), or channels last."""
    shape = step.shape(0)
    ones = (1,) * (len(shape) - 2)
    last = step.number("channels_last")
    return [(step.input(0).elem, (shape[0], *ones, shape[-1]) if last else (*shape[:2], *ones))]


def _last(step: Step) -> Results:
    """NhwcConv and its kind: (x (N, *places, C), W (M, C/groups, *kernel)) -> (N, *places, M)."""
    quantised = step.op == "QLinearConv"
    x, weight = step.shape(0), step.shape(3 if quantised else 1)
    places = x[1:-1] if step.op != "QLinearConv" or step.number("channels_last") else x[2:]
    sizes = tuple(_slid(step, axis, size, weight[2 + axis]) for axis, size in enumerate(places))
    last = step.op != "QLinearConv" or step.number("channels_last")
    elem = step.input(7).elem if quantised and step.has(7) else step.input(0).elem
    return [(elem, (x[0], *sizes, weight[0]) if last else (x[0], weight[0], *sizes))]


def _slid(step: Step, axis: int, size: int, kernel: int) -> int:
    """Return how many places a kernel has along an axis: ONNX's own formula of Conv."""
    strides, dilations, pads = step.numbers("strides"), step.numbers("dilations"), step.numbers("pads")
    stride, dilation = (strides[axis] if strides else 1), (dilations[axis] if dilations else 1)
    if step.text("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        return -(-size // stride)
    both = pads[axis] + pads[len(pads) // 2 + axis] if pads else 0
    return (size + both - dilation * (kernel - 1) - 1) // stride + 1


def _normed(step: Step) -> Results:
    """SkipLayerNormalization and its kind: the result, and with four results the sum as the last."""
    value = (step.input(0).elem, step.shape(0))
    means = (_FLOAT, (*step.shape(0)[:-1], 1))
    return [value, means, means, value]


def _embedded(step: Step) -> Results:
    """EmbedLayerNormalization: (ids (B, T), segments, words (V, H), ...) -> (B, T, H), and lengths (B,)."""
    quantised = step.op.startswith("Q")
    batch, length = step.shape(0)
    hidden = step.shape(2)[1]
    elem = _FLOAT if quantised else step.input(2).elem
    return [(elem, (batch, length, hidden)), (_INT32, (batch,)), (elem, (batch, length, hidden))]


def _attention(step: Step) -> Results:
    """Attention and QAttention: (x (B, T, I), W (I, q + k + v), ...) -> (B, T, v), present (2, B, heads, ...)."""
    batch, length = step.shape(0)[:2]
    _, _, size_v = _widths(step)
    count = step.number("num_heads")
    keys = length + _past(step)
    elem = _FLOAT if step.op == "QAttention" else step.input(0).elem
    return [(elem, (batch, length, size_v)), (elem, (2, batch, count, keys, size_v // max(count, 1)))]


def _widths(step: Step) -> tuple[int, int, int]:
    """Return the sizes of all queries, keys and values of an Attention whose weight holds the three side by side."""
    if len(sizes := step.numbers("qkv_hidden_sizes")) == 3:
        return sizes[0], sizes[1], sizes[2]
    third = step.shape(1)[1] // 3
    return third, third, third


def _past(step: Step) -> int:
    place = 8 if step.op == "QAttention" else 4
    return step.shape(place)[3] if step.has(place) else 0


def _attention_macs(step: Step) -> int:
    """The projection, the scores, and their product with the values."""
    (batch, length), keys = step.shape(0)[:2], step.shape(0)[1] + _past(step)
    size, _, size_v = _widths(step)
    return batch * length * prod(step.shape(1)) + batch * length * keys * (size + size_v)


def _attention_scores(step: Step) -> int:
    (batch, length), keys = step.shape(0)[:2], step.shape(0)[1] + _past(step)
    return batch * step.number("num_heads") * length * keys + batch * length * sum(_widths(step))


class _Heads(NamedTuple):
    """Sizes of an attention over what was projected before."""

    batch: int
    heads: int
    queries: int
    keys: int
    size: int
    size_v: int


def _heads(step: Step) -> _Heads:
    """MultiHeadAttention: (query (B, T, heads * size), key, value, bias, mask, bias, past key, past value, ...).

    Packed keys and values are (B, S, heads, 2, size), all three (B, T, heads, 3, size).
    """
    query, count = step.shape(0), step.number("num_heads")
    if len(query) == 5:
        return _Heads(query[0], query[2], query[1], query[1] + _before(step, 6), query[4], query[4])
    size = query[2] // max(count, 1)
    key = step.shape(1)
    if len(key) == 5:
        return _Heads(query[0], count, query[1], key[1] + _before(step, 6), size, size)
    crossed = len(key) == 4  # keys and values by heads already: (B, heads, S, size)
    value = step.shape(2)
    size_v = value[3] if crossed else value[2] // max(count, 1)
    return _Heads(query[0], count, query[1], (key[2] if crossed else key[1]) + _before(step, 6), size, size_v)


def _before(step: Step, place: int) -> int:
    return step.shape(place)[2] if step.has(place) else 0


def _grouped_heads(step: Step) -> _Heads:
    """GroupQueryAttention: (query (B, T, heads * size), key, value, past key, past value, ...), or all packed in query.

    A past that is a buffer of the whole length (total length known to be no more) is not counted twice.
    """
    batch, length, width = step.shape(0)
    count, shared = step.number("num_heads"), step.number("kv_num_heads")
    size = width // max(count, 1) if step.has(1) else width // max(count + 2 * shared, 1)
    past = _before(step, 3)
    total = step.input(6).known if step.has(6) else None
    keys = int(total.reshape(-1)[0]) if total is not None else past + length
    return _Heads(batch, count, length, keys, size, size)


def _of_heads(of: Callable[[Step], _Heads]) -> Own:
    def results(step: Step) -> Results:
        h, shared = of(step), step.number("kv_num_heads") or step.number("num_heads")
        elem = step.input(0).elem
        kept = [(elem, (h.batch, shared, h.keys, size)) for size in (h.size, h.size_v)]
        return [(elem, (h.batch, h.queries, h.heads * h.size_v)), *kept]

    def macs(step: Step) -> int:
        h = of(step)
        return h.batch * h.heads * h.queries * h.keys * (h.size + h.size_v)

    def scores(step: Step) -> int:
        h = of(step)
        return h.batch * h.heads * h.queries * h.keys

    return Own(results, scores, macs)


def _long_memory(step: Step) -> Results:
    """DynamicQuantizeLSTM: (x (T, B, I), W (D, I, 4H), R (D, H, 4H), ...)."""
    (length, batch), (directions, hidden, _) = step.shape(0)[:2], step.shape(2)
    state = (_FLOAT, (directions, batch, hidden))
    return [(_FLOAT, (length, directions, batch, hidden)), state, state]


def _long_memory_work(step: Step) -> int:
    (length, batch), (directions, hidden, _) = step.shape(0)[:2], step.shape(2)
    return length * batch * directions * hidden * (4 * (3 if step.has(3) else 1) + 9)


def _conv(weight: int) -> Rule:
    return lambda step: prod(step.result) * prod(step.shape(weight)[1:])


OWN: Final[Mapping[str, Own]] = {
    **dict.fromkeys(("FusedMatMul", "TransposeMatMul", "FusedMatMulActivation"),
                    Own(_product, lambda _: 0, FUSED["FusedMatMul"])),
    "MatMulNBits": Own(_packed_product, bias(5), FUSED["MatMulNBits"]),
    "MatMulBnb4": Own(_packed_product, lambda _: 0, FUSED["MatMulBnb4"]),
    "NhwcConv": Own(_last, bias(2), _conv(1)),
    "NhwcFusedConv": Own(_last, per_output(2), _conv(1)),
    "QLinearConv": Own(_last, bias(8), _conv(3)),
    "QLinearGlobalAveragePool": Own(_pooled, lambda step: step.input(0).count),
    "Attention": Own(_attention, _attention_scores, _attention_macs),
    "QAttention": Own(_attention, _attention_scores, _attention_macs),
    "MultiHeadAttention": _of_heads(_heads),
    "GroupQueryAttention": _of_heads(_grouped_heads),
    "DynamicQuantizeLSTM": Own(_long_memory, _long_memory_work, FUSED["DynamicQuantizeLSTM"]),
    **dict.fromkeys(("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"), Own(_normed, per_output(3))),
    **dict.fromkeys(("EmbedLayerNormalization", "QEmbedLayerNormalization"), Own(_embedded, per_output(4))),
    "GroupNorm": Own(_same, per_output(2)),
    "SkipGroupNorm": Own(_same, per_output(3)),
    "RotaryEmbedding": Own(_same, per_output(3)),
}  # fmt: skip
"""Those with shapes and costs of their own."""

SIMPLIFIED: Final = Own(_normed, per_output(2))
"""SimplifiedLayerNormalization, which ONNX Runtime writes into ai.onnx's own domain."""
