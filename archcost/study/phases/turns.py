"""Networks measured by turns, and what several child processes tell at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import inf
from multiprocessing.context import ForkServerContext

from archcost.errors import visible
from archcost.latency.samples import Samples
from archcost.study import jobs
from archcost.study.options import Workplace
from archcost.study.plan import StudyPlan
from archcost.study.records.front import Candidate
from archcost.study.records.stored import network
from archcost.study.workers import processes
from archcost.study.workers.messages import Done, Event, Failed, Measured, Waits
from archcost.study.workers.pace import Pace
from archcost.study.workers.processes import Child
from archcost.study.workers.tasks import Job, Measure, Setup, Train

Say = Callable[[str], None]


def measuring(plan: StudyPlan, place: int, networks: Sequence[Candidate]) -> Measure:
    """Return the job of measuring networks by turns in a setup, in 8 bits with the layers in float32 that they have."""
    job = jobs.measure(plan, [network(each) for each in networks], plan.setups[place])
    number = next((way.number for way in plan.ways if way.quantised and place in way.places), None)
    if number is None:
        return job
    return replace(job, layers=tuple(each.kept.ways[number].float_layers for each in networks))


def where(plan: StudyPlan, setup: Setup) -> str:
    """Return where networks are measured, with the way if there are several."""
    way = f" in {setup.runtime} {setup.plan.dtype}" if len(plan.ways) > 1 else ""
    return f"on {setup.target}{way}"


def measured(context: ForkServerContext, job: Measure, place: Workplace, say: Say) -> tuple[tuple[Samples, ...], str]:
    """Return the samples of a job's networks, or none and why; it is not ended when the time is over."""
    for _, event in told(context, [job], replace(place, deadline=inf)):
        if isinstance(event, Measured):
            return event.samples, ""
        if isinstance(event, Failed):
            return (), visible(event.reason.text)
        if isinstance(event, Waits):
            say(event.words)
    return (), "nothing was measured"


def told(context: ForkServerContext, every: Sequence[Job], place: Workplace) -> Iterator[tuple[int, Event]]:
    """Yield what jobs tell, with their number, so many at a time as there are workers; every reply is to go on."""
    waiting, running, paces = list(enumerate(every)), dict[int, Child](), dict[int, Pace]()
    try:
        while waiting or running:
            if (now := time.monotonic()) >= place.deadline:
                waiting.clear()
                for number in [each for each in running if not paces[each].waits(place.deadline, now)]:
                    running.pop(number).end()
                if not running:
                    break
            while waiting and len(running) < place.options.workers:
                number, job = waiting.pop(0)
                running[number], paces[number] = processes.start(context, job), Pace(_epochs(job))
            numbers = {id(child): number for number, child in running.items()}
            for child, event in processes.events(list(running.values()), 1.0, place.options.patience_s):
                number = numbers[id(child)]
                paces[number].hear(event, time.monotonic())
                if isinstance(event, Done | Failed):
                    running.pop(number).end()
                else:
                    child.reply(processes.ON)
                yield number, event
    finally:
        for child in running.values():
            child.end()


def _epochs(job: Job) -> int:
    return int(job.fit.get("epochs", 0)) if isinstance(job, Train) else 0
