"""Compiled layers: every node of a network is in a kernel that inductor says is made of it."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
from one_stage import taken
from torch import nn

from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import Act, Conv, GlobalPool, Input, Linear, Norm
from archcost.latency.layers import compile as compiled
from archcost.latency.layers.closure import closed, is_known
from archcost.latency.layers.times import Part
from archcost.latency.runtimes import Source
from archcost.latency.runtimes.compile import why_not
from archcost.latency.samples import Plan, Way
from archcost.latency.targets import cpu
from archcost.nets.net import build, example


def graph() -> Graph:
    """Return a small network."""
    b = Builder()
    x = b.add("input", Input((3, 8, 8)))
    x = b.add("stem.conv", Conv(4, 3, 1, 1), x)
    x = b.add("stem.norm", Norm(), x)
    x = b.add("stem.relu", Act("relu"), x)
    x = b.add("head.pool", GlobalPool(), x)
    b.add("head.linear", Linear(5, bias=True), x)
    return b.graph()


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_every_node_is_in_a_layer() -> None:
    """All nodes are in kernels, each once; all kernels are of nodes; and its calls are left as inductor wrote them."""
    of, plan = graph(), Plan(time_s=0.1)
    names = [node.name for node in of.nodes[1:]]
    parts = [Part(name, name, "", "", name, 0, 0) for name in names]
    source = Source(build(of), (example(of),), graph=of)
    with cpu.ready(plan) as instruments, compiled.staged(source, plan, instruments) as stage:
        rounds = taken(stage, plan, instruments, partial(is_known, precision=0.5))
        found = closed(rounds, parts, stage.told(), Way("cpu", "compile", 1, "float32", 1), 0.02)
    assert sorted(names) == sorted(name for layer in found.layers for name in layer.fused or (layer.name,))
    assert ("stem.norm", "stem.relu") in [layer.fused[:2] for layer in found.layers]
    assert (0.0, len(found.layers) + 1) <= (found.unmapped_s, found.reads)
    assert found.residual_s > 0


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("L['self']", "Block"),
        ("L['self'].act", "act"),
        ("L['self'].all[0]", "all.0"),
        ("L['fn'].all.0", "all.0"),
        ("L['self'].gone", "Block"),
    ],
)
def test_a_part_is_found_by_dynamos_path(path: str, name: str) -> None:
    """A function between parts is of the part that calls it."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act, self.all = nn.ReLU(), nn.Sequential(nn.ReLU())

    module = Block()
    node = SimpleNamespace(name="relu", op="call_function", target="relu", meta={"nn_module_stack": {"": (path, None)}})
    layers = compiled.layers(SimpleNamespace(graph=SimpleNamespace(nodes=[node])), module, None)
    assert {"relu": name} == layers
