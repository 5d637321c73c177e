"""The latencies of a study as predicted: they judge its limit, or stand in for measuring."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from archcost.config.validation import located
from archcost.errors import ArchcostError, InputError, Mistake
from archcost.graph.columns import columns, only
from archcost.graph.graph import Graph
from archcost.latency import runtimes, targets
from archcost.latency.prediction import kept
from archcost.latency.prediction.operators import of_graph
from archcost.latency.prediction.predictor import Calibration, Key, Prediction, Predictor
from archcost.latency.targets.device import this_conditions
from archcost.study.phases.limits import budget
from archcost.study.plan import StudyPlan
from archcost.study.records.part import Part, Predicted
from archcost.study.records.reasons import Reason
from archcost.study.workers.tasks import Setup
from archcost.units import duration


@dataclass(frozen=True, slots=True)
class Foretold:
    """What predicts the latencies of a study's networks, by the places of its setups, and what that is used for.

    judges: whether every way to run them is predicted, so that the limit can be judged before anything runs; limit_s:
    what is allowed; instead: the places of setups where a prediction stands in for measuring.
    """

    predictors: Mapping[int, Predictor]
    judges: bool = False
    limit_s: float = math.inf
    instead: tuple[int, ...] = ()

    def over(self, graph: Graph) -> Reason | None:
        """Return why no way to run a network, or a column of it, can keep the limit, None if one may.

        It may if the lower end of an interval is within the limit, or what it is made of was not measured: then it is
        measured.
        """
        least: Prediction | None = None
        for found in self._each(graph) if self.judges else ():
            if not found.in_domain or found.interval_s is None or found.interval_s[0] <= self.limit_s:
                return None
            least = found if least is None or found.median_s < least.median_s else least
        if least is None or least.interval_s is None:
            return None
        low_s, high_s = least.interval_s
        words = f"latency predicted {duration(least.median_s)} ({duration(low_s)} to {duration(high_s)})"
        return Reason("limit", f"limits: {words}; allowed: {duration(self.limit_s)}", "latency, predicted")

    def _each(self, graph: Graph) -> Iterator[Prediction]:
        networks = (graph, *(only(graph, [column]) for column in columns(graph)))
        for place in self.predictors:
            for network in networks:
                yield self._prediction(place, network)

    def _prediction(self, place: int, graph: Graph) -> Prediction:
        predictor = self.predictors[place]
        return predictor.predict(of_graph(graph, predictor.calibration.key.batch))

    def filled(self, parts: Sequence[Part], graphs: Sequence[Graph]) -> list[Part]:
        """Return the networks of a trial with the latencies that need no measuring; graphs: theirs.

        All of a trial are measured together: where one was not calibrated for, or may be on either side of the limit.
        """
        every = [(place, [self._standing_in(place, graph) for graph in graphs]) for place in self.instead]
        known = [found for _, found in every if all(found)]
        return [
            replace(part, predicted=tuple(each for found in known if (each := found[number]) is not None))
            for number, part in enumerate(parts)
        ]

    def _standing_in(self, place: int, graph: Graph) -> Predicted | None:
        found = self._prediction(place, graph)
        if not found.in_domain or found.interval_s is None:
            return None
        low_s, high_s = found.interval_s
        return None if low_s <= self.limit_s < high_s else Predicted(place, found.median_s, low_s, high_s)


def foretold(plan: StudyPlan) -> Foretold:
    """Return what predicts latencies of a study; its limit is not judged if a way to run was not calibrated.

    Raises InputError if a latency is to be predicted and its way was not calibrated, or too briefly to say how far it
    is off; TargetError if its target cannot be asked.
    """
    allowed = budget(plan)
    limit_s = math.inf if allowed is None or allowed.latency_s is None else allowed.latency_s
    found, mistakes = dict[int, Predictor](), list[Mistake]()
    for place in plan.predicts:
        try:
            found[place] = Predictor(_needed(plan.setups[place]))
        except InputError as error:
            path = (*plan.paths[place][:2], "predict")  # of the objective, whatever way of it this is
            mistakes += [located(plan.spec.source, replace(each, path=path)) for each in error.mistakes]
    if mistakes:
        raise InputError(*mistakes)
    if limit_s < math.inf:
        others = {place: _known(setup) for place, setup in enumerate(plan.setups) if place not in found}
        found |= {place: Predictor(each) for place, each in others.items() if each is not None}
    return Foretold(found, limit_s < math.inf and len(found) == len(plan.setups), limit_s, plan.predicts)


def _needed(setup: Setup) -> Calibration:
    found = kept.at_hand(_key(setup))
    if found.held_out is None:
        words = f"too few networks were measured for {found.key.way} to say how far predictions are off"
        raise InputError(f"{words}; again, for longer: {kept.command(found.key)}")
    return found


def _known(setup: Setup) -> Calibration | None:
    """Return what a way to measure was calibrated to, None if it was not, or cannot be used."""
    if not kept.named(setup.target, setup.runtime, setup.plan).exists():
        return None  # another machine need not be asked
    try:
        found = kept.known(_key(setup))
    except ArchcostError:
        return None
    return found if isinstance(found, Calibration) else None


def _key(setup: Setup) -> Key:
    target, runtime = targets.find(setup.target), runtimes.find(setup.runtime)
    here = this_conditions() if target.local else None
    return kept.key(target.describe(), runtime, setup.plan, here)
