"""The one way in which suggestions are measured: target, runtime and plan."""

from __future__ import annotations

from typing import NamedTuple

from archcost.errors import InputError
from archcost.latency import measure
from archcost.latency.measure import Place, Request
from archcost.latency.samples import Plan


class OneWay(NamedTuple):
    """Where and how to measure; place: None if nothing is measured."""

    target: str
    runtime: str
    plan: Plan
    place: Place | None

    @property
    def name(self) -> str:
        """Target and runtime, as they are shown."""
        return f"{self.target}/{self.runtime}"


def one_way(request: Request) -> OneWay:
    """Return the one way that a request asks for; raises InputError for several."""
    places = measure.places(request)
    plans = places[0].plans(request, "float32") if places else request.plans()
    (target, *others), (runtime, *more) = request.targets, request.runtimes or (measure.own_runtime(request),)
    if others or more or len(plans) > 1:
        raise InputError("changes are measured in one way; allowed: one target, runtime, batch, dtype and threads")
    return OneWay(target, runtime, plans[0], places[0] if places else None)
