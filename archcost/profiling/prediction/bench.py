"""What graphs take at a place, by turns, with the speed that the machine had then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final, NamedTuple

from archcost.errors import TargetError
from archcost.graph.account import account
from archcost.graph.cost import count
from archcost.graph.graph import Graph, recurrent
from archcost.latency.layers.measure import STAGES, layer_times
from archcost.latency.layers.times import LayerTimes
from archcost.latency.measure import Place, Progress, measured
from archcost.latency.player import Clock
from archcost.latency.prediction.operators import Operator, is_free, of_row
from archcost.latency.prediction.times import Seen
from archcost.latency.samples import Plan, Samples
from archcost.latency.statistics import median
from archcost.profiling.layers.times import parts_of
from archcost.profiling.subjects import of_net

_LEAST: Final = 0.2  # of what a layer's time is taken for, however much more than the call layers took together
_PRECISION: Final = 0.001  # nothing stops early: all take turns until the time is over


class Timing(NamedTuple):
    """A graph that was measured: seconds of a call, and of the calibration kernel next to it, None if there is none."""

    graph: Graph
    time_s: float
    kernel_s: float | None


@dataclass(frozen=True, slots=True)
class Bench:
    """Where it is measured and how; clock: of the time that is left."""

    place: Place
    plan: Plan
    progress: Progress
    clock: Clock = monotonic

    def timings(self, graphs: Sequence[Graph], runtime: str, each_s: float) -> Iterator[Timing]:
        """Yield what graphs take that take turns; if they fail together, each alone, without those that fail."""
        try:
            yield from self._together(graphs, runtime, each_s)
        except TargetError:
            if len(graphs) == 1:
                return
            for graph in graphs:
                yield from self.timings([graph], runtime, each_s)

    def _together(self, graphs: Sequence[Graph], runtime: str, each_s: float) -> Iterator[Timing]:
        from archcost.nets.net import build  # loads torch

        subjects = [of_net(graph, build(graph)) for graph in graphs]
        plan = replace(self.plan, time_s=each_s, precision=_PRECISION)
        found = measured(subjects, self.place, runtime, plan, lambda _: nullcontext())
        yield from (Timing(graph, *_middle(samples)) for graph, samples in zip(graphs, found, strict=True))


class Inside(NamedTuple):
    """A network with what each of its operators took inside it; absorbed: kinds that others took in, at least once."""

    timing: Timing
    seen: tuple[Seen, ...]
    absorbed: frozenset[str]

    def at(self, usual_s: float | None) -> Iterator[Seen]:
        """Yield each different operator with its time if the machine had run as fast as usual."""
        times_s: dict[Operator, list[float]] = {}
        for operator, time_s in self.seen:
            times_s.setdefault(operator, []).append(time_s)
        for operator, several_s in times_s.items():
            yield Seen(operator, at(self.timing._replace(time_s=median(several_s)), usual_s))


def attributes(place: Place, runtime: str) -> bool:
    """Return whether operators inside a network can be timed at a place, by a runtime that joins them."""
    return runtime != "eager" and runtime in STAGES and place.target.ready is not None


def inside(bench: Bench, graph: Graph, runtime: str, time_s: float) -> Inside | None:
    """Return a network with the times of its operators, which another runtime joins, None if it fails there."""
    from archcost.nets.net import build  # loads torch

    plan = replace(bench.plan, time_s=time_s)
    parts = parts_of([account(graph, plan.batch, plan.dtype)], plan.batch, plan.dtype)
    before_s = _kernel_s(bench)
    try:
        found = layer_times(of_net(graph, build(graph)), bench.place, runtime, plan, parts, lambda _: nullcontext())
    except TargetError:
        return None
    after_s = _kernel_s(bench)
    kernel_s = None if before_s is None or after_s is None else (before_s + after_s) / 2
    return Inside(Timing(graph, found.end_to_end_s, kernel_s), *_of_layers(graph, found, plan.batch))


def _kernel_s(bench: Bench) -> float | None:
    if bench.place.target.ready is None:
        return None
    with bench.place.target.ready(bench.plan) as instruments:
        return instruments.calibrate()


def _of_layers(graph: Graph, found: LayerTimes, batch: int) -> tuple[tuple[Seen, ...], frozenset[str]]:
    cycle = recurrent(graph) if graph.steps else frozenset()
    operators = {
        node.name: of_row(node.op, row, row.runs if place in cycle else 1, batch)
        for place, (node, row) in enumerate(zip(graph.nodes, count(graph).rows, strict=True))
        if not is_free(node.op)
    }
    own = {layer.name: layer.time_s for layer in found.layers if layer.name in operators}
    # profiling inflates kernels of a microsecond, which all together then take more than the call does
    factor = max(_LEAST, (found.end_to_end_s - found.residual_s) / found.parts_s) if found.parts_s > 0 else 1.0
    seen = tuple(
        Seen(operators[name], factor * time_s / operators[name].calls) for name, time_s in own.items() if time_s > 0
    )
    return seen, frozenset(operator.kind for name, operator in operators.items() if name not in own)


def _middle(samples: Samples) -> tuple[float, float | None]:
    """Return the median of a call, and the kernel's time at which it was that; by the kernel if there is one."""
    times_s = [median(burst.samples_s) for burst in samples.bursts]
    kernels_s = [burst.calibration_s for burst in samples.bursts if burst.calibration_s is not None]
    if len(kernels_s) < len(times_s):
        return median(times_s), None
    kernel_s = median(kernels_s)
    return median([time_s / each for time_s, each in zip(times_s, kernels_s, strict=True)]) * kernel_s, kernel_s


def usual_s(timings: Sequence[Timing]) -> float | None:
    """Return what the calibration kernel usually took, None if the target has none."""
    known = [timing.kernel_s for timing in timings if timing.kernel_s is not None]
    return median(known) if known else None


def at(timing: Timing, usual_s: float | None) -> float:
    """Return a time as it would have been if the machine had run as fast as usual."""
    if usual_s is None or timing.kernel_s is None:
        return timing.time_s
    return timing.time_s * usual_s / timing.kernel_s
