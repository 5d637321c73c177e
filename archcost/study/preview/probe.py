"""Whether a study can be measured at all: every way is tried once, in a child process."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from archcost.config.validation import located
from archcost.errors import InputError, Mistake, Path, TargetError, dotted, visible
from archcost.latency import runtimes, targets
from archcost.latency.runtimes import PROCESSORS_ONLY
from archcost.latency.samples import way
from archcost.study import jobs
from archcost.study.drawn import Drawn
from archcost.study.plan import StudyPlan
from archcost.study.workers import processes
from archcost.study.workers.messages import Failed, Waits
from archcost.study.workers.tasks import Setup

_TIME_S: Final = 0.02


def probe(plan: StudyPlan, model: Drawn, say: Callable[[str], None] = lambda _: None) -> None:
    """Try every way in which a study measures on one of its networks; say: told who is waited for.

    That the network does not run in another way than the first is said: other networks may. Raises InputError for more
    threads than a target has CPUs, TargetError with every way that cannot be measured.
    """
    reasons = []
    for number, (path, each) in enumerate(zip(plan.paths, plan.setups, strict=True)):
        words = f"{dotted(path)}: cannot measure on {way(each.target, each.runtime, each.plan)}: "
        if why := _not_here(plan, path, each):
            reasons.append(f"{words}{visible(why)}")
        elif why := _not_measured(plan, number, model, say):
            if number in plan.optional:
                say(f"{words}{visible(why)}; other networks may run there")
            else:
                reasons.append(f"{words}{visible(why)}")
    if reasons:
        raise TargetError("\n".join(reasons))


def _not_here(plan: StudyPlan, path: Path, setup: Setup) -> str:
    """Return why a setup's target or runtime cannot be used on this machine, '' if they can."""
    place = int(path[1])
    objective = plan.spec.study.objectives[place]
    target, runtime = targets.find(setup.target), runtimes.find(setup.runtime)
    if target.gpu and runtime.processors_only:
        return PROCESSORS_ONLY
    if why := runtime.why_not():
        return why
    cpus = os.cpu_count() or 1
    if not target.gpu:  # a GPU is asked by the child alone: this process shall take no memory of it
        try:
            facts = target.describe()
        except TargetError as error:
            return str(error)
        if facts.why_not:
            return facts.why_not
        cpus = facts.cpus
    if objective.threads and objective.threads > cpus:
        message = f"given {objective.threads}; allowed: 1 to {cpus}, the CPUs of target '{target.name}'"
        raise InputError(located(plan.spec.source, Mistake(message, ("objectives", place, "threads"))))
    return ""


def _not_measured(plan: StudyPlan, number: int, model: Drawn, say: Callable[[str], None]) -> str:
    each = plan.setups[number]
    job = jobs.measure(plan, [model], replace(each, plan=replace(each.plan, time_s=_TIME_S)))
    for event in processes.told(job, plan.spec.study.search.patience):
        if isinstance(event, Failed):
            return event.reason.text
        if isinstance(event, Waits):
            say(event.words)
    return ""
