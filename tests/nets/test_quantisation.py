"""A file of 8 bits: weights that are counted have them, layers left out do not, and it computes as it is written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from specs import Tree, model
from torch import Tensor, nn

from archcost.errors import InputError, TargetError
from archcost.graph.account import account
from archcost.graph.recipe import Recipe
from archcost.nets.call import Call
from archcost.nets.export import formats
from archcost.nets.export.quantisation import file
from archcost.nets.export.quantisation.calibration import drawn
from archcost.nets.export.quantisation.spec import MOST_EXAMPLES, Quantisation
from archcost.nets.export.sessions import session
from archcost.nets.export.torch_export import onnx_file
from archcost.nets.net import build, example

IMAGE: Tree = {"input": [3, 9, 9], "classes": 4}
SMALL: dict[str, Tree] = {
    "bottleneck": {**IMAGE, "family": "bottleneck", "depths": [1, 2], "widths": [8, 12], "groups": 2},
    "norms that no convolution is before": {**IMAGE, "family": "bottleneck", "block": "basic", "depths": [1, 1],
                                            "widths": [16, 24], "shortcut": "pad", "order": "pre"},
    "nin": {**IMAGE, "family": "nin", "layers": [{"kernel": 3, "widths": [6, 4], "pool": "avg"}]},
    "rir": {**IMAGE, "family": "rir", "depths": [1, 1], "widths": [4, 6], "outer_shortcut": True},
    "fractal": {**IMAGE, "family": "fractal", "columns": 3, "widths": [4, 6]},
}  # fmt: skip
RECURRENT: dict[str, Tree] = {
    "max": {"family": "hornn", "input": {"steps": 4, "vocab": 11}, "hidden": 6, "order": 3, "pooling": "max"},
    "gated": {"family": "hornn", "input": {"steps": 5, "features": 3}, "classes": 2, "hidden": 6, "order": 2,
              "pooling": "gated"},
}  # fmt: skip


class Attending(nn.Module):
    """Looks tokens up, lets them attend to each other, and reads the mean out."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return scores (B, 3) of tokens (B, T)."""
        x = self.norm(self.table(tokens))
        scores: Tensor = self.head((x + self.attention(x, x, x, need_weights=False)[0]).mean(1))
        return scores


def network(tree: Tree) -> Call:
    found = model(tree)
    net = build(found.graph, Recipe(found.recipe.init), seed=0).eval()
    return Call(net, (example(found.graph, 1, seed=0),))


CALLS: dict[str, Callable[[], Call]] = {
    **{name: (lambda tree=tree: network(tree)) for name, tree in {**SMALL, **RECURRENT}.items()},
    "attention": lambda: Call(Attending().eval(), (torch.arange(5).reshape(1, 5),)),
}


def written(call: Call, path: Path, how: Quantisation | None = None) -> Path:
    """Write a call's network in 8 bits; its inputs are drawn."""
    how = how or Quantisation(weights=file.fitting_weights())
    with torch.no_grad():
        call.module(*call.args)
        with onnx_file(call) as source:
            inputs = drawn(call, file.input_names(source), how.examples)
            file.write(source, path, how, inputs, {"name": "small"})
    return path


def held(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of each number in a file that its quantiser has written, by the name before that."""
    import onnx

    made = onnx.load(path).graph.initializer
    kinds = onnx.TensorProto.DataType
    return {
        t.name.removesuffix("_quantized"): (kinds.Name(t.data_type), tuple(t.dims))
        for t in made
        if t.name.endswith("_quantized")
    }


def names(kept: dict[str, tuple[str, tuple[int, ...]]], kinds: Collection[str]) -> set[str]:
    return {name for name, (kind, _) in kept.items() if kind in kinds}


@pytest.mark.parametrize("name", SMALL)
def test_the_weights_that_are_counted_have_8_bits(name: str, tmp_path: Path) -> None:
    """As many as the account of the graph has: the file, which knows nothing of it, is the witness."""
    kept = held(written(network(SMALL[name]), tmp_path / "q.onnx"))
    small, whole = (account(model(SMALL[name]).graph, 1, dtype).weights_bytes for dtype in ("int8", "float32"))
    assert whole - small == 3 * sum(prod(shape) for kind, shape in kept.values() if kind == "INT8")
    assert {"INT8", "INT32"} >= {kind for kind, _ in kept.values()}


@pytest.mark.parametrize("name", CALLS)
def test_what_runs_is_what_is_written(name: str, tmp_path: Path) -> None:
    """ONNX Runtime's 8-bit kernels give what the file gives in float32 with rounding, which is near the network."""
    call = CALLS[name]()
    path = written(call, tmp_path / "q.onnx")
    given = dict(zip(file.input_names(path), [each.numpy() for each in call.args], strict=True))
    (expected,) = file.emulated(path, given)
    (actual,) = session(path).run(None, given)
    largest = expected.abs().max()
    assert float((expected - torch.from_numpy(actual)).abs().max() / largest) <= file.TOLERANCE
    with torch.no_grad():
        assert 0 < float((call.module(*call.args) - expected).abs().max() / largest) < 0.25


class Averaging(nn.Module):
    """A mean of two convolutions, which is pooled and convolved."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2, 2, 2) of x (B, 3, 6, 6)."""
        mean = (self.one(x) + self.other(x)) / 2
        given: Tensor = self.last(nn.functional.max_pool2d(mean, 2))
        return given


def test_a_mean_is_a_sum_in_another_scale(tmp_path: Path) -> None:
    """Factors are not multiplied: the integers stay, and what they stand for is what the network computes."""
    import onnx

    torch.manual_seed(0)
    call = Call(Averaging().eval(), (torch.rand(1, 3, 6, 6),))
    path = written(call, tmp_path / "q.onnx")
    assert {"Div", "Mul"}.isdisjoint(node.op_type for node in onnx.load(path).graph.node)
    (actual,) = session(path).run(None, {file.input_names(path)[0]: call.args[0].numpy()})
    with torch.no_grad():
        expected = call.module(*call.args)
    assert float((expected - torch.from_numpy(actual)).abs().max()) <= 0.05 * float(expected.abs().max())


@pytest.mark.parametrize("name", ["fractal", "bottleneck"])
def test_a_layer_of_float32_is_right_behind_a_factor(name: str, tmp_path: Path) -> None:
    """Whichever layer stays in float32, the file computes the network."""
    call, how = network(SMALL[name]), Quantisation(weights=file.fitting_weights())
    small, path = tmp_path / "small.onnx", tmp_path / "q.onnx"
    with torch.no_grad():
        expected = call.module(*call.args)
        with onnx_file(call) as source:
            given, *_ = file.input_names(source)
            file.write(source, small, how, drawn(call, [given], how.examples), {})
            for layer in file.layer_nodes(source):
                file.mix(source, small, path, {layer})
                (actual,) = session(path).run(None, {given: call.args[0].numpy()})
                apart = float((expected - torch.from_numpy(actual)).abs().max())
                assert apart <= 0.25 * float(expected.abs().max()), layer


def test_layers_left_out_stay_in_float32(tmp_path: Path) -> None:
    """They are named as the network names them, and the file says which they are."""
    import onnx

    call = network(SMALL["bottleneck"])
    whole = names(held(written(call, tmp_path / "whole.onnx")), {"INT8"})
    how = Quantisation(float_layers=frozenset({"stem.conv", "stage1.block1.conv2"}))
    path = written(call, tmp_path / "part.onnx", how)
    assert {"layers.stem.conv.weight", "layers.stage1.block1.conv2.weight"} == whole - names(held(path), {"INT8"})
    told = {each.key: each.value for each in onnx.load(path).metadata_props}
    assert ("stage1.block1.conv2, stem.conv", "small") == (told["archcost.float_layers"], told["archcost.name"])


@pytest.mark.parametrize(
    ("call", "how", "message"),
    [
        (Call(nn.ReLU(), (torch.ones(1, 3),)), Quantisation(), "int8: this network has no product that could be"),
        (Call(nn.Sequential(nn.Linear(3, 2)), (torch.ones(1, 3),)), Quantisation(float_layers=frozenset({"x"})),
         "int8: no product is named 'x'; allowed: '0'"),
    ],
)  # fmt: skip
def test_what_cannot_be_quantised_is_refused(call: Call, how: Quantisation, message: str, tmp_path: Path) -> None:
    """With the reason, or the names that there are."""
    with pytest.raises(TargetError, match=message):
        written(call, tmp_path / "q.onnx", how)


@pytest.mark.parametrize(("weights", "most"), [("int8", 127), ("int7", 64)])
def test_weights_of_7_bits_are_half_as_large(weights: Any, most: int, tmp_path: Path) -> None:
    """So that two products of them and 8 bits fit into 16."""
    import onnx

    path = written(network(SMALL["nin"]), tmp_path / "q.onnx", Quantisation(weights=weights))
    made = [t for t in onnx.load(path).graph.initializer if t.data_type == onnx.TensorProto.INT8]
    kernels = [onnx.numpy_helper.to_array(t) for t in made if t.name.endswith("weight_quantized")]
    assert most == max(int(abs(kernel.astype(int)).max()) for kernel in kernels)


def test_logging_is_left_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The quantiser says nothing, and gives the root logger no handler that stays."""
    root = logging.getLogger()
    before = [*root.handlers], root.level
    written(network(SMALL["nin"]), tmp_path / "q.onnx")
    assert before == ([*root.handlers], root.level)
    assert ("", "") == capfd.readouterr()


def test_a_written_file_is_one_of_any_batch(tmp_path: Path) -> None:
    """It says what was compared, how far 8 bits are from the network, and is there whole or not at all."""
    lines = formats.export_int8(model(SMALL["nin"]), tmp_path / "net.onnx")
    assert ["net.onnx"] == [each.name for each in tmp_path.iterdir()]
    (given,) = session(tmp_path / "net.onnx").get_inputs()
    assert ["batch", 3, 9, 9] == given.shape
    assert any(line.startswith("8 bits: differs by ") for line in lines)


@pytest.mark.parametrize("examples", [0, MOST_EXAMPLES + 1])
def test_a_quantisation_that_cannot_be_is_refused(examples: int) -> None:
    """Ranges need an input, and more than a few hundred are not read."""
    with pytest.raises(InputError) as caught:
        Quantisation(examples=examples)
    assert f"calibration: given {examples}; allowed: 1 to 512 inputs" == str(caught.value)


def test_drawn_inputs_are_like_the_call() -> None:
    """The first is the call's own; others have its mean, spread and values, and each seed its own."""
    x, tokens = 3 + 2 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(1)), torch.tensor([[5, 7, 7]])
    call = Call(nn.Identity(), (x, tokens))
    first, *others = drawn(call, ["x", "tokens"], 4)
    assert (x.tolist(), [[5, 7, 7]]) == (first["x"].tolist(), first["tokens"].tolist())
    for each in others:
        assert (3, 2) == (round(float(each["x"].mean())), round(float(each["x"].std())))
        assert [5, 7, 7] == sorted(each["tokens"].flatten().tolist())
    again = [each["x"].tolist() for each in drawn(call, ["x", "tokens"], 4)][1:]
    assert [each["x"].tolist() for each in others] == again
    assert again[0] != next(iter(drawn(call, ["x", "tokens"], 2, seed=1)))["x"].tolist()
