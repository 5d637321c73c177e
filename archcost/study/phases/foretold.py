"""The latency limit of a study, judged by prediction before anything runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from archcost.errors import ArchcostError
from archcost.graph.columns import columns, only
from archcost.graph.graph import Graph
from archcost.latency import runtimes, targets
from archcost.latency.prediction import kept
from archcost.latency.prediction.operators import of_graph
from archcost.latency.prediction.predictor import Calibration, Prediction, Predictor
from archcost.latency.targets.device import this_conditions
from archcost.study.limits import budget
from archcost.study.plan import StudyPlan
from archcost.study.records.reasons import Reason
from archcost.study.workers.tasks import Setup
from archcost.units import duration


@dataclass(frozen=True, slots=True)
class Foretold:
    """What predicts the latencies of a study's networks, for each way, or nothing; limit_s: what is allowed."""

    predictors: tuple[Predictor, ...]
    limit_s: float

    def over(self, graph: Graph) -> Reason | None:
        """Return why no way to run a network, or a column of it, can keep the limit, None if one may.

        It may if the lower end of an interval is within the limit, or what it is made of was not measured: then it is
        measured.
        """
        least: Prediction | None = None
        for found in self._each(graph):
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
        for predictor in self.predictors:
            for network in networks:
                yield predictor.predict(of_graph(network, predictor.calibration.key.batch))


def foretold(plan: StudyPlan) -> Foretold:
    """Return what judges a study's latency limit; nothing does without one, or if a way to run was not calibrated."""
    allowed = budget(plan)
    if allowed is None or allowed.latency_s is None:
        return Foretold((), math.inf)
    found = [_calibration(setup) for setup in plan.setups]
    known = tuple(Predictor(each) for each in found if each is not None)
    return Foretold(known if len(known) == len(found) else (), allowed.latency_s)


def _calibration(setup: Setup) -> Calibration | None:
    """Return what a way to measure was calibrated to, None if it was not, or cannot be used."""
    if not kept.named(setup.target, setup.runtime, setup.plan).exists():
        return None  # another machine need not be asked
    try:
        target, runtime = targets.find(setup.target), runtimes.find(setup.runtime)
        here = this_conditions() if target.local else None
        found = kept.known(kept.key(target.describe(), runtime, setup.plan, here))
    except ArchcostError:
        return None
    return found if isinstance(found, Calibration) else None
