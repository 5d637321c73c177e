"""What graphs take at a place, by turns, with the speed that the machine had then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final, NamedTuple

from archcost.errors import TargetError
from archcost.graph.account import account
from archcost.graph.graph import Graph
from archcost.latency.layers.measure import STAGES, layer_times_by_turns
from archcost.latency.layers.times import LayerTimes
from archcost.latency.measure import Place, Progress, measured
from archcost.latency.player import Clock
from archcost.latency.prediction.operators import Operator, by_node, feeding, unstack
from archcost.latency.prediction.times import Seen
from archcost.latency.samples import Plan, Samples
from archcost.latency.statistics import median
from archcost.profiling.layers.times import parts_of
from archcost.profiling.prediction.sample import FAMILIES
from archcost.profiling.subjects import of_net

_KERNELS: Final = 5  # runs of the calibration kernel at either end of a network
_APART: Final = 1.35  # factor by which all layers together may miss the call that they were timed in
_SHORTEST_S: Final = 2e-7  # of a kernel: a profile has whole microseconds, and less is not told from nothing
_PRECISION: Final = 0.001  # nothing stops early: all take turns until the time is over


class Timing(NamedTuple):
    """A graph that was measured: seconds of a call, and of the calibration kernel next to it, None if there is none."""

    graph: Graph
    time_s: float
    kernel_s: float | None


@dataclass(frozen=True, slots=True)
class Bench:
    """Where it is measured and how; clock: of the time that is left; families: whose networks are measured."""

    place: Place
    plan: Plan
    progress: Progress
    clock: Clock = monotonic
    families: tuple[str, ...] = FAMILIES

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
    """A network with what each of its operators took inside it; absorbed: places of those that others took in."""

    timing: Timing
    seen: tuple[Seen, ...]
    absorbed: tuple[str, ...]

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


def inside(bench: Bench, graphs: Sequence[Graph], runtime: str, each_s: float) -> Iterator[Inside]:
    """Yield networks with the times of their operators, which another runtime joins; networks take turns.

    If they fail together, each is measured alone, without those that fail.
    """
    try:
        yield from _together(bench, graphs, runtime, each_s)
    except TargetError:
        if len(graphs) == 1:
            return
        for graph in graphs:
            yield from inside(bench, [graph], runtime, each_s)


def _together(bench: Bench, graphs: Sequence[Graph], runtime: str, each_s: float) -> Iterator[Inside]:
    from archcost.nets.net import build  # loads torch

    plan = replace(bench.plan, time_s=each_s, precision=_PRECISION)
    parts = [parts_of([account(graph, plan.batch, plan.dtype)], plan.batch, plan.dtype) for graph in graphs]
    subjects = [of_net(graph, build(graph)) for graph in graphs]
    before_s = _kernel_s(bench)
    found = layer_times_by_turns(subjects, bench.place, runtime, plan, parts, lambda _: nullcontext())
    after_s = _kernel_s(bench)
    kernel_s = None if before_s is None or after_s is None else (before_s + after_s) / 2
    for graph, times in zip(graphs, found, strict=True):
        yield Inside(Timing(graph, times.end_to_end_s, kernel_s), *of_layers(graph, times, plan.batch))


def _kernel_s(bench: Bench) -> float | None:
    if bench.place.target.ready is None:
        return None
    with bench.place.target.ready(bench.plan) as instruments:
        times_s = [instruments.calibrate() for _ in range(_KERNELS)]
    known = [time_s for time_s in times_s if time_s is not None]
    return median(known) if known else None


def of_layers(graph: Graph, found: LayerTimes, batch: int) -> tuple[tuple[Seen, ...], tuple[str, ...]]:
    """Return what the operators of a network took inside it, and the places of those that were joined to others."""
    operators = dict(by_node(graph, batch))
    own = {layer.name: layer.time_s for layer in found.layers if layer.name in operators}
    gone = tuple(operator.place for name, operator in operators.items() if name not in own)
    whole_s = found.end_to_end_s - found.residual_s
    # profiling inflates kernels of a microsecond, which all together then take more than the call does
    factor = whole_s / found.parts_s if found.parts_s > 0 else 0.0
    if not 1 / _APART < factor < _APART:  # so far from adding up, nothing is known of single operators
        return (), gone
    if feeds := feeding(graph):  # taking its result apart, and that of the others, has the name of the last
        operators[feeds[-1]] = unstack(operators[feeds[-1]], len(feeds), graph.steps or 1)
    times_s = {name: factor * time_s / operators[name].calls for name, time_s in own.items()}
    return tuple(Seen(operators[name], max(_SHORTEST_S, time_s)) for name, time_s in times_s.items()), gone


def _middle(samples: Samples) -> tuple[float, float | None]:
    """Return the median of a call, and the kernel's time at which it was that; by the kernel if there is one."""
    times_s = [median(burst.samples_s) for burst in samples.bursts]
    kernels_s = [burst.calibration_s for burst in samples.bursts if burst.calibration_s is not None]
    if len(kernels_s) < len(times_s):
        return median(times_s), None
    kernel_s = median(kernels_s)
    return median([time_s / each for time_s, each in zip(times_s, kernels_s, strict=True)]) * kernel_s, kernel_s


def absorbed(networks: Sequence[Inside]) -> frozenset[str]:
    """Return the places at which operators were joined to others more often than not."""
    gone = Counter(place for each in networks for place in each.absorbed)
    ran = Counter(seen.operator.place for each in networks for seen in each.seen)
    return frozenset(place for place, times in gone.items() if times > ran[place])


def usual_s(timings: Sequence[Timing]) -> float | None:
    """Return what the calibration kernel usually took, None if the target has none."""
    known = [timing.kernel_s for timing in timings if timing.kernel_s is not None]
    return median(known) if known else None


def at(timing: Timing, usual_s: float | None) -> float:
    """Return a time as it would have been if the machine had run as fast as usual."""
    if usual_s is None or timing.kernel_s is None:
        return timing.time_s
    return timing.time_s * usual_s / timing.kernel_s
