"""Operators that ONNX Runtime's quantiser and optimiser write: shapes are those that ONNX Runtime itself gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper
from onnx_files import counted, model, node, walked, written

DRAWN = np.random.default_rng(0)


def floats(*shape: int) -> Any:
    return DRAWN.standard_normal(shape).astype(np.float32)


def bytes_of(*shape: int) -> Any:
    return DRAWN.integers(0, 9, shape).astype(np.uint8)


def scale() -> Any:
    return np.array(0.1, np.float32)


def zero() -> Any:
    return np.array(0, np.uint8)


def one(op: str, inputs: Mapping[str, Any], outputs: int = 1, **attributes: Any) -> tuple[Any, dict[str, Any]]:
    """Return a model of one node, and what it is given; inputs whose names begin with a capital are weights."""
    names = [f"y{place}" for place in range(outputs)]
    given = {name: value for name, value in inputs.items() if name.islower()}
    types = {name: (helper.np_dtype_to_tensor_dtype(value.dtype), value.shape) for name, value in given.items()}
    weights = {name: value for name, value in inputs.items() if name not in given}
    made = model([node(op, " ".join(inputs), " ".join(names), "com.microsoft", **attributes)], types, names, weights)
    return made, given


Q = {"S": scale(), "Z": zero()}
Q2 = {"S2": scale(), "Z2": zero()}
Q3 = {"S3": scale(), "Z3": zero()}
X = floats(2, 3, 4)
CASES: dict[str, tuple[tuple[Any, dict[str, Any]], int]] = {
    "FusedMatMul": (one("FusedMatMul", {"a": floats(2, 4, 3), "b": floats(2, 5, 4)}, transA=1, transB=1), 120),
    "FusedConv": (one("FusedConv", {"x": floats(1, 3, 8, 8), "w": floats(4, 3, 3, 3), "b": floats(4)},
                      activation="Relu", pads=[1] * 4), 4 * 64 * 27),
    "FusedGemm": (one("FusedGemm", {"x": floats(2, 3), "w": floats(3, 4), "b": floats(4)}, activation="Relu"), 24),
    "MatMulIntegerToFloat": (one("MatMulIntegerToFloat", {"a": bytes_of(2, 4), "b": bytes_of(4, 5), "S": scale(),
                                                          "S2": scale()}), 40),
    "DynamicQuantizeMatMul": (one("DynamicQuantizeMatMul", {"a": floats(2, 4), "b": bytes_of(4, 5), "S": scale()}), 40),
    "MatMulNBits": (one("MatMulNBits", {"a": floats(2, 3, 32), "b": bytes_of(5, 1, 16), "c": floats(5)}, K=32, N=5,
                        bits=4, block_size=32), 6 * 32 * 5),
    "QLinearAdd": (one("QLinearAdd", {"a": bytes_of(2, 3), **Q, "b": bytes_of(3), **Q2, **Q3}), 0),
    "QLinearConcat": (one("QLinearConcat", {**Q, "a": bytes_of(2, 3), **Q2, "b": bytes_of(2, 5), **Q3}, axis=1), 0),
    "QLinearGlobalAveragePool": (one("QLinearGlobalAveragePool", {"a": bytes_of(2, 3, 4, 4), **Q, **Q2}), 0),
    "QGemm": (one("QGemm", {"a": bytes_of(2, 4), **Q, "b": bytes_of(5, 4), **Q2, "c": np.zeros(5, np.int32), **Q3},
                  transB=1), 40),
    "QLinearConv": (one("QLinearConv", {"x": bytes_of(1, 8, 8, 3), **Q, "W": bytes_of(4, 3, 3, 3), **Q2, **Q3},
                        channels_last=1, strides=[2, 2]), 9 * 4 * 27),
    "BiasGelu": (one("BiasGelu", {"x": X, "b": floats(4)}), 0),
    "SkipLayerNormalization": (one("SkipLayerNormalization", {"x": X, "k": X, "g": floats(4), "b": floats(4)}), 0),
    "Attention": (one("Attention", {"x": floats(2, 3, 8), "w": floats(8, 24), "b": floats(24)}, num_heads=2),
                  2 * 3 * 8 * 24 + 2 * 3 * 3 * 16),
    "QAttention": (one("QAttention", {"x": bytes_of(2, 3, 8), "W": np.zeros((8, 24), np.int8), "b": floats(24),
                                      "S": scale(), "S2": scale()}, num_heads=2), 2 * 3 * 8 * 24 + 2 * 3 * 3 * 16),
    "MultiHeadAttention": (one("MultiHeadAttention", {"q": floats(2, 3, 8), "k": floats(2, 5, 8), "v": floats(2, 5, 8)},
                               num_heads=2), 2 * 3 * 5 * 16),
    "GroupQueryAttention": (one("GroupQueryAttention", {
        "q": floats(1, 3, 32), "k": floats(1, 3, 16), "v": floats(1, 3, 16), "pk": floats(1, 2, 0, 8),
        "pv": floats(1, 2, 0, 8), "lengths": np.array([2], np.int32), "Total": np.array(3, np.int32)}, 3, num_heads=4,
        kv_num_heads=2), 4 * 3 * 3 * 16),
    "DynamicQuantizeLSTM": (one("DynamicQuantizeLSTM", {
        "x": floats(3, 2, 4), "W": bytes_of(1, 4, 20), "R": bytes_of(1, 5, 20), "b": floats(1, 40),
        "l": np.array([3, 3], np.int32), "h": floats(1, 2, 5), "c": floats(1, 2, 5), "p": floats(1, 15),
        "WS": floats(1), "WZ": bytes_of(1), "RS": floats(1), "RZ": bytes_of(1)}, 3, hidden_size=5),
        3 * 2 * 20 * (4 + 5)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_results_are_those_of_onnx_runtime(name: str) -> None:
    """Types and shapes are what a session gives, products what the operator's description says."""
    (made, given), macs = CASES[name]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    expected = session.run(None, given)
    walk, outputs = walked(made, list(given.values()))
    assert [(helper.np_dtype_to_tensor_dtype(array.dtype), array.shape) for array in expected] == [
        (value.elem, value.sizes) for value in outputs
    ]
    (line,) = walk.state.seen.lines.values()
    assert (macs, True) == (line.work.macs, line.work.known)


class _Images:
    """Calibration data for ONNX Runtime's quantiser."""

    def __init__(self) -> None:
        self.left = [{"x": floats(1, 3, 8, 8)} for _ in range(2)]

    def get_next(self) -> dict[str, Any] | None:
        return self.left.pop() if self.left else None


@pytest.mark.parametrize("form", ["QDQ", "QOperator", "dynamic"])
def test_a_quantised_file_has_the_products_of_the_float_one(tmp_path: Path, form: str) -> None:
    """ONNX Runtime's own quantiser: MACs and weights are as many, their bytes a quarter and the scales."""
    from onnxruntime import quantization

    nodes = [node("Conv", "x conv.w conv.b", "h", pads=[1] * 4), node("Relu", "h", "r"), node("Flatten", "r", "f"),
             node("Gemm", "f fc.w fc.b", "y")]  # fmt: skip
    weights = {"conv.w": floats(16, 3, 3, 3), "conv.b": floats(16), "fc.w": floats(1024, 10), "fc.b": floats(10)}
    path, out = written(tmp_path, model(nodes, {"x": (1, (1, 3, 8, 8))}, ["y"], weights)), tmp_path / "int8.onnx"
    if form == "dynamic":
        quantization.quantize_dynamic(path, out)
    else:
        kind = quantization.QuantFormat[form]
        quantization.quantize_static(path, out, _Images(), quant_format=kind)
    before, after = counted(path), counted(out)
    assert (before.cost.macs, ()) == (after.cost.macs, after.uncounted)
    assert 16 * 64 * 27 + 10240 == before.cost.macs
    assert before.cost.params == after.cost.params
    sizes = [each.accounts[0].weights_bytes for each in (before, after)]
    assert sizes[1] < 0.3 * sizes[0]
