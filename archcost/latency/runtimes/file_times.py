"""The times of ONNX files in a runtime: of each node, and of two files by turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from archcost.latency.lock import held
from archcost.latency.player import Clock, Instruments, timed_by
from archcost.latency.runtimes import Call, Prepared
from archcost.latency.samples import Conditions, Origin, Plan
from archcost.latency.sampling import take
from archcost.latency.statistics import median
from archcost.latency.summary import ratio
from archcost.latency.targets.device import this_device

if TYPE_CHECKING:
    from archcost.nets.export.quantisation.spec import Turns
    from archcost.nets.export.quantisation.trials import Times


class Opened(NamedTuple):
    """A file in a runtime, its inputs bound: one run of it, and the seconds of each node in the runs so far.

    They are known of a file that was opened with a profile, and are asked for once.
    """

    run: Call
    nodes: Callable[[], Mapping[str, Sequence[float]]] = dict


Open: TypeAlias = Callable[[Path, bool], Opened]
"""Opens a file, with a profile or without."""

_SHARE: Final = 0.03  # of a plan's time, for each file that takes turns: eight pairs do at most
_RUNS, _MOST_SHARE = 16, 0.25  # so many runs of each, as far as they fit into this part of the time
_PRECISION: Final = 0.01
_PROFILED: Final = 0.02  # of a plan's time, for each file that is profiled
_FEWEST, _MOST = 5, 100  # runs of a profile


def times(opened: Open, plan: Plan, clock: Clock) -> Times:
    """Return what measures files that a runtime opens, in a part of the plan's time."""
    from archcost.nets.export.quantisation.trials import Times  # loads torch

    def nodes(path: Path) -> dict[str, float]:
        file, end = opened(path, True), clock() + _PROFILED * plan.time_s
        for count in range(_MOST):
            file.run()
            if count >= _FEWEST and clock() > end:
                break
        return {name: median(took) for name, took in file.nodes().items()}

    def turns(first: Path, other: Path) -> Turns:
        return _turns(opened(first, False).run, opened(other, False).run, plan, clock)

    return Times(nodes, turns)


def _turns(first: Call, other: Call, plan: Plan, clock: Clock) -> Turns:
    from archcost.nets.export.quantisation.spec import Turns

    begun = clock()
    for run in (first, other):
        run()
    runs_s = _RUNS * (clock() - begun) / 2
    time_s = min(max(_SHARE * plan.time_s, runs_s), _MOST_SHARE * plan.time_s)
    short = Plan(plan.batch, "float32", plan.threads, _PRECISION, time_s)
    none = Instruments(timed_by(clock), clock, time.sleep, lambda: None, lambda: None, lambda: None)
    origin = Origin("cpu", "", this_device(), Conditions(), ())
    found = ratio(*take([Prepared(first), Prepared(other)], short, origin, none))
    return Turns(found.first_s, found.other_s, found.differ)


def alone(measured: Times) -> Times:
    """Return the same, which waits while another process measures on the processor, and lets none do it meanwhile."""
    from archcost.nets.export.quantisation.trials import Times

    def nodes(path: Path) -> Mapping[str, float]:
        with held("cpu"):
            return measured.nodes(path)

    def turns(first: Path, other: Path) -> Turns:
        with held("cpu"):
            return measured.turns(first, other)

    return Times(nodes, turns)
