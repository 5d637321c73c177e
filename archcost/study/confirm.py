"""Confirming a front: members are trained alone with several seeds, and tested once."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from multiprocessing.context import ForkServerContext

import optuna

from archcost.errors import visible
from archcost.latency.samples import Samples
from archcost.search import pareto
from archcost.study import jobs
from archcost.study.options import Workplace
from archcost.study.plan import StudyPlan
from archcost.study.records import confirmed
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.front import Candidate
from archcost.study.records.front import Front as Members
from archcost.study.records.reasons import Reason
from archcost.study.records.stored import network
from archcost.study.release import seeds
from archcost.study.search_loop import refuse
from archcost.study.workers import processes
from archcost.study.workers.messages import Done, Event, Failed, Job, Measured, Scored
from archcost.study.workers.processes import Child
from archcost.training.score import Score
from archcost.units import counted_words

Say = Callable[[str], None]


def following(front: Members, done: Collection[str], most: int) -> Candidate | None:
    """Return the member to confirm next: the one without which the front would lose most of its hypervolume.

    None if all members, or `most` of them, are done.
    """
    left = [place for place, each in enumerate(front.members) if each.name not in done]
    if not left or len(front.members) - len(left) >= most:
        return None
    if front.reference is None:
        return front.members[left[0]]
    lost = pareto.contributions([each.values for each in front.members], front.reference)
    return front.members[max(left, key=lambda place: lost[place])]


def confirm(
    study: optuna.Study, plan: StudyPlan, place: Workplace, front: Callable[[], Members], say: Say
) -> tuple[str, ...]:
    """Confirm members of the front as far as the time allows, and keep what was found; return the names of those.

    front: the front as it is now, asked for anew after each one: who does worse when trained again may leave it, and
    who takes its place is confirmed too. All are then measured by turns, with those of earlier runs: only then are they
    comparable. If that changes the front, it begins again. A network is confirmed when its seeds are trained; each
    of them looks at the test split once.
    """
    context = processes.server()
    done: list[str] = []
    beside: dict[str, Candidate] = {}  # of each graph one, all measured together
    while True:
        now = front()
        candidate = following(now, done, plan.spec.study.confirm.members) if time.monotonic() < place.deadline else None
        alone = {each.part.digest: each for each in now.members if each.standing and each.part.digest not in beside}
        if candidate is not None:
            done.append(candidate.name)
            _seeds(study, context, plan, place, candidate, say)
        elif alone:
            beside |= alone
            if not _turns(study, plan, place, beside, now, say):
                break
        else:
            break
    return tuple(done)


def _seeds(
    study: optuna.Study,
    context: ForkServerContext,
    plan: StudyPlan,
    place: Workplace,
    candidate: Candidate,
    say: Say,
) -> None:
    """Train a network with every seed that it was not yet trained with, as long as the time allows."""
    model = network(candidate)
    found = confirmed.confirmed(study, candidate.name) or Confirmed()
    missing = found.missing(plan.spec.study.confirm.seeds)
    if not missing or time.monotonic() >= place.deadline:
        return
    say(f"confirming {candidate.name} with {counted_words(len(missing), 'seed')}")
    threads = place.options.threads
    again = [
        seeds.kept(study, place.weights, candidate, seed, jobs.confirm(plan, model, place.folder, seed, threads))
        for seed in missing
    ]
    found = replace(found, reason=None)
    for seed, (validation, test, reason) in zip(missing, _trained(context, again, place), strict=True):
        if validation and (test or not plan.tested):
            scores, tests = (*found.scores, validation), (*found.tests, *filter(None, [test]))
            found = replace(found, seeds=(*found.seeds, seed), scores=scores, tests=tests)
        else:
            found = replace(found, reason=reason)
            say(f"{candidate.name}: {reason.text}")
        confirmed.keep(study, candidate.name, found)


def _turns(
    study: optuna.Study,
    plan: StudyPlan,
    place: Workplace,
    graphs: Mapping[str, Candidate],
    front: Members,
    say: Say,
) -> bool:
    """Measure a network of each graph by turns in every way of the study; return whether all could be.

    What one gives holds for every confirmed network of its graph, on the front or not.
    """
    for number, way in enumerate(plan.ways):
        models = [network(each) for each in graphs.values()]
        say(f"measuring {counted_words(len(models), 'network')} by turns on {way.target}")
        samples, why = _measured(processes.server(), jobs.measure(plan, models, way), place)
        taken = dict(zip(graphs, samples, strict=False))
        for each in (*front.members, *front.others):
            if each.part.digest in taken and (found := confirmed.confirmed(study, each.name)):
                now = (*found.samples[:number], taken[each.part.digest], *found.samples[number + 1 :])
                confirmed.keep(study, each.name, replace(found, samples=now))
        if why:
            say(f"not measured again: {why}")
            return False
    return True


def _trained(
    context: ForkServerContext, every: Sequence[Job], place: Workplace
) -> Iterator[tuple[Score | None, Score | None, Reason]]:
    """Yield the scores on validation and test split of every job in order, or why there are none; several at a time.

    What is under way when the time is over is ended.
    """
    scores: list[dict[str, Score]] = [{} for _ in every]
    reasons = [Reason("time", "the time was over")] * len(every)
    for number, event in _told(context, every, place):
        match event:
            case Scored():
                scores[number][event.split] = event.score
            case Failed():
                refuse(event.reason)
                reasons[number] = replace(event.reason, text=visible(event.reason.text))
            case _:
                pass
    for found, reason in zip(scores, reasons, strict=True):
        yield found.get("validation"), found.get("test"), reason


def _measured(context: ForkServerContext, job: Job, place: Workplace) -> tuple[tuple[Samples, ...], str]:
    for _, event in _told(context, [job], replace(place, deadline=inf)):
        if isinstance(event, Measured):
            return event.samples, ""
        if isinstance(event, Failed):
            return (), visible(event.reason.text)
    return (), "nothing was measured"


def _told(context: ForkServerContext, every: Sequence[Job], place: Workplace) -> Iterator[tuple[int, Event]]:
    """Yield what jobs tell, with their number, so many at a time as there are workers; every reply is to go on."""
    waiting, running = list(enumerate(every)), dict[int, Child]()
    try:
        while (waiting or running) and time.monotonic() < place.deadline:
            while waiting and len(running) < place.options.workers:
                number, job = waiting.pop(0)
                running[number] = processes.start(context, job)
            numbers = {id(child): number for number, child in running.items()}
            for child, event in processes.events(list(running.values()), 1.0, place.options.patience_s):
                number = numbers[id(child)]
                if isinstance(event, Done | Failed):
                    running.pop(number).end()
                else:
                    child.reply(processes.ON)
                yield number, event
    finally:
        for child in running.values():
            child.end()
