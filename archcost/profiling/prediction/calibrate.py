"""A device is calibrated: operators alone, then whole networks, and what follows from both."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from random import Random
from typing import Final

from archcost.errors import TargetError
from archcost.graph.cost import count
from archcost.latency import runtimes
from archcost.latency.measure import Place, Progress, Request, places
from archcost.latency.prediction import kept, whole
from archcost.latency.prediction.operators import Operator, of_graph, of_row
from archcost.latency.prediction.predictor import Calibration, Key, Predictor
from archcost.latency.prediction.times import FEWEST, Seen
from archcost.latency.prediction.times import learnt as learnt_operators
from archcost.latency.prediction.whole import Timed, Whole
from archcost.latency.samples import Plan
from archcost.latency.targets.device import this_conditions
from archcost.profiling.prediction.bench import Bench, Inside, Timing, absorbed, at, attributes, inside, usual_s
from archcost.profiling.prediction.parts import module_call_s
from archcost.profiling.prediction.sample import Single, networks, singles
from archcost.units import counted_words

TIME_S: Final = 300.0
"""How long a calibration takes if nothing else is asked for."""

DTYPE: Final = "float32"
"""What is calibrated; in 8 bits a network's layers are chosen by measuring them."""

_OPERATORS_S: Final = 0.3  # share of the time for operators
_MOST_OPERATORS: Final = 4000
_MOST_NETWORKS: Final = 500
_EACH_OPERATOR_S: Final = 0.02
_EACH_NETWORK_S: Final = 0.3
_EACH_INSIDE_S: Final = 0.8
_AT_ONCE: Final = 40  # operators that take turns: with many more, each begins with cold caches
_NETWORKS_AT_ONCE: Final = 8  # likewise
_INSIDE_FIRST: Final = 5  # networks, one of each family, that say how long one takes
_INSIDE_AT_ONCE: Final = 15


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
    before = kept.known(calibration.key)
    if calibration.held_out is None and isinstance(before, Calibration) and before.held_out is not None:
        few = counted_words(calibration.networks, "network")
        stays = f"the calibration of {before.measured:%Y-%m-%d %H:%M} UTC stays; allowed: a longer --time"
        raise TargetError(f"{few} measured, too few to say how far predictions are off; {stays}")
    kept.keep(calibration)
    return calibration


def key_of(place: Place, runtime: str, plan: Plan) -> Key:
    """Return what a calibration is kept under; raises TargetError if the target is not here."""
    if place.facts is None:
        raise TargetError(place.why_not)
    here = this_conditions() if place.target.local else None
    return kept.key(place.facts, runtimes.find(runtime), plan, here)


def learn(bench: Bench, runtime: str, key: Key, time_s: float) -> Calibration:
    """Return what is learnt in a time: operators first, then networks in the runtime, or both inside networks."""
    begun = bench.clock()
    if attributes(bench.place, runtime):
        found = _inside(bench, runtime, begun + time_s)
        together = [one.timing for one in found]
        usual = usual_s(together)
        seen = [each for one in found for each in one.at(usual)]
        gone: frozenset[str] | None = absorbed(found)
    else:
        alone = _operators(bench, begun + _OPERATORS_S * time_s)
        together = _networks(bench, runtime, begun + time_s)
        usual = usual_s([*(timing for _, timing in alone), *together])
        seen = [Seen(_operator(single, key.batch), at(timing, usual)) for single, timing in alone]
        gone = None
    if len(seen) < FEWEST or not together:
        raise TargetError(f"too little could be measured in {runtime} in this time; allowed: a longer --time")
    known = learnt(key, seen, together, gone)
    return replace(known, module_call_s=module_call_s(bench, Predictor(known))) if runtime == "eager" else known


def learnt(key: Key, seen: Sequence[Seen], together: Sequence[Timing], gone: frozenset[str] | None) -> Calibration:
    """Return a calibration from what was measured.

    gone: places where operators inside networks take nothing, None if operators were measured alone.
    """
    kinds, now = learnt_operators(seen), datetime.now(UTC).replace(microsecond=0)
    blank = Whole((), 1.0, 0.0, 0.0)
    usual = usual_s(together)
    inside, sizes = (gone is not None, tuple(sorted(gone or ()))), (len(seen), len(together))
    first = Calibration(key, kinds, *inside, blank, None, *sizes, usual, 0.0, now)
    predictor = Predictor(first)
    timed = [Timed(predictor.sums(of_graph(each.graph, key.batch)), at(each, usual)) for each in together]
    return replace(first, whole=whole.learnt(timed), held_out=whole.held_out(timed))


def _inside(bench: Bench, runtime: str, end: float) -> list[Inside]:
    drawn = networks(Random(bench.plan.seed + 2), bench.families)
    found: list[Inside] = []
    with bench.progress(f"measuring networks and their layers in {runtime}"):
        begun, size, taken = bench.clock(), _INSIDE_FIRST, 0
        while size and taken < _MOST_NETWORKS:
            graphs = [model.graph for model in islice(drawn, size)]
            found += inside(bench, graphs, runtime, _EACH_INSIDE_S)
            taken += size
            now = bench.clock()
            size = fitting(end - now, (now - begun) / taken)
    return found


def fitting(left_s: float, each_s: float) -> int:
    """Return how many networks are measured together next, if each takes so long; 0 if none fits any more."""
    return max(0, min(_INSIDE_AT_ONCE, int(left_s / max(each_s, 1e-9))))


def _operators(bench: Bench, end: float) -> list[tuple[Single, Timing]]:
    seed = bench.plan.seed
    drawn = singles(Random(seed), networks(Random(seed + 1), bench.families))
    found: list[tuple[Single, Timing]] = []
    with bench.progress("measuring operators"):
        while bench.clock() < end and len(found) < _MOST_OPERATORS:
            some = list(islice(drawn, _AT_ONCE))
            by_graph = {single.graph(): single for single in some}
            timings = bench.timings(list(by_graph), "eager", _EACH_OPERATOR_S)
            found += [(by_graph[timing.graph], timing) for timing in timings]
    return found


def _networks(bench: Bench, runtime: str, end: float) -> list[Timing]:
    drawn = networks(Random(bench.plan.seed + 2), bench.families)
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
