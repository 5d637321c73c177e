"""OpenVINO's layers: kernels are of the network's nodes, and means of all runs so far become times of each run."""

from __future__ import annotations

from functools import partial

import pytest
import specs
from one_stage import taken

from archcost.graph.ops import Input
from archcost.latency.layers import openvino
from archcost.latency.layers.closure import closed, is_known
from archcost.latency.layers.times import LayerTimes, Part
from archcost.latency.runtimes import Source
from archcost.latency.samples import Plan, Way
from archcost.latency.targets import cpu
from archcost.nets.net import build, example

TREE = {"family": "bottleneck", "input": [3, 16, 16], "classes": 4, "depths": [1, 1], "widths": [8, 16]}


def test_a_mean_of_all_runs_becomes_that_of_those_that_count() -> None:
    """Two slow runs before ten that took 5 us each are taken out, and what two cuts lose is given back."""
    before, now = {"a": 100e-6, "b": 0.0}, {"a": 250e-6 / 12, "b": 0.0}
    assert pytest.approx(5e-6 + 1e-6) == openvino.since("a", (2, before), (12, now))
    assert 0.0 == openvino.since("b", (2, before), (12, now))


def test_a_run_that_took_longer_has_longer_kernels() -> None:
    """Each kernel has its share of every run, so that a disturbed one can be left out."""
    assert [{"a": 1.0, "b": 0.5}, {"a": 3.0, "b": 1.5}] == openvino.shared({"a": 2.0, "b": 1.0}, [2.0, 6.0])


def test_a_kernel_is_the_same_when_it_is_numbered_anew() -> None:
    """Names that only one of two compilations has go together in their order."""
    assert {"a": "a", "LSTM_1": "LSTM_8", "b": "b", "LSTM_2": "LSTM_9"} == openvino.renamed(
        ["a", "LSTM_1", "b", "LSTM_2"], ["LSTM_8", "b", "a", "LSTM_9"]
    )


def timed(dtype: str) -> tuple[LayerTimes, set[str]]:
    """Return the layers of a small network, and the names of its nodes."""
    pytest.importorskip("openvino")
    model = specs.model(TREE)
    plan, nodes = Plan(dtype=dtype, time_s=0.2), [node for node in model.graph.nodes if not isinstance(node.op, Input)]
    parts = [Part(node.name, node.name, "", "", node.name, place, 0) for place, node in enumerate(nodes)]
    source = Source(build(model.graph), (example(model.graph),), graph=model.graph)
    with cpu.ready(plan) as instruments, openvino.staged(source, plan, instruments) as stage:
        rounds = taken(stage, plan, instruments, partial(is_known, precision=0.5))
        found = closed(rounds, parts, stage.told(), Way("cpu", "openvino", 1, dtype, 1), 0.02)
    return found, {node.name for node in nodes}


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_every_node_is_in_a_layer(dtype: str) -> None:
    """All nodes of a network are in the kernels', each once; what only converts has the runtime's name."""
    found, nodes = timed(dtype)
    inside = [name for layer in found.layers for name in layer.fused or (layer.name,)]
    assert nodes == set(inside) & nodes
    assert len(inside) == len(set(inside))
    assert pytest.approx(found.unmapped_s) == sum(layer.time_s for layer in found.layers if layer.name not in nodes)
    assert found.residual_s > 0
