"""Nets: what runs equals hand-written twins and a naive interpreter, begins as the papers say, and shares by name."""

from __future__ import annotations

import copy
from math import sqrt
from typing import Any

import pytest
import specs
import torch
from hypothesis import given
from hypothesis import strategies as st
from interpreter import gradients, interpret, weights
from specs import Tree, laws
from torch import Tensor, nn
from twins import (
    FractalNet,
    ResNet,
    copy_by_name,
    copy_in_order,
    masked_dense,
    pairs_by_name,
    window_starts,
    with_state,
)

import archcost
from archcost.errors import InputError
from archcost.graph import cost
from archcost.graph.columns import columns, only
from archcost.graph.recipe import Recipe
from archcost.models import load
from archcost.nets.net import Net, build, example, on_meta

RESNET: Tree = {
    "family": "bottleneck",
    "input": [3, 65, 64],
    "classes": 7,
    "stem": {"channels": 8, "kernel": 7, "stride": 2, "pool": "max"},
    "depths": [2, 1, 1],
    "widths": [16, 32, 64],
}
FRACTAL: Tree = {
    "family": "fractal",
    "input": [3, 16, 17],
    "classes": 5,
    "columns": 4,
    "widths": [6, 8],
    "dropout": [0, 0.3],
}
SMALL: dict[str, Tree] = {
    "bottleneck": {"family": "bottleneck", "input": [2, 7, 6], "classes": 3, "depths": [1, 1], "widths": [4, 8]},
    "nin": {
        "family": "nin",
        "input": [3, 8, 8],
        "classes": 4,
        "layers": [{"kernel": 3, "widths": [6, 6, 4], "sparse": [0, 1, 1], "span": 3, "pool": "avg"}],
    },
    "rir": {"family": "rir", "input": [2, 6, 6], "classes": 3, "depths": [1, 1], "widths": [2, 4]},
    "fractal": {
        "family": "fractal",
        "input": [2, 8, 8],
        "classes": 3,
        "columns": 3,
        "widths": [3, 4],
        "drop_path": {"local": 0.15, "global": 0.5},
    },
    "hornn": {"family": "hornn", "input": {"steps": 3, "vocab": 7}, "hidden": 4, "order": 3, "pooling": "fofe"},
}


def built(tree: Tree, *, seed: int = 0) -> tuple[load.Model, Net]:
    model = specs.model(tree)
    return model, build(model.graph, model.recipe, seed=seed)


@torch.no_grad()
def unsettle(net: nn.Module) -> None:
    """Give every bias and batch norm values other than those it begins with."""
    generator = torch.Generator().manual_seed(1)
    for name, value in net.state_dict().items():
        if value.dim() == 1:
            value.copy_(torch.rand(value.shape, generator=generator) + (0.5 if name.endswith("var") else -0.3))


def seeded(net: nn.Module, x: Tensor) -> Tensor:
    """Return a network's output with torch's random numbers (dropout) begun anew."""
    torch.manual_seed(5)
    y: Tensor = net(x)
    return y


def weighted(y: Tensor) -> Tensor:
    """Return a loss in which every output counts otherwise."""
    return (y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)).sum()


def assert_trains_alike(net: Net, twin: nn.Module, x: Tensor, pairs: list[tuple[nn.Module, nn.Module]]) -> None:
    """Compare outputs, gradients and running statistics of one training step."""
    ours, theirs = seeded(net.train(), x), seeded(twin.train(), x)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    weighted(ours).backward()
    weighted(theirs).backward()
    for layer, other in pairs:
        for name, value in layer.named_parameters(recurse=False):
            torch.testing.assert_close(value.grad, dict(other.named_parameters())[name].grad, rtol=1e-5, atol=1e-5)
        for name, value in layer.named_buffers(recurse=False):
            torch.testing.assert_close(value, dict(other.named_buffers())[name], rtol=1e-6, atol=1e-6)


def resnets() -> tuple[load.Model, Net, ResNet]:
    model, net = built(RESNET)
    unsettle(net)
    twin = ResNet((2, 1, 1), (16, 32, 64), 8, 7)
    copy_in_order(net, twin)
    return model, net, twin


def fractals() -> tuple[load.Model, Net, FractalNet]:
    model, net = built(FRACTAL)
    unsettle(net)
    twin = FractalNet(4, (6, 8), 5, (0, 0.3))
    copy_by_name(net, twin)
    return model, net, twin


def test_resnet_equals_its_twin() -> None:
    """A bottleneck network gives its hand-written twin's outputs, evaluated and trained, and learns the same."""
    model, net, twin = resnets()
    x = example(model.graph, 3)
    torch.testing.assert_close(net(x), twin.eval()(x), rtol=1e-6, atol=1e-6)
    pairs = [(a, b) for (_, a), (_, b) in zip(with_state(net), with_state(twin), strict=True)]
    assert_trains_alike(net, twin, x, pairs)


def test_fractalnet_equals_its_twin() -> None:
    """A fractal network gives its recursive twin's outputs, evaluated and trained, and learns the same."""
    model, net, twin = fractals()
    x = example(model.graph, 3)
    torch.testing.assert_close(net(x), twin.eval()(x), rtol=1e-6, atol=1e-6)
    assert_trains_alike(net, twin, x, pairs_by_name(net, twin))


@pytest.mark.parametrize(("name", "twin"), [("resnet-50", ResNet), ("fractalnet-20", FractalNet)])
def test_published_networks_equal_their_twins(name: str, twin: type[ResNet | FractalNet]) -> None:
    """The two published networks whose latency is compared with hand-written modules compute what those do."""
    model = archcost.load(name)
    net, other = build(model.graph, model.recipe), twin().eval()
    copy_in_order(net, other) if isinstance(other, ResNet) else copy_by_name(net, other)
    x = example(model.graph)
    with torch.inference_mode():
        torch.testing.assert_close(net(x), other(x), rtol=1e-6, atol=1e-6)


CIC = {
    # channels, outputs, span, kernel, stride
    "1D": (12, 10, 4, 1, 1),
    "3D": (12, 10, 4, 3, 1),
    "more windows than channels": (3, 7, 2, 3, 1),
    "windows of all channels": (4, 5, 4, 1, 1),
    "windows of one channel": (5, 5, 1, 3, 1),
    "one window": (6, 1, 3, 3, 1),
    "strided": (6, 4, 3, 3, 2),
    "strided 1x1": (6, 4, 3, 1, 2),
}


@pytest.mark.parametrize(("channels", "outs", "span", "kernel", "stride"), CIC.values(), ids=CIC.keys())
@pytest.mark.parametrize("batch", [1, 3])
def test_cic_equals_a_masked_dense_layer(
    channels: int, outs: int, span: int, kernel: int, stride: int, batch: int
) -> None:
    """A convolution across channels gives the outputs and gradients of a dense one, zero outside each window."""
    layer = {"kernel": kernel, "stride": stride, "widths": [outs], "sparse": [1], "span": span}
    tree: Tree = {"family": "nin", "input": [channels, 7, 6], "classes": outs, "layers": [layer]}
    model, net = built(tree)
    unsettle(net)
    conv = net.get_submodule("layers.layer1.conv1")
    assert isinstance(conv, nn.Conv2d)
    starts = window_starts(channels, outs, span)
    dense = masked_dense(conv, starts, channels)
    x = example(model.graph, batch).requires_grad_()
    again = x.detach().clone().requires_grad_()
    ours, theirs = net(x), torch.relu(dense(again)).mean((2, 3))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    weighted(ours).backward()
    weighted(theirs).backward()
    assert dense.weight.grad is not None
    windows = torch.stack([dense.weight.grad[k, start : start + span] for k, start in enumerate(starts)])
    torch.testing.assert_close(conv.weight.grad, windows, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(x.grad, again.grad, rtol=1e-5, atol=1e-5)


def test_cic_mlp_equals_masked_dense_layers() -> None:
    """MLP-011: a whole layer with two sparse places behind a dense one equals the masked dense stack."""
    model, net = built(SMALL["nin"])
    unsettle(net)
    convs = [net.get_submodule(f"layers.layer1.conv{i}") for i in (1, 2, 3)]
    first, *sparse = [conv for conv in convs if isinstance(conv, nn.Conv2d)]
    stack = [first, *(masked_dense(conv, window_starts(6, conv.out_channels, 3), 6) for conv in sparse)]
    x = example(model.graph, 2)
    y = x
    for conv in stack:
        y = torch.relu(conv(y))
    y = nn.functional.avg_pool2d(y, 3, 2, ceil_mode=True)
    torch.testing.assert_close(net(x), y.mean((2, 3)), rtol=1e-5, atol=1e-5)


def undropped(tree: Tree) -> Tree:
    """Return a network whose training draws no numbers step by step: no drop-path, no dropout in sequences."""
    left_out = {"drop_path"} | ({"dropout"} if tree["family"] == "hornn" else set())
    return {key: value for key, value in tree.items() if key not in left_out}


@pytest.mark.parametrize("family", list(specs.FAMILIES))
@given(data=st.data())
@laws(15)
def test_nets_equal_the_interpreter_evaluated(family: str, data: st.DataObject) -> None:
    """For random networks of every family freed, overwritten and folded values change nothing."""
    model, net = built(undropped(data.draw(specs.FAMILIES[family])))
    unsettle(net.double())
    x = double(example(model.graph, 2))
    with torch.no_grad():
        torch.testing.assert_close(net(x), interpret(model.graph, weights(net), x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", list(specs.FAMILIES))
@given(data=st.data())
@laws(15)
def test_in_place_steps_never_break_autograd(family: str, data: st.DataObject) -> None:
    """For random networks of every family training gives the gradients of a run that writes over nothing."""
    model, net = built(undropped(data.draw(specs.FAMILIES[family])))
    unsettle(net.double())
    state = weights(net)
    x = double(example(model.graph, 2))
    y = seeded(net.train(), x)
    weighted(y).backward()
    torch.manual_seed(5)
    expected = interpret(model.graph, state, x, training=True)
    weighted(expected).backward()
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
    for name, gradient in gradients(net).items():
        torch.testing.assert_close(gradient, state[name].grad, rtol=1e-6, atol=1e-6)


def double(x: Tensor) -> Tensor:
    """Return an input in double precision; tokens stay tokens."""
    return x.double() if x.is_floating_point() else x


@pytest.mark.parametrize("tree", SMALL.values(), ids=SMALL.keys())
def test_inference_mode_leaves_nets_trainable(tree: Tree) -> None:
    """A network that ran in inference mode can be trained afterwards."""
    model, net = built(tree)
    x = example(model.graph, 2)
    with torch.inference_mode():
        net(x)
    weighted(net.train()(x)).backward()
    assert any(value.grad is not None for value in net.parameters())


@pytest.mark.parametrize("tree", SMALL.values(), ids=SMALL.keys())
def test_nets_can_be_built_in_inference_mode(tree: Tree) -> None:
    """A network that is built where nothing will be trained runs there."""
    with torch.inference_mode():
        model, net = built(tree)
        x = example(model.graph, 2)
        torch.testing.assert_close(net(x), interpret(model.graph, weights(net), x))


@pytest.mark.parametrize("tree", SMALL.values(), ids=SMALL.keys())
def test_deepcopy_is_equal_and_independent(tree: Tree) -> None:
    """A deep copy computes the same, evaluated and trained, shares no tensor, and keeps its weights."""
    model, net = built(tree)
    unsettle(net)
    x = example(model.graph, 2)
    with torch.no_grad():
        before = net(x)
        other = copy.deepcopy(net)
        torch.testing.assert_close(other(x), before, rtol=0, atol=0)
        torch.testing.assert_close(seeded(other.train(), x), seeded(net.train(), x), rtol=0, atol=0)
        for value in net.state_dict().values():
            value.zero_()
        kept = copy.deepcopy(net.state_dict())
        other.train()(x)
        assert {k: v.tolist() for k, v in kept.items()} == {k: v.tolist() for k, v in net.state_dict().items()}
        assert all(value.any() for name, value in other.named_parameters() if "gates" not in name)


@pytest.mark.parametrize("tree", SMALL.values(), ids=SMALL.keys())
def test_state_keys_are_node_names(tree: Tree) -> None:
    """The keys of a state dictionary are the names of the nodes that own parameters or statistics."""
    model, net = built(tree)
    expected = {row.name for row in model.cost.rows if row.params}
    assert expected == {key.removeprefix("layers.").rpartition(".")[0] for key in net.state_dict()}


@pytest.mark.parametrize("tree", SMALL.values(), ids=SMALL.keys())
def test_building_is_reproducible(tree: Tree) -> None:
    """One seed builds one network, another seed another, and torch's own random numbers go on undisturbed."""
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    one, same, other = (built(tree, seed=seed)[1].state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_too_large_networks_are_refused() -> None:
    """A network that does not fit is refused before anything is allocated, with the size it would take."""
    model = archcost.load("hornn-3", ["hidden=1000000"])
    with pytest.raises(InputError) as caught:
        build(model.graph, model.recipe, available_bytes=10**9)
    assert str(caught.value) == "too large to build: 12.1 TB of weights; needs 12.1 TB of memory, 1.00 GB are free"


def test_memory_that_suffices_is_no_obstacle() -> None:
    """A network is built where its weights and largest live set fit to the byte, and refused one byte below."""
    model = specs.model(SMALL["rir"])
    needed = cost.peak_bytes(model.graph, 1, 4)
    assert build(model.graph, available_bytes=needed).graph == model.graph
    with pytest.raises(InputError, match="too large to build"):
        build(model.graph, available_bytes=needed - 1)


WIDE = 256
INITIAL: dict[str, tuple[Tree, dict[str, float], dict[str, float]]] = {
    # standard deviations of normal, bounds of uniform distributions
    "he": (
        {
            "family": "bottleneck",
            "input": [3, 8, 8],
            "classes": 50,
            "depths": [1],
            "widths": [WIDE],
            "groups": 4,
            "stem": {"channels": 32},
        },
        {
            "stem.conv": sqrt(2 / (9 * 32)),
            "stage1.block1.conv1": sqrt(2 / 64),
            "stage1.block1.conv2": sqrt(2 / (9 * 64 / 4)),
            "stage1.block1.conv3": sqrt(2 / WIDE),
        },
        {"head.linear": 1 / sqrt(WIDE)},
    ),
    "xavier": (
        {"family": "fractal", "input": [3, 8, 8], "classes": 50, "columns": 2, "widths": [WIDE]},
        {},
        {"block1.column2.conv2": sqrt(6 / (9 * WIDE * 2)), "head.linear": sqrt(6 / (WIDE + 50))},
    ),
    "nin": (
        {
            "family": "nin",
            "input": [3, 8, 8],
            "classes": 100,
            "layers": [{"kernel": 5, "widths": [WIDE, WIDE, 100], "sparse": [0, 1, 0], "span": 25}],
        },
        {"layer1.conv1": 0.05, "layer1.conv2": sqrt(2 / 25), "layer1.conv3": 0.05},
        {},
    ),
    "sum": (
        {"family": "hornn", "input": {"steps": 2, "vocab": 80}, "hidden": WIDE, "order": 3},
        {"recurrence.feedback": 0.7 / sqrt(3 * WIDE)},
        {"input.drive": 0.1, "readout.linear": 0.1},
    ),
    "fofe": (
        {"family": "hornn", "input": {"steps": 2, "vocab": 80}, "hidden": WIDE, "order": 3, "pooling": "fofe"},
        {"recurrence.feedback": 0.7 / sqrt(3 * WIDE)},
        {},
    ),
    "max": (
        {
            "family": "hornn",
            "input": {"steps": 2, "vocab": 80},
            "hidden": WIDE,
            "order": 3,
            "pooling": "max",
            "embedding": 100,
        },
        {f"recurrence.feedback{n}": 0.7 / sqrt(WIDE) for n in (1, 2, 3)},
        {"input.embedding": 0.1, "input.drive": 1 / sqrt(100), "readout.linear": 0.1},
    ),
    "gated": (
        {
            "family": "hornn",
            "input": {"steps": 2, "features": 90},
            "hidden": WIDE,
            "order": 2,
            "pooling": "gated",
            "classes": 40,
        },
        {},
        {"input.drive": 1 / sqrt(90), "gates.drive1": 0.0, "gates.feedback2": 0.0, "readout.linear": 0.1},
    ),
}


@pytest.mark.parametrize(("tree", "normal", "uniform"), INITIAL.values(), ids=INITIAL.keys())
def test_weights_begin_as_the_papers_say(tree: Tree, normal: dict[str, float], uniform: dict[str, float]) -> None:
    """Every initialisation has the stated spread, zero mean and zero biases; batch norms begin neutral."""
    _, net = built(tree)
    for name, std in normal.items():
        weight = net.get_parameter(f"layers.{name}.weight")
        assert std == pytest.approx(weight.std().item(), rel=0.06)
        assert pytest.approx(0, abs=4 * std / sqrt(weight.numel())) == weight.mean().item()
    for name, bound in uniform.items():
        weight = net.get_parameter(f"layers.{name}.weight")
        assert bound == pytest.approx(weight.abs().max().item(), rel=0.01)
        assert bound / sqrt(3) == pytest.approx(weight.std(correction=0).item(), rel=0.03)
    for name, value in net.state_dict().items():
        if value.dim() == 1:  # a bias, or a batch norm's: of those scale and variance begin at one
            assert {float(name.endswith((".weight", "_var")))} == set(value.tolist()), name


def test_a_gate_takes_nothing_from_the_recurrent_spread() -> None:
    """Gated terms are weighted before they are summed, one matrix each, of std .7/sqrt(H)."""
    _, net = built(INITIAL["gated"][0])
    weight = net.get_parameter("layers.recurrence.feedback1.weight")
    assert 0.7 / sqrt(WIDE) == pytest.approx(weight.std().item(), rel=0.06)


@pytest.mark.parametrize("tree", SMALL.values(), ids=SMALL.keys())
def test_nets_can_be_exported(tree: Tree) -> None:
    """torch.export takes a network of every family, without a warning, and what it gives computes the same."""
    model, net = built(tree)
    x = example(model.graph, 2)
    with torch.no_grad():
        exported: Any = torch.export.export(net, (x,)).module()
        torch.testing.assert_close(exported(x), net(x))


@given(specs.fractals(all_columns=True))
@laws(25)
def test_a_column_equals_a_network_of_its_own(tree: Tree) -> None:
    """A column, with the whole network's weights, computes what the stand-alone network of that column does."""
    model, net = built(undropped(tree))
    unsettle(net)
    x = example(model.graph, 2)
    for column in columns(model.graph):
        alone = build(only(model.graph, [column]), Recipe("xavier"))
        alone.load_state_dict({key: net.state_dict()[key] for key in alone.state_dict()})
        with torch.no_grad():
            torch.testing.assert_close(net.column(column)(x), alone(x), rtol=0, atol=0)


@given(specs.fractals(all_columns=True), st.data())
@laws(25)
def test_a_restriction_shares_the_weights(tree: Tree, data: st.DataObject) -> None:
    """A restricted network runs the same graph as if built alone and its parameters are the whole network's."""
    model, net = built(undropped(tree))
    unsettle(net)
    chosen = data.draw(st.lists(st.sampled_from(columns(model.graph)), min_size=1, unique=True))
    graph = only(model.graph, chosen)
    part = net.restricted(graph)
    x = example(model.graph, 2)
    with torch.no_grad():
        torch.testing.assert_close(part(x), interpret(graph, weights(net), x), rtol=1e-5, atol=1e-5)
    assert {id(value) for value in part.parameters()} <= {id(value) for value in net.parameters()}


def test_nets_on_meta_take_no_memory() -> None:
    """A network without memory gives the shape of its output, however large it is."""
    model = archcost.load("hornn-3", ["hidden=1000000", "input.steps=2"])
    net = on_meta(model.graph)
    assert (3, 2, 10_000) == tuple(net(example(model.graph, 3, device="meta")).shape)


def test_examples_are_seeded() -> None:
    """One seed gives one input: images, or tokens below the vocabulary, of the counted number of steps."""
    images, tokens = (specs.model(SMALL[name]).graph for name in ("nin", "hornn"))
    assert (2, 3, 8, 8) == tuple(example(images, 2).shape)
    assert torch.equal(example(images, seed=4), example(images, seed=4))
    assert not torch.equal(example(images, seed=4), example(images, seed=5))
    assert (50, 3) == tuple(example(tokens, 50).shape)
    assert list(range(7)) == example(tokens, 50).unique().tolist()
