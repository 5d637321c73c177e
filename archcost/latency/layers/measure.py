"""From a network and a place to the times of its layers, or to why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Final

from archcost.errors import TargetError, one_of
from archcost.latency.layers.closure import closed, is_known
from archcost.latency.layers.rounds import taken
from archcost.latency.layers.times import LayerTimes, Part
from archcost.latency.measure import Place, Progress, Subject, having
from archcost.latency.samples import Plan, way

STAGES: Final[dict[str, str]] = {
    "eager": "archcost.latency.layers.eager",
    "compile": "archcost.latency.layers.compile",
    "onnxruntime": "archcost.latency.layers.onnxruntime",
    "openvino": "archcost.latency.layers.openvino",
}
"""Runtimes whose layers can be told apart, and what has `staged`, the context of a Stage; loaded if it is asked for."""


def layer_times(
    subject: Subject, place: Place, runtime: str, plan: Plan, parts: Sequence[Part], progress: Progress
) -> LayerTimes:
    """Return what each part of a network takes at a place, by turns with the network untouched, in the plan's time.

    Raises TargetError if its layers cannot be told apart there yet, or it does not fit or fails.
    """
    asked = way(place.target.name, runtime, plan)
    ready = place.target.ready
    if runtime not in STAGES:
        raise TargetError(f"not attributed yet: the layers of the runtime {runtime}; allowed: {one_of(tuple(STAGES))}")
    if ready is None:
        raise TargetError(f"not attributed yet: layers on the target {place.target.name}; allowed: cpu")
    with (
        having([subject], place, plan, f"timing layers on {asked}", progress) as (source,),
        ready(plan) as instruments,
        import_module(STAGES[runtime]).staged(source, plan, instruments) as stage,
    ):
        found = taken(stage, plan, instruments, partial(is_known, precision=plan.precision))
        return closed(found, parts, stage.told(), asked, plan.precision)
