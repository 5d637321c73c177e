"""Eager layers: parts of known duration are recovered, each part has its own time, and the network is left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from one_stage import taken
from torch import Tensor, nn

from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import Act, Conv, GlobalPool, Input, Linear
from archcost.latency.layers import eager
from archcost.latency.layers.closure import closed, is_known
from archcost.latency.layers.times import LayerTimes, Part
from archcost.latency.runtimes import Source
from archcost.latency.samples import Plan, Way
from archcost.latency.targets.fake import Machine, Script
from archcost.nets.net import Net, build, example

WAY = Way("cpu", "eager", 1, "float32", 1)


class Spinning(nn.Module):
    """A part that takes so long of a machine's clock, and is one object however often it is copied."""

    def __init__(self, machine: Machine, span_s: float, result: Callable[[Tensor], Tensor] = torch.clone) -> None:
        super().__init__()
        self.machine, self.span_s, self.result = machine, span_s, result

    def forward(self, x: Tensor) -> Tensor:
        """x: anything -> what `result` makes of it."""
        self.machine.sleep(self.span_s)
        return self.result(x)

    def __deepcopy__(self, memo: dict[int, Any]) -> Spinning:
        """Return one on the same machine."""
        return Spinning(self.machine, self.span_s, self.result)


def timed(source: Source, machine: Machine, read_s: float = 0.0) -> LayerTimes:
    """Return the layers of a source by a machine's clock, each reading of which takes so long."""
    plan = Plan(time_s=1.0)

    def clock() -> float:
        machine.sleep(read_s)
        return machine.clock()

    instruments = replace(machine.instruments(Script(), plan), clock=clock)
    with eager.staged(source, plan, instruments) as stage:
        found = taken(stage, plan, instruments, partial(is_known, precision=0.02))
        return closed(found, (), stage.told(), WAY, 0.02)


class Block(nn.Module):
    """Two parts with a function between them, and one of the parts twice."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine
        self.first, self.second = Spinning(machine, 0.002), Spinning(machine, 0.001)

    def forward(self, x: Tensor) -> Tensor:
        """x: anything -> the same."""
        x = self.second(self.first(x))
        self.machine.sleep(0.004)
        return self.second(x)

    def __deepcopy__(self, memo: dict[int, Any]) -> Block:
        """Return one on the same machine."""
        return Block(self.machine)


@pytest.mark.parametrize("read_s", [0.0, 1e-4])
def test_every_part_of_a_module_has_its_own_time(read_s: float) -> None:
    """A part that runs twice has both; what is between parts is their module's; reading the clock is nobody's."""
    machine = Machine()
    found = timed(Source(Block(machine), (torch.ones(1),)), machine, read_s)
    assert {"Block": 0.004, "first": 0.002, "second": 0.002} == {
        layer.name: pytest.approx(layer.time_s) for layer in found.layers
    }
    assert (0.008, 0.0, 8) == pytest.approx((found.end_to_end_s, found.residual_s, found.reads))
    assert pytest.approx(0.0, abs=1e-9) == found.unexplained_s
    assert pytest.approx(8 * read_s, abs=1e-12) == found.attributing_s


def graph() -> Graph:
    """Return a small network."""
    b = Builder()
    x = b.add("input", Input((3, 8, 8)))
    x = b.add("stem.conv", Conv(4, 3, 1, 1, bias=True), x)
    x = b.add("stem.relu", Act("relu"), x)
    x = b.add("head.pool", GlobalPool(), x)
    b.add("head.linear", Linear(5, bias=True), x)
    return b.graph()


@pytest.mark.parametrize("read_s", [0.0, 1e-4])
def test_every_node_of_a_network_has_its_own_time(read_s: float) -> None:
    """Nodes of known durations are recovered, whatever reading the clock takes."""
    machine = Machine()
    spans = {"stem.conv": 0.005, "stem.relu": 0.001, "head.pool": 0.0005, "head.linear": 0.01}
    made = dict(build(graph()).calls)
    calls = {name: Spinning(machine, span_s, made[name]) for name, span_s in spans.items()}
    net = Net(graph(), layers=calls).eval()
    found = timed(Source(net, (example(graph()),)), machine, read_s)
    ran = {layer.name: layer.time_s for layer in found.layers}
    del spans["stem.relu"]  # it writes over the convolution's output, by a function that does not ask the machine
    assert spans == {name: pytest.approx(ran[name]) for name in spans}
    assert pytest.approx(0.0, abs=1e-9) == found.unexplained_s


def test_the_module_is_left_as_it_was() -> None:
    """Neither the network that was given nor a copy of it keeps what times it, also where a forward is its own."""
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    own = module[1].forward
    module[1].forward = own
    before = [dict(part.__dict__) for part in module.modules()]
    events: list[float] = []
    parts = list(enumerate(module.modules()))
    with eager.watching_parts(parts, events, lambda: 1.0)():
        module(torch.ones(2))
    assert before == [dict(part.__dict__) for part in module.modules()]
    assert [~0, ~1, 1, ~2, 2, 0] == [int(code) for code in events[::2]]


def test_parts_are_named_by_what_is_known() -> None:
    """Rows have the operators, MACs and bytes that were counted, in the order of the count."""
    machine = Machine()
    source = Source(Block(machine), (torch.ones(1),))
    plan = Plan(time_s=1.0)
    parts = (Part("second", "second", "clone", "top", "second", 5, 8), Part("absent", "absent", "", "", "absent", 0, 0))
    instruments = machine.instruments(Script(), plan)
    with eager.staged(source, plan, instruments) as stage:
        found = closed(taken(stage, plan, instruments, lambda _: True), parts, stage.told(), WAY, 0.02)
    assert ("second", "clone", 5) == (found.layers[0].name, found.layers[0].op, found.layers[0].macs)
    assert {"second", "first", "Block"} == {layer.name for layer in found.layers}
