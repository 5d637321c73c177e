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
