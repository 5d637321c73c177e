"""ResNet in ResNet: equal to its twin, and what its two streams become where one of them is silent."""

from __future__ import annotations

import pytest
import specs
import torch
from specs import Tree
from torch import Tensor, nn
from twins import RiR, SingleLayerResNet, Unit, copy_in_order, copy_layer, with_state

from archcost.graph.graph import Graph
from archcost.nets.net import Net, build, example

DEPTHS, WIDTHS, CLASSES = (2, 1, 1), (4, 6, 8), 5
TREE: Tree = {"family": "rir", "input": [3, 12, 12], "classes": CLASSES, "depths": [*DEPTHS], "widths": [*WIDTHS]}


def built(**keys: str) -> tuple[Graph, Net, Tensor]:
    model = specs.model(TREE | keys)
    return model.graph, build(model.graph, model.recipe), example(model.graph, 4)


@torch.no_grad()
def silence(net: Net, *parts: str) -> None:
    """Set to zero the convolutions whose names end in one of `parts`."""
    for name, value in net.named_parameters():
        if name.endswith(tuple(f".{part}.weight" for part in parts)):
            value.zero_()


@torch.no_grad()
def unsettle(net: Net, stream: str) -> None:
    """Give the batch norms of one stream values other than those they begin with."""
    generator = torch.Generator().manual_seed(1)
    for name, value in net.state_dict().items():
        if f"norm_{stream}." in name or f"stem.{stream}.norm." in name:
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)


def layer(net: Net, name: str) -> nn.Module:
    return net.get_submodule(f"layers.{name}")


def units(net: Net) -> list[nn.Module]:
    """Return the generalised units in order."""
    return [part for name, part in net.named_modules() if name.rpartition(".")[2].startswith("unit")]


def test_network_equals_its_twin() -> None:
    """A network gives its hand-written twin's outputs, evaluated and trained, and learns the same."""
    _, net, x = built()
    unsettle(net, "r")
    unsettle(net, "t")
    twin = RiR(DEPTHS, WIDTHS, CLASSES).eval()
    copy_in_order(net, twin)
    torch.testing.assert_close(net(x), twin(x), rtol=1e-6, atol=1e-6)
    ours, theirs = net.train()(x), twin.train()(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    for (_, a), (_, b) in zip(with_state(net), with_state(twin), strict=True):
        for name, value in a.named_parameters(recurse=False):
            torch.testing.assert_close(value.grad, dict(b.named_parameters())[name].grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_a_silent_transient_stream_leaves_a_single_layer_resnet(training: bool) -> None:
    """With W_rt = W_tr = W_tt = 0 the network is a residual one with a single convolution per block."""
    _, net, x = built(head="linear")
    silence(net, "rt", "tr", "tt")
    unsettle(net, "r")
    twin = SingleLayerResNet(DEPTHS, WIDTHS, CLASSES)
    copy_stream(net, twin, "r")
    torch.testing.assert_close(net.train(training)(x), twin.train(training)(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_a_silent_residual_stream_leaves_a_plain_network(training: bool) -> None:
    """With a residual stream of zeros the network is a plain stack of convolutions, without any shortcut."""
    _, net, x = built(head="linear")
    silence(net, "rr", "tr", "r.conv")
    unsettle(net, "t")
    twin = SingleLayerResNet(DEPTHS, WIDTHS, CLASSES, shortcut=False)
    copy_stream(net, twin, "t")
    torch.testing.assert_close(net.train(training)(x), twin.train(training)(x), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def copy_stream(net: Net, twin: SingleLayerResNet, stream: str) -> None:
    """Copy one stream's convolutions, norms and shortcuts, and its half of the head."""
    copy_layer(layer(net, f"stem.{stream}.conv"), twin.stem[0])
    copy_layer(layer(net, f"stem.{stream}.norm"), twin.stem[1])
    for unit, single in zip(units(net), twin.layers, strict=True):
        copy_layer(unit.get_submodule(f"{stream}{stream}"), single.get_submodule("conv"))
        copy_layer(unit.get_submodule(f"norm_{stream}"), single.get_submodule("bn"))
        if stream == "r" and hasattr(unit, "shortcut"):
            copy_layer(unit.get_submodule("shortcut"), single.get_submodule("shortcut"))
    head = layer(net, "head.linear")
    assert isinstance(head, nn.Linear)
    halves = head.weight.chunk(2, 1)
    twin.fc.weight.copy_(halves[0] if stream == "r" else halves[1])
    if head.bias is not None:
        twin.fc.bias.copy_(head.bias)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_unit_is_one_dense_convolution(stride: int) -> None:
    """The four convolutions of a unit of m channels per stream are one dense convolution of 2m to 2m channels."""
    tree = TREE | {"depths": [1], "widths": [4], "strides": [stride]}
    model = specs.model(tree)
    net = build(model.graph, model.recipe)
    rr, tr, rt, tt = (layer(net, f"stage1.block1.unit1.{name}") for name in ("rr", "tr", "rt", "tt"))
    dense = nn.Conv2d(8, 8, 3, stride, 1, bias=False)
    assert dense.weight.numel() == sum(p.numel() for conv in (rr, tr, rt, tt) for p in conv.parameters())
    rows = [row for row in model.cost.rows if row.name.startswith("stage1.block1.unit1.") and row.op == "Conv"]
    four = [row for row in rows if not row.name.endswith("shortcut")]
    side = 12 // stride
    assert 8 * 8 * 9 * side**2 == sum(row.macs for row in four)
    with torch.no_grad():
        to_r = torch.cat([next(rr.parameters()), next(tr.parameters())], 1)
        to_t = torch.cat([next(rt.parameters()), next(tt.parameters())], 1)
        dense.weight.copy_(torch.cat([to_r, to_t]))
        r, t = torch.randn(2, 2, 4, 12, 12, generator=torch.Generator().manual_seed(0)).unbind()
        both = torch.cat([rr(r) + tr(t), rt(r) + tt(t)], 1)
        torch.testing.assert_close(both, dense(torch.cat([r, t], 1)), rtol=1e-5, atol=1e-5)


def test_a_unit_equals_its_twin() -> None:
    """A unit that widens and strides gives both streams as its equations say."""
    tree = TREE | {"depths": [1, 1], "widths": [4, 6]}
    model = specs.model(tree)
    net = build(model.graph, model.recipe)
    state = {name.removeprefix("layers."): value for name, value in net.state_dict().items()}
    unit = Unit(4, 6, 2).eval()
    with torch.no_grad():
        for (_, ours), (_, theirs) in zip(with_state(units(net)[2]), with_state(unit), strict=True):
            copy_layer(ours, theirs)
        r, t = torch.randn(2, 2, 4, 6, 6, generator=torch.Generator().manual_seed(0)).unbind()
        prefix = "stage2.block1.unit1."

        def conv(name: str, x: Tensor, padding: int = 1) -> Tensor:
            return nn.functional.conv2d(x, state[f"{prefix}{name}.weight"], None, 2, padding)

        scale = (1 + 1e-5) ** -0.5  # a neutral batch norm divides by sqrt(1 + epsilon)
        residual = torch.relu((conv("rr", r) + conv("tr", t) + conv("shortcut", r, 0)) * scale)
        transient = torch.relu((conv("rt", r) + conv("tt", t)) * scale)
        torch.testing.assert_close(unit(r, t), (residual, transient), rtol=1e-5, atol=1e-5)
