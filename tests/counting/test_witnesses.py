"""The witnesses: they agree with the counts, and where something is counted wrong they name the node."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from archcost import load
from archcost.counting.witnesses.network import witness
from archcost.graph.cost import count, listed
from archcost.graph.recipe import Recipe
from archcost.nets.net import build

SMALL = ["resnet-20", "nin-cifar10", "fractalnet-ultra-3", "rir-18-wide", "hornn-3-gated", "hornn-2-gated-embedded"]


@pytest.mark.parametrize("name", SMALL)
def test_both_witnesses_agree_with_the_counts(name: str) -> None:
    """fvcore and torch see what the graph counts, for every family."""
    model = load(name)
    seen = witness(model.graph, build(model.graph, Recipe(model.recipe.init)), model.cost)
    assert ((), True) == (seen.differences, seen.agree)
    assert (model.cost.params, model.cost.macs) == (seen.params, seen.fvcore.macs)
    assert model.cost.macs == seen.torch.macs


def test_all_steps_of_a_sequence_are_witnessed() -> None:
    """A recurrent network of T steps costs T times one step, for the witnesses too."""
    model = load("hornn-3", ["input.steps=7", "pooling=fofe"])
    seen = witness(model.graph, build(model.graph, model.recipe), model.cost)
    assert 7 * 4_480_000 == seen.fvcore.macs == seen.torch.macs


def test_a_wrong_count_is_named() -> None:
    """A row that counts one MAC too many is the one that is reported, by each witness."""
    model = load("resnet-20")
    rows = list(model.cost.rows)
    wrong = next(i for i, row in enumerate(rows) if row.name == "stage2.block1.conv2")
    rows[wrong] = rows[wrong]._replace(macs=rows[wrong].macs + 1)
    lines = witness(model.graph, build(model.graph), listed(tuple(rows))).differences
    assert 2 == len(lines)
    assert all(line.startswith("stage2.block1.conv2: 2359297 MACs counted") for line in lines)


def test_wrong_parameters_are_named() -> None:
    """A parameter too many in the counts is reported."""
    model = load("resnet-20")
    rows = (model.cost.rows[1]._replace(params=1), *model.cost.rows[2:])
    seen = witness(model.graph, build(model.graph), listed(rows))
    assert (True, False) == (any(line.startswith("params: ") for line in seen.differences), seen.agree)


class Extra(nn.Module):
    """A layer that also multiplies a matrix outside any node, and does what fvcore has no count for."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> the same as without it."""
        flat = x.flatten(1)
        return self.inner(x + 0 * torch.cdist(flat, flat).sum() + 0 * (flat @ flat.T).sum())


def test_what_the_graph_does_not_know_is_seen() -> None:
    """MACs at an unexpected place, and an operator without a count, are both reported and never a silent 0."""
    model = load("resnet-20")
    net = build(model.graph)
    first = net._steps[0]
    net._steps = (first._replace(call=Extra(first.call)), *net._steps[1:])
    net.extra = net._steps[0].call
    seen = witness(model.graph, net, model.cost)
    lines = seen.differences
    assert any("fvcore sees" in line and ("extra" in line or "outside any node" in line) for line in lines)
    assert any("aten::" in line and "fvcore has no count" in line for line in lines)
    assert seen.fvcore.unsupported == {op.op: op.calls for op in seen.uncounted} != {}


def test_counting_leaves_the_network_as_it_was() -> None:
    """Weights, statistics, flags and torch's random state are the same after both witnesses."""
    model = load("fractalnet-ultra-2")
    net = build(model.graph)
    net.train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    random = torch.random.get_rng_state()
    witness(model.graph, net, model.cost)
    torch.testing.assert_close(before, net.state_dict(), rtol=0, atol=0)
    assert net.training
    assert torch.equal(random, torch.random.get_rng_state())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_restricted_network_is_witnessed_alone() -> None:
    """A column of a fractal network agrees as a network of its own."""
    model = load("fractalnet-ultra-3", ["use_columns=[2]"])
    assert () == witness(model.graph, build(model.graph), count(model.graph)).differences
