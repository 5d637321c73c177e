"""From a network and a place to the times of its layers, or to why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from typing import Final

from archcost.errors import TargetError, one_of
from archcost.latency.layers.closure import closed, is_known
from archcost.latency.layers.rounds import Round, taken_by_turns
from archcost.latency.layers.times import LayerTimes, Part
from archcost.latency.measure import Place, Progress, Subject, having
from archcost.latency.samples import Plan, way
from archcost.latency.statistics import BLOCKS

STAGES: Final[dict[str, str]] = {
    "eager": "archcost.latency.layers.eager",
    "compile": "archcost.latency.layers.compile",
    "onnxruntime": "archcost.latency.layers.onnxruntime",
    "openvino": "archcost.latency.layers.openvino",
}
"""Runtimes whose layers can be told apart, and what has `staged`, the context of a Stage; loaded if it is asked for."""

_ROUNDS_BESIDE: Final = 32  # of networks by turns: intervals of a hundred layers together then leave out four at an end


def layer_times(
    subject: Subject, place: Place, runtime: str, plan: Plan, parts: Sequence[Part], progress: Progress
) -> LayerTimes:
    """Return what each part of a network takes at a place, by turns with the network untouched, in the plan's time.

    Raises TargetError if its layers cannot be told apart there yet, or it does not fit or fails.
    """
    (found,) = layer_times_by_turns((subject,), place, runtime, plan, (parts,), progress)
    return found


def layer_times_by_turns(
    subjects: Sequence[Subject],
    place: Place,
    runtime: str,
    plan: Plan,
    parts: Sequence[Sequence[Part]],
    progress: Progress,
) -> tuple[LayerTimes, ...]:
    """Return the same of several networks, of each its parts: a round of each next to each other, in its plan's time.

    Raises TargetError as `layer_times` does.
    """
    asked = way(place.target.name, runtime, plan)
    ready = place.target.ready
    if runtime not in STAGES:
        raise TargetError(f"not attributed yet: the layers of the runtime {runtime}; allowed: {one_of(tuple(STAGES))}")
    if ready is None:
        raise TargetError(f"not attributed yet: layers on the target {place.target.name}; allowed: cpu")
    staged = import_module(STAGES[runtime]).staged
    with (
        having(subjects, place, plan, f"timing layers on {asked}", progress) as sources,
        ready(plan) as instruments,
        ExitStack() as stack,
    ):
        stages = [stack.enter_context(staged(source, plan, instruments)) for source in sources]
        fewest = BLOCKS if len(stages) == 1 else _ROUNDS_BESIDE
        found = taken_by_turns(stages, plan, instruments, partial(_known, plan.precision, fewest), fewest)
        each = zip(found, parts, stages, strict=True)
        return tuple(closed(taken, own, stage.told(), asked, plan.precision) for taken, own, stage in each)


def _known(precision: float, fewest: int, rounds: Sequence[Sequence[Round]]) -> bool:
    """Return whether there are enough rounds, and all networks are known from them."""
    return len(rounds[0]) >= fewest and all(is_known(each, precision) for each in rounds)
