"""The times of ONNX files in a runtime, from which layers are left in float32: of each node, and of files by turns."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from archcost.latency.runtimes import Call, Prepared
from archcost.latency.samples import Conditions, Origin, Plan
from archcost.latency.sampling import Clock, Instruments, take, timed_by
from archcost.latency.statistics import median
from archcost.latency.summary import ratio
from archcost.latency.targets.device import this_device

if TYPE_CHECKING:
    from archcost.nets.export.quantisation.spec import Turns
    from archcost.nets.export.quantisation.trials import Times

Opened: TypeAlias = Callable[[Path], Call]
"""Gives one run of a file, its inputs bound."""

_SHARE: Final = 0.03  # of a plan's time, for each file that takes turns: eight pairs do at most
_PRECISION: Final = 0.01
_PROFILED: Final = 0.02  # of a plan's time, for each file that is profiled
_FEWEST, _MOST = 5, 100  # runs of a profile
_KERNEL: Final = "_kernel_time"  # behind a node's name in a profile of ONNX Runtime's


def times(opened: Opened, plan: Plan, nodes: Callable[[Path], Mapping[str, float]], clock: Clock) -> Times:
    """Return what measures files that a runtime opens, in a part of the plan's time."""
    from archcost.nets.export.quantisation.trials import Times  # loads torch

    return Times(nodes, lambda first, other: _turns(opened(first), opened(other), plan, clock))


def _turns(first: Call, other: Call, plan: Plan, clock: Clock) -> Turns:
    from archcost.nets.export.quantisation.spec import Turns

    short = Plan(plan.batch, "float32", plan.threads, _PRECISION, _SHARE * plan.time_s)
    none = Instruments(timed_by(clock), clock, time.sleep, lambda: None, lambda: None, lambda: None)
    origin = Origin("cpu", "", this_device(), Conditions(), ())
    found = ratio(*take([Prepared(first), Prepared(other)], short, origin, none))
    return Turns(found.first_s, found.other_s, found.differ)


def of_onnxruntime(
    arrays: Mapping[str, Any], plan: Plan, session: Callable[..., Any], clock: Clock = time.perf_counter
) -> Times:
    """Return what measures files in ONNX Runtime.

    arrays: the inputs, by name; session: gives the session of a file on so many threads. Two whose threads spin for
    work between runs would disturb each other.
    """

    def opened(path: Path) -> Call:
        return _bound(session(path, plan.threads, by_turns=plan.threads > 1), arrays)

    def nodes(path: Path) -> dict[str, float]:
        profiled = session(path, plan.threads, profile=path.with_suffix(""))
        run = _bound(profiled, arrays)
        end = clock() + _PROFILED * plan.time_s
        for count in range(_MOST):
            run()
            if count >= _FEWEST and clock() > end:
                break
        return _read(Path(profiled.end_profiling()))

    return times(opened, plan, nodes, clock)


def _bound(session: Any, arrays: Mapping[str, Any]) -> Call:
    from archcost.latency.runtimes.onnxruntime import bound

    binding = bound(session, arrays)

    def run() -> None:
        session.run_with_iobinding(binding)

    return run


def _read(path: Path) -> dict[str, float]:
    """Return the median seconds of each node in a profile of ONNX Runtime's, which is removed."""
    events = json.loads(path.read_text("utf-8"))
    path.unlink()
    found: dict[str, list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL):
            found.setdefault(event["name"].removesuffix(_KERNEL), []).append(event["dur"] * 1e-6)
    return {name: median(took) for name, took in found.items()}
