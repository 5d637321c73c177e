"""ONNX's operators: each is decided, shapes are those of onnx's own test cases, products those of closed forms."""

from __future__ import annotations

import warnings
from functools import cache
from math import ceil, log2
from typing import Any

import pytest
from onnx import defs, helper
from onnx.backend.test.case.node import collect_testcases
from onnx_files import walked

from archcost.counting.files.onnx.rules import costs, elementwise, microsoft, products
from archcost.counting.files.onnx.rules.steps import Step, Value

CONTROL = frozenset({"If", "Loop", "Scan"})


@cache
def cases() -> dict[str, Any]:
    """Return onnx's own test cases by name; those of one operator alone cannot be asked for twice in a process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx's own, as it makes its data
        return {case.name: case for case in collect_testcases(None) if case.model is not None}


def test_every_operator_of_onnx_is_decided() -> None:
    """Each multiplies, is elementwise, moves values, holds a body, or is on the short list of open ones."""
    decided = {*products.PRODUCTS, *products.CLASSICAL, *elementwise.ELEMENTWISE, *elementwise.MOVES, *CONTROL}
    known = {schema.name for schema in defs.get_all_schemas()}
    assert sorted(products.OPEN) == sorted(known - decided)
    assert len(products.OPEN) <= 5
    assert set() == {*products.OPEN} & decided


# the operator, onnx's own test case, and its multiply-accumulates as arithmetic
CASES: list[tuple[str, str, int]] = [
    ("Conv", "test_basic_conv_with_padding", 5 * 5 * 9),
    ("Conv", "test_conv_with_strides_padding", 4 * 3 * 9),
    ("Conv", "test_conv_with_autopad_same", 3 * 3 * 9),
    ("ConvTranspose", "test_convtranspose", 9 * 2 * 9),
    ("ConvTranspose", "test_convtranspose_dilations", 9 * 4),
    ("ConvInteger", "test_convinteger_with_padding", 2 * 4 * 4 * 4),
    ("QLinearConv", "test_qlinearconv", 7 * 7),
    ("DeformConv", "test_basic_deform_conv_with_padding", 4 * 4 * 4),
    ("Gemm", "test_gemm_transposeA", 3 * 6 * 4),
    ("Gemm", "test_gemm_transposeB", 3 * 6 * 4),
    ("MatMul", "test_matmul_2d", 3 * 4 * 3),
    ("MatMul", "test_matmul_4d", 2 * 3 * 4 * 3),
    ("MatMulInteger", "test_matmulinteger", 4 * 3 * 2),
    ("QLinearMatMul", "test_qlinearmatmul_2D_uint8_float32", 2 * 4 * 3),
    ("QLinearMatMul", "test_qlinearmatmul_3D_int8_float16", 2 * 2 * 4 * 3),
    ("Einsum", "test_einsum_batch_matmul", 5 * 2 * 3 * 4),
    ("Einsum", "test_einsum_inner_prod", 5),
    ("Einsum", "test_einsum_sum", 0),
    ("Einsum", "test_einsum_transpose", 0),
    ("RNN", "test_simple_rnn_defaults", 3 * 4 * (2 + 4)),
    ("RNN", "test_rnn_seq_length", 2 * 3 * 5 * (3 + 5)),
    ("GRU", "test_gru_defaults", 3 * 3 * 5 * (2 + 5)),
    ("GRU", "test_gru_batchwise", 3 * 3 * 6 * (2 + 6)),
    ("LSTM", "test_lstm_defaults", 3 * 4 * 3 * (2 + 3)),
    ("LSTM", "test_lstm_with_peepholes", 2 * 4 * 3 * (4 + 3)),
    ("Attention", "test_attention_4d", 2 * 3 * 4 * 6 * (8 + 8)),
    ("Attention", "test_attention_4d_gqa", 2 * 9 * 4 * 6 * (8 + 8)),
    ("Attention", "test_attention_3d", 2 * 3 * 4 * 6 * (8 + 8)),
    ("Attention", "test_attention_4d_diff_heads_with_past_and_present", 2 * 3 * 4 * (6 + 12) * (8 + 10)),
    ("AffineGrid", "test_affine_grid_2d", 2 * 5 * 6 * 2 * 3),
    ("AffineGrid", "test_affine_grid_3d", 2 * 4 * 5 * 6 * 3 * 4),
    ("DFT", "test_dft", 10 * ceil(5 * 10 * log2(10) / 4)),
    ("STFT", "test_stft", 15 * ceil(5 * 16 * log2(16) / 4)),
    ("CausalConvWithState", "test_causal_conv_with_state_basic", 2 * 4 * 8 * 4),
    ("BatchNormalization", "test_batchnorm_example", 0),
    ("Softmax", "test_softmax_axis_1", 0),
    ("Gather", "test_gather_0", 0),
    ("MaxPool", "test_maxpool_2d_default", 0),
    ("Resize", "test_resize_upsample_sizes_nearest", 0),
]


@pytest.mark.parametrize(("op", "name", "macs"), CASES, ids=[f"{op}-{name}" for op, name, _ in CASES])
def test_onnx_s_own_cases_have_their_products_and_shapes(op: str, name: str, macs: int) -> None:
    """Its shapes are those of the case's data, its count is the closed form."""
    case = cases()[name]
    given, expected = case.data_sets[0]
    walk, outputs = walked(case.model, given)
    assert [array.shape for array in expected] == [value.sizes for value in outputs]
    works = [line.work for line in walk.state.seen.lines.values()]
    assert (macs, True) == (sum(work.macs for work in works), all(work.known for work in works))


# operators of which a case's shapes follow from its data, which no count has
FROM_DATA = frozenset("Compress ImageDecoder NonMaxSuppression NonZero StringNormalizer StringSplit Unique".split())


def test_one_case_of_each_operator_has_its_shapes() -> None:
    """The first of onnx's own cases of each: shapes are right wherever they are known, and known but where data decide.

    Sequences and optionals have no shape; a function's expansion is another case of the same operator.
    """
    firsts: dict[str, Any] = {}
    for case in cases().values():
        if len(case.model.graph.node) == 1 and case.name != "test_scan_sum":  # version 8, which is not entered
            firsts.setdefault(case.model.graph.node[0].op_type, case)
    wrong = {}
    for op, case in firsts.items():
        given, expected = case.data_sets[0]
        _, outputs = walked(case.model, given)
        pairs = [
            (value.sizes, array.shape)
            for value, array in zip(outputs, expected, strict=True)
            if hasattr(array, "shape") and value.raw is None
        ]
        for sizes, shape in pairs:
            fits = (
                sizes is not None
                and len(sizes) == len(shape)
                and all(a in (None, b) for a, b in zip(sizes, shape, strict=True))
            )
            if not fits or (None in (sizes or ()) and op not in FROM_DATA):
                wrong[op] = (case.name, sizes, shape)
    assert {} == wrong
    assert len(firsts) > 150


CONTRACTIONS = [
    ("ij,jk->ik", [(2, 3), (3, 4)], 2 * 3 * 4),
    ("...ij,...jk", [(5, 2, 3), (1, 3, 4)], 5 * 2 * 3 * 4),
    ("ii->i", [(3, 3)], 0),
    ("i,i->i", [(3,), (3,)], 0),
    ("i,j->ij", [(3,), (4,)], 0),
    ("bqhd,bkhd->bhqk", [(2, 3, 4, 5), (2, 6, 4, 5)], 2 * 3 * 4 * 5 * 6),
    ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)], 2 * 3 * 4 + 2 * 4 * 5),
    ("ij,kj->i", [(2, 3), (4, 3)], 2 * 3),  # k is summed before
]


@pytest.mark.parametrize(("equation", "operands", "macs"), CONTRACTIONS)
def test_einsum_multiplies_pairs_from_left_to_right(equation: str, operands: list[tuple[int, ...]], macs: int) -> None:
    """Each pair once for every combination of its letters, if one is summed over; as torch's own einsum does."""
    inputs = tuple(Value(1, shape) for shape in operands)
    assert macs == products.einsum(Step("Einsum", "", 12, {"equation": equation}, inputs, (Value(1, ()),)))


def test_com_microsoft_is_not_taken_for_onnx_s_own() -> None:
    """Each has a rule of its own or is one of ai.onnx's of some inputs; what has none is uncounted."""
    assert set() == {*microsoft.ALIKE} & {*microsoft.OWN}
    assert {each.op for each in microsoft.ALIKE.values()} <= {
        *products.PRODUCTS,
        *elementwise.ELEMENTWISE,
        *elementwise.MOVES,
    }
    made = helper.make_node("MoE", ["x"], ["y"], domain="com.microsoft")
    step = Step(made.op_type, made.domain, 1, {}, (Value(1, (2, 3)),), (Value(),))
    assert costs.work(step).known is False
