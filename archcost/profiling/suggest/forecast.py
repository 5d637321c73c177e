"""The changes worth measuring: those that are predicted to save most time, if any are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from archcost.errors import InputError, TargetError
from archcost.latency.measure import Place
from archcost.latency.prediction.operators import of_graph
from archcost.latency.prediction.predictor import Prediction
from archcost.latency.samples import Plan
from archcost.models.load import Model
from archcost.profiling.prediction.calibrate import DTYPE
from archcost.profiling.prediction.predict import predictor
from archcost.profiling.suggest.changes import Suggestion, changed

_COLD: Final = "calibrations are of warm caches"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a network and each of its changes will take in one way, as it is predicted.

    changes: by the number of the change; why: why nothing is predicted, so that MACs choose, '' if it is.
    """

    original: Prediction | None = None
    changes: Mapping[int, Prediction] = field(default_factory=dict)
    why: str = ""

    def saved_s(self, number: int) -> float:
        """Return the seconds that a change is predicted to save, 0 if nothing is."""
        if self.original is None or number not in self.changes:
            return 0.0
        return self.original.median_s - self.changes[number].median_s

    def ratio(self, number: int) -> float | None:
        """Return how many times as long a change is predicted to take, None if nothing is."""
        if self.original is None or number not in self.changes:
            return None
        return self.changes[number].median_s / self.original.median_s

    def best(self, numbered: Mapping[int, Suggestion], top: int) -> dict[int, Suggestion]:
        """Return the changes that save most time, the most first; those that save as much, or are not known, as given.

        top: how many at most.
        """
        order = sorted(numbered, key=lambda number: -self.saved_s(number))
        return {number: numbered[number] for number in islice(order, top)}


def numbered(found: Sequence[Suggestion]) -> dict[int, Suggestion]:
    """Return changes by their numbers, which go by the MACs that they save, whatever is predicted."""
    return dict(enumerate(found, 1))


def forecast(model: Model, changes: Mapping[int, Suggestion], place: Place, runtime: str, plan: Plan) -> Forecast:
    """Return what a network's changes will take, nothing if the way, or what the network is of, is not calibrated."""
    if plan.cold_cache or plan.dtype != DTYPE:
        return Forecast(why=_COLD if plan.cold_cache else f"{plan.dtype} is measured, not predicted")
    try:
        ready = predictor(place, runtime, plan)
    except (InputError, TargetError) as error:
        return Forecast(why=str(error))
    original = ready.predict(of_graph(model.graph, plan.batch))
    if not original.in_domain:
        return Forecast(why=f"the network is not made of what was calibrated: {original.why}")
    each = {
        number: ready.predict(of_graph(changed(suggestion).graph, plan.batch)) for number, suggestion in changes.items()
    }
    return Forecast(original, each)
