"""Training here and measuring elsewhere: requests are answered by who has the device."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from archcost.errors import InputError, Mistake, quoted
from archcost.study.options import Options
from archcost.study.phases.state import Pending, Run, Running, Serving
from archcost.study.plan import StudyPlan
from archcost.study.records.database.requests import MEASURE, Request, named
from archcost.study.workers import messages, processes
from archcost.study.workers.messages import Done, Event, Failed, Measured, Waits, Wanted, decode_event, decode_job
from archcost.study.workers.tasks import MeasureTrial, Train

_AHEAD: Final = 2
"""Times the trials that train at once: so many are measured or trained, so that neither waits for the other."""


def check(plan: StudyPlan, options: Options) -> None:
    """Raise InputError if a process is to measure on a target that the study does not have."""
    there = list(dict.fromkeys(each.target for each in plan.setups))
    for target in options.measures or ():
        if target not in there:
            allowed = ", ".join(there) or "none, as the study measures nothing"
            words = f"given --measures {quoted(target)}; allowed: {allowed}"
            raise InputError(Mistake(words))


def splits(plan: StudyPlan, options: Options) -> bool:
    """Return whether some of what a study measures is not measured by the process that trains."""
    return options.measures is not None and not measures_all(plan, options)


def measures_all(plan: StudyPlan, options: Options) -> bool:
    """Return whether a process measures on every target of a study."""
    return options.measures is None or {each.target for each in plan.setups} <= set(options.measures)


def room(run: Run) -> bool:
    """Return whether another trial may begin here."""
    most = run.place.options.workers
    if splits(run.plan, run.place.options):
        return len(run.under_way) + len(run.pending) < _AHEAD * most
    return len(run.under_way) < most


def ask(run: Run, trial: int, job: Train) -> list[str]:
    """Leave a request for each target on which the network of a trial is measured; return their names."""
    names = []
    for target in dict.fromkeys(job.ways[place].target for place in job.measured):
        places = tuple(place for place in job.measured if job.ways[place].target == target)
        asked = messages.encode(MeasureTrial(job, places)).decode()
        names.append(named(trial, target))
        run.requests.ask(Request(names[-1], target, asked))
    return names


def ready(run: Run, each: Pending) -> bool:
    """Return whether all answers are there to what a trial has asked for."""
    for name in list(each.lacking):
        if given := run.requests.given(name):
            each.lacking.remove(name)
            each.given += json.loads(given)
    return not each.lacking


def job_of(each: Pending) -> Train | Failed:
    """Return the training of a trial with what was measured of it, or why that failed."""
    events = [decode_event(text.encode()) for text in each.given]
    failed = next((event for event in events if isinstance(event, Failed)), None)
    if failed is not None:
        return failed
    measured = sorted((event for event in events if isinstance(event, Measured)), key=lambda event: event.way)
    return replace(each.job, given=tuple(messages.encode(event).decode() for event in measured))


def measure_again(run: Run, trial: Running, event: Wanted) -> None:
    """Leave a request for a trained network that is to be measured with other layers in float32."""
    assert trial.job is not None
    number, target = trial.asked.trial.number, trial.job.ways[event.way].target
    trial.wanted = named(number, target, event.way)
    asked = messages.encode(MeasureTrial(trial.job, (event.way,), event.layers)).decode()
    run.requests.ask(Request(trial.wanted, target, asked))


def answered(run: Run, trial: Running) -> Event | None:
    """Return the answer that a trial waits for, None if there is none yet."""
    if not trial.wanted or not (given := run.requests.given(trial.wanted)):
        return None
    trial.wanted = ""
    events = [decode_event(text.encode()) for text in json.loads(given)]
    return next(each for each in events if isinstance(each, Measured | Failed))


def serve(run: Run) -> None:
    """Measure what other processes have asked for, one request at a time."""
    options = run.place.options
    if options.measures == () or (options.measures is None and not run.team.others()):
        return
    if run.serving is None:
        for request in run.requests.waiting(options.measures):
            lease = run.team.leases.take(f"{MEASURE}{request.name}")
            if lease is not None:
                run.serving = Serving(request, lease, processes.start(run.context, _job(run, request)))
                break
    if run.serving is not None:
        _hear(run, run.serving)


def _job(run: Run, request: Request) -> MeasureTrial:
    """Return a request as a job of this process: with its own consent to code, and none of the other's files."""
    found = decode_job(request.asked.encode())
    assert isinstance(found, MeasureTrial)
    return replace(found, train=replace(found.train, code=run.plan.code, data="", test="", weights="", keep=None))


def _hear(run: Run, serving: Serving) -> None:
    for _, event in processes.events([serving.child], 0.0, run.place.options.patience_s):
        match event:
            case Waits():
                run.say(f"trial {serving.request.name.partition(':')[0]}: {event.words}")
            case Measured():
                serving.told.append(event)
                serving.child.reply(processes.ON)
            case Done() | Failed():
                if isinstance(event, Failed):
                    serving.told.append(event)
                _give(run, serving)
            case _:
                pass  # that it came is enough


def _give(run: Run, serving: Serving) -> None:
    """Answer a request, unless another process has taken it up."""
    if not run.team.dropped(serving.lease, "the samples"):
        run.requests.give(serving.request.name, json.dumps([messages.encode(each).decode() for each in serving.told]))
    stop(run)


def stop(run: Run) -> None:
    """End what is measured for others, if anything is: who asked for it asks another."""
    if run.serving is not None:
        run.serving.child.end()
        run.team.leases.give_back(run.serving.lease)
        run.serving = None
