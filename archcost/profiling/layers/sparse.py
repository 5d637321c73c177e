"""Sparse layers (Convolution in Convolution) timed beside dense ones of the same shape.

Fewer multiplications are not always less time: the gather costs too, so both can be measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from archcost.graph.cost import count
from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import Conv, Input, Window
from archcost.latency.measure import Measured, Place, Progress, measured
from archcost.latency.summary import ratio
from archcost.profiling.subjects import of_net
from archcost.units import duration, percent


class Pair(NamedTuple):
    """One sparse layer, alone, and the dense layer that would stand in its place."""

    name: str
    sparse: Graph
    dense: Graph


def pairs(graph: Graph) -> tuple[Pair, ...]:
    """Return every different sparse layer of a network with its dense twin, named by the first node of its kind."""
    found: dict[tuple[object, ...], Pair] = {}
    for node in graph.nodes:
        if isinstance(node.op, Conv) and isinstance(graph.nodes[node.inputs[0]].op, Window):
            gather = graph.nodes[node.inputs[0]]
            shape = graph.nodes[gather.inputs[0]].shape
            sides = Conv(node.op.out, node.op.kernel, node.op.stride, node.op.padding, bias=node.op.bias)
            pair = Pair(node.name, _alone(shape, gather.op, node.op), _alone(shape, sides))
            found.setdefault((shape, gather.op, node.op), pair)
    return tuple(found.values())


def _alone(shape: tuple[int, ...], *ops: object) -> Graph:
    b = Builder()
    x = b.add("input", Input(shape))
    for op in ops:
        assert isinstance(op, Window | Conv)
        x = b.add(type(op).__name__.lower(), op, x)
    return b.graph()


def slow_layers(graph: Graph, runs: Sequence[Measured], where: Sequence[Place], progress: Progress) -> Iterator[str]:
    """Yield a sentence for every sparse layer that takes longer than a dense one: fewer MACs are not always faster.

    Both are measured by turns, shortly, in the first way in which the network was measured eagerly.
    """
    from archcost.nets.net import build  # loads torch

    like = next((run.samples[0] for run in runs if run.samples and run.samples[0].origin.runtime == "eager"), None)
    place = next((each for each in where if like and each.target.name == like.origin.target), None)
    if like is None or place is None:
        return
    plan = replace(like.plan, precision=0.1, time_s=min(0.5, like.plan.time_s / 10))
    for pair in pairs(graph):
        both = [of_net(each, build(each)) for each in (pair.dense, pair.sparse)]
        dense, sparse = measured(both, place, like.origin.runtime, plan, progress)
        times = ratio(dense, sparse)
        if times.differ and times.ratio > 1:
            took, instead = duration(times.other_s), duration(times.first_s)
            less = percent(count(pair.sparse).macs / count(pair.dense).macs)
            words = f"takes {took}, a dense one in its place {instead}, with {less} of the dense one's MACs"
            yield f"{pair.name}: the sparse layer {words}"
