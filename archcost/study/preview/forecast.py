"""How long a study would take, from a moment of training a typical network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from archcost import scratch
from archcost.data import shared
from archcost.data.splits import Dataset
from archcost.errors import TargetError, visible
from archcost.latency.samples import Plan
from archcost.study import jobs
from archcost.study.drawn import Drawn
from archcost.study.parts import columns
from archcost.study.phases.shortlist import MEMBERS
from archcost.study.plan import StudyPlan
from archcost.study.workers import processes
from archcost.study.workers.messages import Failed, Foreseen
from archcost.study.workers.tasks import Foresee, Measure, Setup
from archcost.units import counted_words, duration

_LEAST_S: Final = 120.0  # what is foreseen is told at the end alone: a study's patience may be too short for that


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds that one training of a typical network takes with its scores, and other parts of a study.

    first: until the first trial can begin; starting: a process for one training, with its data; measuring: a
    network in all ways; search: all trials; confirm: the front.
    """

    first_s: float
    starting_s: float
    training_s: float
    measuring_s: float
    search_s: float
    confirm_s: float

    @property
    def whole_s(self) -> float:
        """All of it."""
        return self.first_s + self.search_s + self.confirm_s


def foresee(plan: StudyPlan, model: Drawn, dataset: Dataset, workers: int, since_s: float) -> Span:
    """Return what a study takes whose networks are like `model`, without what rungs save.

    since_s: when its data began to be read, on a monotonic clock.
    Raises TargetError if it cannot be trained.
    """
    _prepare()
    first_s = time.monotonic() - since_s
    starting_s, training_s = _training_s(plan, model, dataset)
    each_s = sum(way.plan.time_s for way in plan.setups)
    later_s = sum(plan.setups[place].plan.time_s for place in plan.predicts)  # of those that may be on the front
    measuring_s = (each_s - later_s) * (1 + len(columns(model)))
    confirm, one_s = plan.spec.study.confirm, starting_s + training_s
    again_s = starting_s + training_s * plan.lengthened
    # a device is measured by one at a time, while the others wait between mini-batches
    search_s = plan.spec.study.search.trials * (one_s / workers + measuring_s)
    confirm_s = confirm.members * (-(-confirm.seeds // workers) * again_s + each_s) + later_s * (
        confirm.members or MEMBERS
    )
    return Span(first_s, starting_s, training_s, measuring_s, search_s, confirm_s)


def _prepare() -> None:
    """Start a process that does next to nothing: the first one takes longer, as others are prepared with it."""
    for _ in processes.told(Measure((), Setup("fake", "eager", Plan(time_s=0.01))), _LEAST_S):
        pass


def _training_s(plan: StudyPlan, model: Drawn, dataset: Dataset) -> tuple[float, float]:
    """Return how long a process and what it reads take, and a training in it."""
    with scratch.folder() as folder:
        shared.write(dataset, folder / jobs.DATA)
        begun = time.monotonic()
        found, why = None, "it gave no time"
        patience_s = max(plan.spec.study.search.patience, _LEAST_S)
        for event in processes.told(Foresee(jobs.train(plan, model, folder, 1)), patience_s):
            if isinstance(event, Foreseen):
                found = event
            elif isinstance(event, Failed):
                why = visible(event.reason.text)
    if found is None:
        raise TargetError(f"a typical network of the study cannot be trained: {why}")
    return time.monotonic() - begun - found.looking_s, found.training_s


def lines(plan: StudyPlan, found: Span, workers: int) -> Iterator[str]:
    """Yield what was foreseen in words, within 80 columns."""
    trials = counted_words(plan.spec.study.search.trials, "trial")
    limit = plan.spec.study.search.time
    by = counted_words(workers, "worker")
    yield f"time         about {_span(found.whole_s)} with {by}, if no trial ended at a rung"
    yield f"  until the first trial begins: {_span(found.first_s)}"
    yield f"  {trials}: {_span(found.search_s)}, of which each takes"
    each = ((found.starting_s, "to start"), (found.training_s, "training"), (found.measuring_s, "measuring"))
    yield f"    {', '.join(f'{_span(seconds)} {words}' for seconds, words in each if seconds)}"
    if plan.predicts:
        yield "  latencies are predicted: networks that may be on the front are measured"
    again = counted_words(plan.spec.study.confirm.members * plan.spec.study.confirm.seeds, "training")
    yield f"  confirming with {again}: {_span(found.confirm_s)}, more if members leave the front"
    if limit is not None and limit < found.whole_s:
        yield f"  the study's own limit is {_span(limit)}: fewer trials than that"


def _span(seconds: float) -> str:
    if seconds < 100:
        return duration(seconds)
    if seconds < 570:  # 2.5 min is no 2
        return f"{seconds / 60:.1f}".removesuffix(".0") + " min"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
