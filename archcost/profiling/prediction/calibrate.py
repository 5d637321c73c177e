"""A device is calibrated: operators alone, then whole networks, and what follows from both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from random import Random
from time import monotonic
from typing import Final, NamedTuple

from archcost.errors import TargetError
from archcost.graph.cost import count
from archcost.graph.graph import Graph
from archcost.latency import runtimes
from archcost.latency.measure import Place, Progress, Request, measured, places
from archcost.latency.player import Clock
from archcost.latency.prediction import kept, whole
from archcost.latency.prediction.operators import Operator, of_graph, of_row
from archcost.latency.prediction.predictor import Calibration, Key, Predictor
from archcost.latency.prediction.times import FEWEST, Seen
from archcost.latency.prediction.times import learnt as learnt_operators
from archcost.latency.prediction.whole import Timed
from archcost.latency.samples import Plan, Samples
from archcost.latency.statistics import median
from archcost.latency.targets.device import this_conditions
from archcost.profiling.prediction.sample import Single, networks, singles
from archcost.profiling.subjects import of_net

TIME_S: Final = 300.0
"""How long a calibration takes if nothing else is asked for."""

DTYPE: Final = "float32"
"""What is calibrated; in 8 bits a network's layers are chosen by measuring them."""

_OPERATORS_S: Final = 0.3  # share of the time for operators
_MOST_OPERATORS: Final = 4000
_MOST_NETWORKS: Final = 500
_EACH_OPERATOR_S: Final = 0.02
_EACH_NETWORK_S: Final = 0.3
_AT_ONCE: Final = 40  # operators that take turns
_NETWORKS_AT_ONCE: Final = 8
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


def _middle(samples: Samples) -> tuple[float, float | None]:
    """Return the median of a call, and the kernel's time at which it was that; by the kernel if there is one."""
    times_s = [median(burst.samples_s) for burst in samples.bursts]
    kernels_s = [burst.calibration_s for burst in samples.bursts if burst.calibration_s is not None]
    if len(kernels_s) < len(times_s):
        return median(times_s), None
    kernel_s = median(kernels_s)
    return median([time_s / each for time_s, each in zip(times_s, kernels_s, strict=True)]) * kernel_s, kernel_s


def calibrated(
    target: str,
    runtime: str,
    batch: int = 1,
    threads: int | None = None,
    time_s: float = TIME_S,
    progress: Progress = nullcontext,
) -> Calibration:
    """Return what a target is calibrated to for a way to run, and keep it in the cache folder.

    threads: None: the target's physical cores; time_s: about how long it takes. Raises InputError for what cannot be,
    TargetError if the target is not here, or too little could be measured.
    """
    request = Request((target,), (runtime,), (batch,), (DTYPE,), () if threads is None else (threads,))
    (place,) = places(request)
    if place.facts is None or place.why_not:
        raise TargetError(place.why_not)
    if missing := runtimes.find(runtime).why_not() if place.target.local else "":
        raise TargetError(missing)
    (plan,) = place.plans(request, DTYPE)
    calibration = learn(Bench(place, plan, progress), runtime, key_of(place, runtime, plan), time_s)
    kept.keep(calibration)
    return calibration


def key_of(place: Place, runtime: str, plan: Plan) -> Key:
    """Return what a calibration is kept under; raises TargetError if the target is not here."""
    if place.facts is None:
        raise TargetError(place.why_not)
    here = this_conditions() if place.target.local else None
    return kept.key(place.facts, runtimes.find(runtime), plan, here)


def learn(bench: Bench, runtime: str, key: Key, time_s: float) -> Calibration:
    """Return what is learnt in a time: operators in eager first, then networks in the runtime."""
    begun = bench.clock()
    alone = _operators(bench, begun + _OPERATORS_S * time_s)
    if len(alone) < FEWEST:
        raise TargetError("fewer than four operators could be measured in this time; allowed: a longer --time")
    together = _networks(bench, runtime, begun + time_s)
    if not together:
        raise TargetError(f"no network could be measured in {runtime} in this time; allowed: a longer --time")
    usual_s = _usual_s([timing for _, timing in alone], together)
    seen = [Seen(_operator(single, key.batch), _at(timing, usual_s)) for single, timing in alone]
    blank = whole.Whole((), 1.0, 0.0, 0.0)
    now = datetime.now(UTC).replace(microsecond=0)
    first = Calibration(key, learnt_operators(seen), blank, None, len(seen), len(together), now)
    predictor = Predictor(first)
    timed = [Timed(predictor.sums(of_graph(each.graph, key.batch)), _at(each, usual_s)) for each in together]
    return replace(first, whole=whole.learnt(timed), held_out=whole.held_out(timed))


def _operators(bench: Bench, end: float) -> list[tuple[Single, Timing]]:
    seed = bench.plan.seed
    drawn = singles(Random(seed), networks(Random(seed + 1)))
    found: list[tuple[Single, Timing]] = []
    with bench.progress("measuring operators"):
        while bench.clock() < end and len(found) < _MOST_OPERATORS:
            some = list(islice(drawn, _AT_ONCE))
            by_graph = {single.graph(): single for single in some}
            timings = bench.timings(list(by_graph), "eager", _EACH_OPERATOR_S)
            found += [(by_graph[timing.graph], timing) for timing in timings]
    return found


def _networks(bench: Bench, runtime: str, end: float) -> list[Timing]:
    drawn = networks(Random(bench.plan.seed + 2))
    found: list[Timing] = []
    with bench.progress(f"measuring networks in {runtime}"):
        while (bench.clock() < end or not found) and len(found) < _MOST_NETWORKS:
            graphs = [model.graph for model in islice(drawn, _NETWORKS_AT_ONCE)]
            found += bench.timings(graphs, runtime, _EACH_NETWORK_S)
            if not found and bench.clock() >= end:
                break
    return found


def _operator(single: Single, batch: int) -> Operator:
    """Return a single operator as the predictor sees it: all its steps are one call."""
    return of_row(single.op, count(single.graph()).rows[-1], 1, batch)


def _usual_s(alone: Sequence[Timing], together: Sequence[Timing]) -> float | None:
    """Return what the calibration kernel usually took, None if the target has none."""
    known = [timing.kernel_s for timing in (*alone, *together) if timing.kernel_s is not None]
    return median(known) if known else None


def _at(timing: Timing, usual_s: float | None) -> float:
    """Return a time as it would have been if the machine had run as fast as usual."""
    if usual_s is None or timing.kernel_s is None:
        return timing.time_s
    return timing.time_s * usual_s / timing.kernel_s
