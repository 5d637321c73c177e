"""ONNX files counted: exports of modules and families, control flow, functions, open axes, memory, names."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper
from onnx_files import BOOL, FLOAT, INT64, counted, graph, model, node, written
from torch import nn

import archcost
from archcost.errors import InputError


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


class Attentive(nn.Module):
    """Attention, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(16, 48)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, T, 16)."""
        q, k, v = self.qkv(x).chunk(3, -1)
        return nn.functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]


class Contracted(nn.Module):
    """Einsum and bilinear products."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(8, 4, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 8)."""
        return torch.einsum("bi,ijk->bjk", x, self.w)


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "convolutions": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
                                           nn.Conv2d(8, 8, 3, groups=4)), (2, 3, 16, 16)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), (2, 4, 5, 5)),
    "dilated 1d": (lambda: nn.Conv1d(4, 6, 3, dilation=2), (2, 4, 20)),
    "3d": (lambda: nn.Conv3d(2, 3, 3), (2, 2, 6, 6, 6)),
    "linear": (lambda: nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 4)), (2, 5, 8)),
    "attention": (Attentive, (2, 6, 16)),
    "multihead": (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (2, 5, 16)),
    "einsum": (Contracted, (2, 8)),
    "pooled": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
               (2, 3, 9, 9)),
    "squeeze": (lambda: nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.Hardswish(), nn.PixelShuffle(2),
                                      nn.Upsample(scale_factor=2), nn.Conv2d(2, 3, 5, padding=2)), (2, 3, 6, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("is_open", [False, True], ids=["fixed", "open"])
def test_exports_of_modules_have_the_module_s_macs(tmp_path: Path, name: str, is_open: bool) -> None:
    """A file with an open batch is counted for one example, one with a fixed batch for a call."""
    make, shape = MODULES[name]
    torch.manual_seed(0)
    module, given = make().eval(), torch.randn(shape)
    path = tmp_path / "net.onnx"
    axes = ({0: torch.export.Dim("batch")},) if is_open else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter's own
        program = torch.onnx.export(module, (given,), dynamo=True, dynamic_shapes=axes, verbose=False)
    assert program is not None
    program.save(path)
    call = given[:1] if is_open else given
    expected = archcost.profile(module, call, latency=False, witness=False)
    found = archcost.profile(path, latency=False)
    assert (expected.macs, ()) == (found.macs, found.uncounted)
    assert None is found.agree
    if is_open:
        assert expected.macs == archcost.profile(path, batch=4, latency=False).macs


@pytest.mark.parametrize("name", ["resnet-20", "nin-cifar10", "hornn-3", "rir-18-wide", "fractalnet-20"])
def test_exports_of_families_have_the_network_s_macs(tmp_path: Path, name: str) -> None:
    """And their weights, but for batch norms that the export folds into convolutions."""
    from archcost.nets.export import formats

    network = archcost.load(name, ["input.steps=5"] if name.startswith("hornn") else [])
    path = tmp_path / "net.onnx"
    formats.export(network, "onnx", str(path))
    found = archcost.profile(path, latency=False)
    assert (network.cost.macs, ()) == (found.macs, found.uncounted)
    assert 0.95 * network.cost.params < found.params <= network.cost.params


def test_shared_initialisers_are_counted_once(tmp_path: Path) -> None:
    """Two products by one matrix: its parameters once, in the first node that reads it, what it multiplies twice."""
    nodes = [node("MatMul", "x w", "h"), node("MatMul", "h w", "y")]
    found = counted(written(tmp_path, model(nodes, {"x": (FLOAT, ("n", 8))}, ["y"], {"w": ones(8, 8)})))
    assert (64, 2 * 64, [64, 0]) == (found.cost.params, found.cost.macs, [row.params for row in found.cost.rows])
    assert 64 * 4 == found.accounts[0].weights_bytes


def test_bytes_are_as_typed(tmp_path: Path) -> None:
    """Half precision is two bytes a value; the peak is weights and the largest set of values alive at once."""
    nodes = [node("Relu", "x", "a"), node("Relu", "a", "b"), node("Reshape", "b s", "c"), node("Add", "c w", "y")]
    weights = {"s": np.array([2, 8]), "w": np.ones((2, 8), np.float16)}
    found = counted(written(tmp_path, model(nodes, {"x": (10, (4, 4))}, ["y"], weights))).accounts[0]
    assert (16 * 2 + 2 * 8, 3 * 32) == (found.weights_bytes, found.activation_bytes)  # the reshape writes nothing
    assert found.weights_bytes + 2 * 32 == found.peak_bytes


def branch(name: str, *nodes: Any, output: str) -> Any:
    made = graph(nodes, {}, [output])
    made.name = name
    return made


def test_the_dearer_branch_is_counted_and_named(tmp_path: Path) -> None:
    """An If whose condition is an input: both branches are entered, the dearer one is in the count."""
    cheap = branch("a", node("MatMul", "x w1", "p"), node("MatMul", "p w2", "t"), output="t")  # 8 * 2 + 2 * 4
    dear = branch("b", node("MatMul", "x w3", "e"), output="e")  # 8 * 4
    choice = node("If", "c", "y", then_branch=cheap, else_branch=dear)
    weights = {"w1": ones(8, 2), "w2": ones(2, 4), "w3": ones(8, 4)}
    inputs = {"c": (BOOL, ()), "x": (FLOAT, (1, 8))}
    found = counted(written(tmp_path, model([choice], inputs, ["y"], weights)))
    assert (32, ()) == (found.cost.macs, found.uncounted)
    assert "If 'the_If' depends on data: its dearer branch, else, is counted" in found.notes
    taken = counted(written(tmp_path, model([choice], {"x": (FLOAT, (1, 8))}, ["y"], {**weights, "c": np.array(True)})))
    assert (24, ()) == (taken.cost.macs, taken.notes[:0])


def loop(*nodes: Any, states: tuple[str, ...] = ("h",), scanned: tuple[str, ...] = ()) -> Any:
    """Return the body of a Loop whose states are float (1, 8)."""
    inputs = {"i": (INT64, ()), "go": (BOOL, ()), **dict.fromkeys(states, (FLOAT, (1, 8)))}
    return graph(nodes, inputs, ["on", *(f"{name}_" for name in states), *scanned])


def test_a_loop_is_its_body_times_its_trips(tmp_path: Path) -> None:
    """Trips that are a constant: counted so often, and what is scanned has a row for each."""
    body = loop(node("Identity", "go", "on"), node("MatMul", "h w", "h_"), node("Identity", "h_", "s"), scanned=("s",))
    repeated = node("Loop", "n - x", "y all", body=body)
    after = node("MatMul", "all v", "z")
    weights = {"n": np.array(7), "w": ones(8, 8), "v": ones(8, 2)}
    found = counted(written(tmp_path, model([repeated, after], {"x": (FLOAT, (1, 8))}, ["y", "z"], weights)))
    assert (7 * 64 + 7 * 8 * 2, ()) == (found.cost.macs, found.uncounted)
    assert 7 == next(row.runs for row in found.cost.rows if row.macs == 7 * 64)


def test_a_loop_whose_trips_are_not_constant_is_a_lower_bound(tmp_path: Path) -> None:
    """Its body is counted once, the Loop is named as uncounted, and a note says so."""
    body = loop(node("Identity", "go", "on"), node("MatMul", "h w", "h_"))
    inputs = {"n": (INT64, ()), "x": (FLOAT, (1, 8))}
    repeated = node("Loop", "n - x", "y", body=body)
    found = counted(written(tmp_path, model([repeated], inputs, ["y"], {"w": ones(8, 8)})))
    assert (64, [("Loop", 1)]) == (found.cost.macs, [tuple(each) for each in found.uncounted])
    assert any("depends on data: one trip is counted, a lower bound" in note for note in found.notes)


def test_a_loop_that_counts_is_followed(tmp_path: Path) -> None:
    """Its condition follows from its own counter: as many trips as that makes."""
    count = [node("Add", "k one", "k_"), node("Less", "k_ five", "on"), node("MatMul", "h w", "h_")]
    body = graph(
        count, {"i": (INT64, ()), "go": (BOOL, ()), "k": (INT64, ()), "h": (FLOAT, (1, 8))}, ["on", "k_", "h_"]
    )
    weights = {"zero": np.array(0), "one": np.array(1), "five": np.array(5), "yes": np.array(True), "w": ones(8, 8)}
    repeated = node("Loop", "- yes zero x", "k_end y", body=body)
    found = counted(written(tmp_path, model([repeated], {"x": (FLOAT, (1, 8))}, ["y"], weights)))
    assert (5 * 64, ()) == (found.cost.macs, found.uncounted)


def test_a_scan_is_its_body_times_its_steps(tmp_path: Path) -> None:
    """Steps are the length of what is scanned; with an open one --input gives it."""
    body = graph([node("MatMul", "h w", "p"), node("Add", "p s", "h_"), node("Identity", "h_", "o")],
                 {"h": (FLOAT, (1, 8)), "s": (FLOAT, (1, 8))}, ["h_", "o"])  # fmt: skip
    scanned = node("Scan", "h0 xs", "h_end ys", body=body, num_scan_inputs=1)
    inputs = {"h0": (FLOAT, (1, 8)), "xs": (FLOAT, ("steps", 1, 8))}
    path = written(tmp_path, model([scanned], inputs, ["ys"], {"w": ones(8, 8)}))
    assert 6 * 64 == counted(path, "xs=6,1,8").cost.macs


def test_functions_of_the_file_are_expanded(tmp_path: Path) -> None:
    """A function that calls another one, with an attribute of its own: each call is counted, named by its node."""
    flag = helper.make_node("Gemm", ["a", "b"], ["c"])
    reference = flag.attribute.add()
    reference.name, reference.ref_attr_name, reference.type = "transB", "turned", 2
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    inner = helper.make_function("own", "product", ["a", "b"], ["c"], [flag], opsets, ["turned"])
    call = helper.make_node("product", ["x", "w"], ["y"], domain="own", turned=1)
    outer = helper.make_function("own", "twice", ["x", "w"], ["z"],
                                 [call, helper.make_node("Relu", ["y"], ["z"])], opsets)  # fmt: skip
    nodes = [node("twice", "x w", "h", "own"), node("product", "h v", "y", "own", turned=0)]
    weights = {"w": ones(4, 8), "v": ones(4, 5)}
    made = model(nodes, {"x": (FLOAT, (2, 8))}, ["y"], weights, [inner, outer])
    found = counted(written(tmp_path, made))
    assert (2 * 8 * 4 + 2 * 4 * 5, ()) == (found.cost.macs, found.uncounted)
    assert ["Gemm", "Relu", "Gemm"] == [row.op for row in found.cost.rows]


def test_custom_domains_are_uncounted_by_name(tmp_path: Path) -> None:
    """Nothing of them runs; what the file declares of their results is believed, so that what follows is counted."""
    made = model([node("Magic", "x", "h", "own"), node("MatMul", "h w", "y")], {"x": (FLOAT, ("n", 8))}, ["y"],
                 {"w": ones(8, 4)})  # fmt: skip
    made.graph.value_info.append(helper.make_tensor_value_info("h", FLOAT, ("n", 8)))
    found = counted(written(tmp_path, made))
    assert (32, [("own::Magic", 1)]) == (found.cost.macs, [tuple(each) for each in found.uncounted])
    assert found.coverage < 1


def test_shapes_that_a_graph_computes_are_followed(tmp_path: Path) -> None:
    """What exporters write for a view: Shape, Gather, arithmetic, Concat, Where, Expand; then a product."""
    nodes = [
        node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Div", "eight two", "half"),
        node("Unsqueeze", "n axis", "n1"), node("Concat", "n1 half minus", "to", axis=0), node("Reshape", "x to", "r"),
        node("Equal", "minus minus", "same"), node("Where", "same four eight", "wide"),
        node("Concat", "n1 wide eight", "e", axis=0), node("Expand", "w e", "big"), node("MatMul", "r big", "y"),
    ]  # fmt: skip
    numbers = {"zero": 0, "two": [2], "axis": [0], "eight": [8], "minus": [-1], "four": [4]}
    weights = {**{name: np.array(value) for name, value in numbers.items()}, "w": ones(1, 4, 8)}
    found = counted(written(tmp_path, model(nodes, {"x": (FLOAT, ("n", 16))}, ["y"], weights)))
    assert (4 * 4 * 8, ()) == (found.cost.macs, found.uncounted)


OPEN = {"ids": (INT64, ("batch", "length")), "image": (FLOAT, ("batch", 3, "side", "side"))}


def open_file(folder: Path) -> Path:
    nodes = [node("Gather", "w ids", "e"), node("MatMul", "e v", "y"), node("Conv", "image k", "z")]
    weights = {"w": ones(10, 4), "v": ones(4, 4), "k": ones(2, 3, 1, 1)}
    return written(folder, model(nodes, OPEN, ["y", "z"], weights))


@pytest.mark.parametrize("inputs", [("ids=7:int64:10", "image=3,5,5"), ("7", "3,5,5"), ("image=2,3,5,5", "ids=2,7")])
def test_open_axes_are_given_by_input(tmp_path: Path, inputs: tuple[str, ...]) -> None:
    """By name or in order, without the batch or with all axes; the batch is --batch's."""
    scaled = 2 if "image=2" in inputs[0] else 1
    assert scaled * (7 * 16 + 25 * 6) == counted(open_file(tmp_path), *inputs).cost.macs


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((), "'ids' leaves 'length' open; allowed: --input ids=N, each N a size"),
        ((), "'image' leaves 'side' and 'side' open; allowed: --input image=3,N,N"),
        (("ids=7", "image=3,5,6"), "'image': 'side' is 6 here and 5 in another place"),
        (("ids=7", "image=4,5,5"), "'image': given 4 for axis 1; allowed: 3, which the file fixes"),
        (("ids=7", "image=5"), "'image': given 1 sizes; allowed: 4 axes, or 3 without the batch"),
        (("words=7",), "there is no input 'words'; allowed: the inputs of the file: 'ids' or 'image'"),
        (("ids=7:int32",), "'ids': given int32; allowed: int64, which the file fixes"),
        (("1", "2", "3"), "given more than the file has inputs"),
    ],
)
def test_open_axes_that_are_left_are_named(tmp_path: Path, inputs: tuple[str, ...], words: str) -> None:
    """Each with what to write; what contradicts the file is refused with what it fixes."""
    with pytest.raises(InputError) as error:
        counted(open_file(tmp_path), *inputs)
    assert words in str(error.value)


def test_a_fixed_batch_is_said(tmp_path: Path) -> None:
    """A file that fixes its first axis has no other batch."""
    made = model([node("Relu", "x", "y")], {"x": (FLOAT, (2, 8))}, ["y"])
    with pytest.raises(InputError, match=r"batch: given 4; allowed: 1, 'net.onnx' fixes the first axis"):
        counted(written(tmp_path, made), batch=4)


@pytest.mark.parametrize(
    ("name", "weight", "scopes", "expected"),
    [
        ("/layer1/layer1.0/conv1/MatMul", "w", "", "layer1.0.conv1"),
        ("node_1", "layer1.0.conv1.weight", "", "layer1.0.conv1"),
        ("node_1", "w", "['', 'layer1', 'layer1.0', 'mm']", "layer1.0"),
        ("node_1", "w", "", "node_1"),
        ("/MatMul", "w", "", "/MatMul"),
        ("/MatMul", "conv1.weight", "", "conv1"),
    ],
)
def test_nodes_are_named_by_their_layers(tmp_path: Path, name: str, weight: str, scopes: str, expected: str) -> None:
    """As exporters tell them: a path in the name, a weight's name, torch's scopes; else the node's own name."""
    made = helper.make_node("MatMul", ["x", weight], ["y"], name=name)
    if scopes:
        entry = made.metadata_props.add()
        entry.key, entry.value = "pkg.torch.onnx.name_scopes", scopes
    found = counted(written(tmp_path, model([made], {"x": (FLOAT, (1, 8))}, ["y"], {weight: ones(8, 8)})))
    assert [expected] == [row.name for row in found.cost.rows]
