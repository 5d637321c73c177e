"""What an ONNX file holds: parameters, other values, and their bytes as typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from archcost.counting.files.onnx import tensors
from archcost.counting.files.onnx.frames import Line
from archcost.counting.files.onnx.rules.steps import Value

# inputs that are statistics, or scales and zero points of a quantisation
_STATISTICS: Final[Mapping[str, frozenset[int]]] = {
    "BatchNormalization": frozenset({3, 4}),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), frozenset({1, 2})),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul"), frozenset({1, 2, 4, 5, 6, 7})),
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), frozenset({1, 2, 4, 5, 6, 7})),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), frozenset({2, 3})),
    "MatMulIntegerToFloat": frozenset({2, 3, 4, 5}),
    "DynamicQuantizeMatMul": frozenset({2, 3}),
    "DynamicQuantizeLSTM": frozenset({8, 9, 10, 11}),
    "QGemm": frozenset({1, 2, 4, 5, 7, 8}),
    "QAttention": frozenset({3, 4, 6, 7}),
    "MatMulNBits": frozenset({2, 3}),
    **dict.fromkeys(("QLinearSigmoid", "QLinearLeakyRelu", "QLinearAveragePool", "QLinearGlobalAveragePool"),
                    frozenset({1, 2, 3, 4})),
}  # fmt: skip
# operators that multiply by integers, or make numbers of them
_OF_INTEGERS: Final = frozenset(
    """DequantizeLinear QLinearConv QLinearMatMul ConvInteger MatMulInteger MatMulIntegerToFloat DynamicQuantizeMatMul
    DynamicQuantizeLSTM QGemm QAttention MatMulNBits MatMulBnb4 GatherBlockQuantized""".split()
)


class Held(NamedTuple):
    """Scalars that a node's row has, where the node is the first to read them: parameters, and other values."""

    params: int = 0
    buffers: int = 0


def held(lines: Sequence[Line], values: Mapping[str, Value]) -> tuple[list[Held], int]:
    """Return what each line holds, every initialiser once, and how many scalars nothing reads.

    A parameter is a floating initialiser of at least one axis that is no statistic of a batch norm and no scale, or an
    integer one that is multiplied as a quantised weight. All else is a buffer: shapes, constants, statistics.
    """
    left = dict(values)
    found = []
    for line in lines:
        params = buffers = 0
        for place, name in enumerate(line.weights):
            if (value := left.pop(name, None)) is None:
                continue
            if _is_parameter(line.plain, place, value):
                params += _scalars(line.plain, value)
            else:
                buffers += value.count
        found.append(Held(params, buffers))
    return found, sum(value.count for value in left.values())


def _is_parameter(op: str, place: int, value: Value) -> bool:
    if place in _STATISTICS.get(op, ()) or not value.sizes:
        return False
    return tensors.is_floating(value.elem) or (tensors.is_integer(value.elem) and op in _OF_INTEGERS)


def _scalars(op: str, value: Value) -> int:
    """Return the weights in a tensor; those of MatMulNBits are 4 bits each, two in a byte, or as its type says."""
    return value.count * 2 if op in ("MatMulNBits", "MatMulBnb4") and tensors.bits(value.elem) == 8 else value.count


def size_bytes(values: Mapping[str, Value]) -> int:
    """Return the bytes of all initialisers and constants as typed, each once."""
    return sum(tensors.size_bytes(value.elem, value.count) for value in values.values())


def floating(values: Mapping[str, Value]) -> str:
    """Return the floating type that most of the weights are of, float32 if there is none."""
    sizes: dict[str, int] = {}
    for value in values.values():
        name = tensors.NAMES[value.elem]
        if name in ("float32", "float16", "bfloat16", "float64"):
            sizes[name] = sizes.get(name, 0) + value.count
    return max(sizes, key=lambda name: sizes[name]) if sizes else "float32"
