"""Operators far below their roof: which kind each is of, what may be above it, and which of them are worth a line."""

from __future__ import annotations

import json

import pytest
from torch import nn

import archcost
from archcost.errors import InputError
from archcost.latency.layers.times import LayerTime, LayerTimes
from archcost.latency.samples import Way
from archcost.profiling.suggest.changes import suggestions
from archcost.profiling.suggest.findings import findings
from archcost.profiling.suggest.traits import Trait, of_graph, of_module

WAY = Way("cpu", "eager", 1, "float32", 1)
TRAITS = {
    "depthwise": Trait(3, 64, 64, 64),
    "grouped": Trait(3, 64, 64, 4),
    "narrow": Trait(1, 16, 64, 1),
    "wide": Trait(1, 64, 64, 1),
    "step": Trait(stepped=True),
}
KINDS = {
    ("depthwise", "Conv", 100): "depthwise",
    ("grouped", "Conv", 100): "grouped",
    ("narrow", "Conv", 100): "pointwise",
    ("wide", "Conv", 100): "product",
    ("step", "Linear", 100): "recurrent",
    ("head", "Linear", 100): "product",
    ("norm", "Norm", 0): "elementwise",
    ("node_lstm__2", "", 0): "recurrent",
    ("x", "clone+permute", 0): "layout",
}


def times(*layers: LayerTime, whole_s: float = 1.0) -> LayerTimes:
    """Return the times of a network that has these layers."""
    return LayerTimes(WAY, whole_s, None, 0.0, whole_s, 0.0, 3, 8, layers)


def layer(name: str, op: str = "Conv", macs: int = 100, time_s: float = 0.1, roof: float | None = 0.1) -> LayerTime:
    """Return a layer's time, at a tenth of its roof."""
    return LayerTime(name, op, "", name, time_s, None, (), macs, 10, roof, "memory")


@pytest.mark.parametrize(("of", "kind"), KINDS.items())
def test_each_kind_is_told(of: tuple[str, str, int], kind: str) -> None:
    """By its kernel, channels and groups, by its operators, or by having no MACs."""
    (found,) = findings(times(layer(*of)), TRAITS)
    assert (kind, [of[0]]) == (found.kind, [each.name for each in found.layers])
    assert found.title
    assert found.advice


def test_what_is_near_its_roof_or_short_is_left_out() -> None:
    """So is a layer of which no roof is known, but a change of layout, which computes nothing."""
    near, short, unknown = layer("a", roof=0.3), layer("norm", "Norm", 0, time_s=0.019), layer("b", roof=None)
    assert () == findings(times(near, short, unknown), {})
    (found,) = findings(times(layer("c", "contiguous", 0, roof=None)), {})
    assert ("layout", 0.1) == (found.kind, found.above_roof_s)


def test_those_that_could_save_most_are_first() -> None:
    """The order is that of the time above the roof, not of MACs or time; within a kind that of time."""
    dense, norm, other = (
        layer("a", macs=10**9, roof=0.29),
        layer("n", "Norm", 0, 0.07, 0.0),
        layer("m", "Norm", 0, 0.01),
    )
    found = findings(times(dense, other, norm), {})
    assert [("elementwise", ["n", "m"]), ("product", ["a"])] == [
        (each.kind, [layer.name for layer in each.layers]) for each in found
    ]
    assert pytest.approx((0.079, 0.08, 0.08)) == (found[0].above_roof_s, found[0].time_s, found[0].share)


def test_the_json_has_the_evidence() -> None:
    """Of each layer its time, share, roof, MACs and bytes."""
    (found,) = findings(times(layer("a")), {})
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert ["kind", "title", "advice", "time_s", "share", "above_roof_s", "layers"] == list(told)
    assert {
        "name": "a", "op": "Conv", "time_s": 0.1, "roof_share": 0.1, "bound": "memory", "macs": 100,
        "share": 0.1, "bytes": 10, "interval_s": None,
    } == told["layers"][0]  # fmt: skip


def test_traits_are_of_the_graph_and_of_the_module() -> None:
    """Channels that come in, those that go out, and groups, of both alike; what runs step by step is known as such."""
    graph = archcost.load("nin-cifar10").graph
    assert {Trait(5, 3, 192, 1), Trait(1, 192, 160, 1)} <= set(of_graph(graph).values())
    stepped = {name for name, trait in of_graph(archcost.load("hornn-3").graph).items() if trait.stepped}
    assert "recurrence.feedback" in stepped
    assert not {"input.drive", "readout.linear"} & stepped
    module = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 4, 1), nn.ReLU(), nn.LSTM(4, 4))
    found = of_module(module)
    assert {"0": Trait(3, 8, 8, 8), "1": Trait(1, 8, 4, 1), "3": Trait(stepped=True)} == found
    assert (True, True) == (found["0"].depthwise, found["1"].pointwise)


def test_from_python() -> None:
    """Changes of a family's network, with their latencies by turns; what cannot be is refused."""
    model = archcost.load("hornn-3")
    counted = archcost.suggest(model, latency=False, top=2)
    assert (suggestions(model)[:2], (None, None)) == (counted.changes, counted.latencies)
    timed = archcost.suggest(model, target="fake", time=0.1, top=2)
    assert {change.digest for change in counted.changes} == {change.digest for change in timed.changes}
    assert all(timed.latencies)
    with pytest.raises(InputError, match="one target, runtime"):
        archcost.suggest(model, batch=(1, 2))
    with pytest.raises(InputError, match="allowed: with latencies"):
        archcost.suggest(nn.ReLU(), [1], latency=False)
