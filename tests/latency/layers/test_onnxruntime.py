"""ONNX Runtime's layers: every kernel is of a node of the network, and those fused into one are named with it."""

from __future__ import annotations

from functools import partial

import pytest
import specs
from one_stage import taken

from archcost.graph.ops import Input
from archcost.latency.layers import onnxruntime
from archcost.latency.layers.closure import closed, is_known
from archcost.latency.layers.times import LayerTimes, Part
from archcost.latency.runtimes import Source
from archcost.latency.samples import Plan, Way
from archcost.latency.targets import cpu
from archcost.nets.net import build, example

pytest.importorskip("onnxruntime")

TREE = {"family": "bottleneck", "input": [3, 16, 16], "classes": 4, "depths": [1, 1], "widths": [8, 16]}


SCALED = {"family": "hornn", "input": {"steps": 3, "vocab": 300}, "hidden": 160, "pooling": "fofe", "order": 1}


def timed(dtype: str, tree: specs.Tree = TREE) -> tuple[LayerTimes, set[str]]:
    """Return the layers of a small network, and the names of its nodes."""
    model = specs.model(tree)
    plan, nodes = Plan(dtype=dtype, time_s=0.2), [node for node in model.graph.nodes if not isinstance(node.op, Input)]
    parts = [Part(node.name, node.name, "", "", node.name, place, 0) for place, node in enumerate(nodes)]
    source = Source(build(model.graph), (example(model.graph),), graph=model.graph)
    with cpu.ready(plan) as instruments, onnxruntime.staged(source, plan, instruments) as stage:
        rounds = taken(stage, plan, instruments, partial(is_known, precision=0.5))
        return closed(rounds, parts, stage.told(), Way("cpu", "onnxruntime", 1, dtype, 1), 0.02), {
            n.name for n in nodes
        }


def test_every_node_is_in_a_layer() -> None:
    """All nodes of a network are in the kernels', each once, but for values that only change their layout."""
    found, nodes = timed("float32")
    inside = [name for layer in found.layers for name in layer.fused or (layer.name,)]
    assert nodes == set(inside) & nodes
    assert len(inside) == len(set(inside))
    assert {"stage1.block1.norm1", "stage1.block1.relu1"} <= set(
        next(layer.fused for layer in found.layers if layer.name == "stage1.block1.conv1")
    )
    assert found.parts_s > 0


def test_layers_in_8_bits_are_told_too() -> None:
    """Products in 8 bits have their layers' names; what only converts has the runtime's, and its share is said."""
    found, nodes = timed("int8")
    names = {layer.name for layer in found.layers}
    assert {"stem.conv", "head.linear"} <= names
    assert pytest.approx(found.unmapped_s) == sum(layer.time_s for layer in found.layers if layer.name not in nodes)


def test_a_weight_that_a_factor_scales_is_its_layers() -> None:
    """A recurrence whose factor is folded into its weight has its product's time, and not the next layer."""
    found, _ = timed("float32", SCALED)
    names = {layer.name for layer in found.layers}
    assert {"recurrence.feedback", "recurrence.state", "readout.linear"} <= names
