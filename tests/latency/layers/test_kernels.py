"""Kernels are told by names of nodes or values, and what was joined to them by what it reads and is read by."""

from __future__ import annotations

import pytest

from archcost.latency.layers.kernels import Node, joined, listed, told

FILE = (
    Node("n0", "Conv", ("x",), ("a",), ("stem.weight",)),
    Node("n1", "Relu", ("a",), ("b",)),
    Node("n2", "Conv", ("b",), ("c",), ("one.weight",)),
    Node("n3", "Add", ("c", "b"), ("d",)),
    Node("n4", "Relu", ("d",), ("e",)),
    Node("n5", "Gemm", ("e",), ("f",), ("head.weight", "head.bias")),
)


@pytest.mark.parametrize(
    ("kernels", "expected"),
    [
        ({node.name: node.op for node in FILE}, [(0,), (1,), (2,), (3,), (4,), (5,)]),
        ({"b_nchwc": "Conv", "c_nchwc": "Conv", "r": "ReorderOutput", "n5": "Gemm"}, [(0, 1), (2, 3, 4), (), (5,)]),
        ({"fused n0": "FusedConv", "n2": "FusedConv", "n5_quant": "QGemm"}, [(0, 1), (2, 3, 4), (5,)]),
    ],
)  # fmt: skip
def test_every_node_is_in_the_kernel_that_does_it(kernels: dict[str, str], expected: list[tuple[int, ...]]) -> None:
    """A convolution that is called by its activation has both; what follows one is in it, also an addition."""
    assert expected == list(joined(FILE, kernels).values())


def test_a_runtime_may_say_itself_what_its_kernels_are_made_of() -> None:
    """By names of nodes or of their values; what it does not say is in the kernel that made its input."""
    kernels = {"n0": ("n0",), "reorder": (), "n2": ("n2", "d"), "f": ("f",)}
    assert {"n0": (0, 1), "reorder": (), "n2": (2, 3, 4), "f": (5,)} == listed(FILE, kernels)


def test_nodes_without_weights_are_of_the_next_layer_that_they_fit() -> None:
    """Layers stand in the order in which nodes do; what fits none is of the same layer as what is before it."""
    kinds = {"stem": "Conv", "act1": "Act", "one": "Conv", "join": "Join", "act2": "Act", "head": "Linear"}
    fits = {"Relu": "Act", "Add": "Join"}
    found = told(FILE, lambda weight: weight.split(".")[0], lambda op, name: fits.get(op) == kinds[name], list(kinds))
    assert list(kinds) == [found[place] for place in range(len(FILE))]
    nothing = told(FILE, lambda weight: weight.split(".")[0], lambda op, name: False, ["stem", "one", "head"])
    assert ["stem", "stem", "one", "one", "one", "head"] == [nothing[place] for place in range(len(FILE))]


def test_a_product_before_its_own_bias_is_of_the_same_layer() -> None:
    """An export may leave a product's weight without its name; the sum behind it has the bias, and is named."""
    file = (
        Node("n0", "Tanh", ("x",), ("a",)),
        Node("n1", "MatMul", ("a", "w"), ("b",)),
        Node("n2", "Add", ("b", "bias"), ("c",), ("readout.bias",)),
    )
    kinds = {"state": "Act", "readout": "Linear"}
    fits = {"Tanh": "Act", "MatMul": "Linear"}
    found = told(file, lambda weight: weight.split(".")[0], lambda op, name: fits.get(op) == kinds[name], list(kinds))
    assert {0: "state", 1: "readout", 2: "readout"} == found


def test_a_kernel_that_a_fusion_named_is_of_its_node() -> None:
    file = (Node("n0", "MatMul", ("x", "w"), ("a",)), Node("n1", "Add", ("a", "bias"), ("b",)))
    assert {"n0/MatMulAddFusion": (0, 1)} == joined(file, {"n0/MatMulAddFusion": "Gemm"})
