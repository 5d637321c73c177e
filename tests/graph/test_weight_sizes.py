"""Weights at int8: those of products and tables take a byte, biases and norms keep four."""

from __future__ import annotations

import pytest
from hypothesis import given
from specs import Tree, laws, model, models

from archcost.graph.account import account
from archcost.graph.dtypes import unquantised
from archcost.graph.ops import Act, Bias, Conv, Linear, Lookup, Norm, Op
from archcost.graph.recipe import Recipe
from archcost.graph.weight_sizes import quantised
from archcost.nets.net import build

CASES: list[tuple[Op, tuple[tuple[int, ...], ...], int]] = [
    (Conv(8, 3, bias=False), ((4, 5, 5),), 8 * 4 * 9),
    (Conv(8, 3, groups=4, bias=True), ((4, 5, 5),), 8 * 9),
    (Linear(7, bias=True), ((5,),), 35),
    (Linear(7, bias=False), ((5,),), 35),
    (Lookup(11, 3), ((),), 33),
    (Bias(), ((5,),), 0),
    (Norm(), ((4, 5, 5),), 0),
    (Act("relu"), ((4, 5, 5),), 0),
]


@pytest.mark.parametrize(("op", "inputs", "expected"), CASES)
def test_weights_of_products_have_8_bits(op: Op, inputs: tuple[tuple[int, ...], ...], expected: int) -> None:
    """Without what is added to their sums."""
    assert expected == quantised(op, op.work(*inputs))


@laws(60)
@given(models())
def test_the_bytes_are_those_of_the_parameters_that_torch_has(tree: Tree) -> None:
    """Of each matrix and kernel a byte a weight, of every other number four; what torch holds is the witness."""
    network = model(tree)
    held = build(network.graph, Recipe(network.recipe.init)).state_dict().values()
    sizes = [value.numel() * (1 if value.dim() > 1 else 4) for value in held if value.is_floating_point()]
    assert sum(sizes) == account(network.graph, 1, "int8").weights_bytes


@laws(30)
@given(models())
def test_layers_and_peak_save_what_the_weights_save(tree: Tree) -> None:
    """Values stay float32; a table is read by rows, and so saves nothing in a pass."""
    whole, small = (account(model(tree).graph, 2, dtype) for dtype in ("float32", "int8"))
    saved_bytes = whole.weights_bytes - small.weights_bytes
    assert saved_bytes == whole.peak_bytes - small.peak_bytes
    assert whole.activation_bytes == small.activation_bytes
    tables = sum(3 * layer.params for layer in whole.layers if layer.op == "Lookup")
    read = [sum(layer.read_bytes for layer in each.layers) for each in (whole, small)]
    assert saved_bytes - tables == read[0] - read[1]


def test_nothing_is_quantised_at_another_type() -> None:
    """int8 alone has two types: its own, and float32."""
    assert ["float32", "float32", "bfloat16"] == list(map(unquantised, ("int8", "float32", "bfloat16")))
