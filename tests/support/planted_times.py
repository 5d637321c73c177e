"""Times of layers as they could have been measured, at a place of one's choice: no clock runs for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from planted_peaks import peaks

import archcost
from archcost.graph.account import Layer
from archcost.graph.ops import Input
from archcost.latency.layers.times import ByRound, LayerTime, LayerTimes
from archcost.latency.roofline.kept import Kept, Key
from archcost.latency.samples import Way
from archcost.profiling.compare import Comparison, compare
from archcost.profiling.layers.differences import between
from archcost.profiling.result import Profile

CALL_S = 1e-6
ROUNDS = 40


def layer(name: str, op: str = "Conv", group: str = "", time_s: float = 1.0, macs: int = 10) -> LayerTime:
    """Return a layer that is known to 1%."""
    bound = "compute" if macs else "memory"
    return LayerTime(name, op, group, name, time_s, (0.99 * time_s, 1.01 * time_s), (), macs, 8 * macs + 64, 0.5, bound)  # type: ignore[arg-type]


def times(layers: Sequence[LayerTime], way: Way, unexplained_s: float = 0.0) -> LayerTimes:
    """Return a whole that so much of is not explained, and a hundredth of which is dispatch."""
    parts_s = sum(each.time_s for each in layers)
    whole_s = (parts_s + unexplained_s) / 0.99
    bounds = unexplained_s - 0.01 * whole_s, unexplained_s + 0.01 * whole_s
    return LayerTimes(
        way=way,
        end_to_end_s=whole_s,
        interval_s=(0.98 * whole_s, 1.02 * whole_s),
        residual_s=0.01 * whole_s,
        instrumented_s=1.25 * whole_s,
        attributing_s=0.25 * whole_s,
        reads=len(layers) + 1,
        rounds=8,
        layers=tuple(layers),
        unexplained_interval_s=bounds,
    )


def of_rows(rows: Sequence[Layer]) -> tuple[LayerTime, ...]:
    """Return times of a profile's layers: a microsecond each, and one for every million of MACs."""
    return tuple(
        layer(each.name, each.op, each.group, CALL_S + each.macs * 1e-12, each.macs)
        for each in rows
        if each.op != Input.__name__
    )


def kept() -> Kept:
    """Return the planted peaks of one thread of this processor, as they are kept."""
    return Kept(Key("f" * 12, "cpu", 1, None, None, ()), peaks(), datetime(2026, 1, 1, tzinfo=UTC))


def layered(name: str, **options: object) -> Profile:
    """Return a profile, measured on the fake target, with layers in eager mode and in ONNX Runtime on the processor.

    A twentieth of an eager call is unexplained, and as much too much is explained in ONNX Runtime; the first layer took
    less than nothing there.
    """
    found = archcost.profile(name, **{"target": "fake", "threads": 1, "witness": False, **options})  # type: ignore[arg-type]
    layers = of_rows(found.layers)
    rest_s = 0.05 * sum(each.time_s for each in layers)
    below = (replace(layers[0], time_s=-1e-9, fused=("a", "<b>")), *layers[1:])
    ways = [Way("cpu", runtime, 1, "float32", 1) for runtime in ("eager", "onnxruntime")]
    known = times(layers, ways[0], rest_s), times(below, ways[1], -rest_s)
    return replace(found, layer_times=known, peaks=(kept(),))


def by_rounds(profile: Profile, slower: float) -> LayerTimes:
    """Return a profile's layers, so many times as slow in its second stage, each round within a thousandth."""
    layers = of_rows(profile.layers)
    slow = [replace(each, time_s=each.time_s * (slower if each.name.startswith("stage2") else 1)) for each in layers]
    known = times(slow, Way("cpu", "eager", 1, "float32", 1))

    def rounds(time_s: float) -> tuple[float, ...]:
        return tuple(time_s * (1 + 1e-3 * (i % 5 - 2)) for i in range(ROUNDS))

    parts = (known.end_to_end_s, known.residual_s, known.unexplained_s)
    return replace(
        known,
        rounds=ROUNDS,
        layers=tuple(replace(each, by_round_s=rounds(each.time_s)) for each in slow),
        by_round=ByRound(*map(rounds, parts)),
    )


def beside() -> Comparison:
    """Return a network beside itself, slowed down in its second stage, and beside a deeper one, with layer times."""
    names = ("resnet-20", "resnet-20", "resnet-56")
    profiles = [archcost.profile(name, latency=False, witness=False) for name in names]
    found = compare(profiles)
    first, *others = (by_rounds(one, slower) for one, slower in zip(profiles, (1.0, 2.0, 1.0), strict=True))
    pairs = zip(found.against, others, strict=True)
    against = tuple(replace(pair, layer_times=(between(first, other),)) for pair, other in pairs)
    return replace(found, against=against)
