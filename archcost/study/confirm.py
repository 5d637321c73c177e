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
from archcost.study.plan import Setting
from archcost.study.records import confirmed
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.front import Candidate
from archcost.study.records.front import Front as Members
from archcost.study.records.reasons import Reason
from archcost.study.records.stored import network
from archcost.study.search_loop import Options, refuse
from archcost.study.workers import processes
from archcost.study.workers.messages import Done, Event, Failed, Job, Measured, Scored
from archcost.study.workers.processes import Child
from archcost.training.score import Score
from archcost.units import counted_words

Say = Callable[[str], None]


def following(front: Members, done: Collection[str], most: int) -> Candidate | None:
    """Return the member to confirm next: the one without which the front would lose most of its hypervolume.

    None where all members, or `most` of them, are done.
    """
    left = [place for place, each in enumerate(front.members) if each.name not in done]
    if not left or len(front.members) - len(left) >= most:
        return None
    if front.reference is None:
        return front.members[left[0]]
    lost = pareto.contributions([each.values for each in front.members], front.reference)
    return front.members[max(left, key=lambda place: lost[place])]


def confirm(
    study: optuna.Study, setting: Setting, options: Options, front: Callable[[], Members], say: Say
) -> tuple[str, ...]:
    """Confirm members of the front as far as the time allows, and keep what was found; return the names of those.

    front: the front as it is now, asked for anew after each one: who does worse when trained again may leave it, and
    who takes its place is confirmed too. All are then measured by turns, with those of earlier runs: only then are they
    comparable. Where that changes the front, it begins again. A network is confirmed when its seeds are trained; each
    of them looks at the test split once.
    """
    context = processes.server()
    done: list[str] = []
    beside: dict[str, Candidate] = {}  # of each graph one, all measured together
    while True:
        now = front()
        candidate = following(now, done, setting.confirm.members) if time.monotonic() < options.deadline else None
        alone = {each.part.digest: each for each in now.members if each.standing and each.part.digest not in beside}
        if candidate is not None:
            done.append(candidate.name)
            _seeds(study, context, setting, options, candidate, say)
        elif alone:
            beside |= alone
            if not _turns(study, setting, options, beside, now, say):
                break
        else:
            break
    return tuple(done)


def _seeds(
    study: optuna.Study,
    context: ForkServerContext,
    setting: Setting,
    options: Options,
    candidate: Candidate,
    say: Say,
) -> None:
    """Train a network with every seed that it was not yet trained with, as long as the time allows."""
    model = network(candidate)
    found = confirmed.confirmed(study, candidate.name) or Confirmed()
    missing = found.missing(setting.confirm.seeds)
    if not missing or time.monotonic() >= options.deadline:
        return
    say(f"confirming {candidate.name} with {counted_words(len(missing), 'seed')}")
    jobs = [setting.again(model, options.folder, seed, options.threads) for seed in missing]
    found = replace(found, reason=None)
    for seed, (validation, test, reason) in zip(missing, _trained(context, jobs, options), strict=True):
        if validation and test:
            scores, tests = (*found.scores, validation), (*found.tests, test)
            found = replace(found, seeds=(*found.seeds, seed), scores=scores, tests=tests)
        else:
            found = replace(found, reason=reason)
            say(f"{candidate.name}: {reason.text}")
        confirmed.keep(study, candidate.name, found)


def _turns(
    study: optuna.Study,
    setting: Setting,
    options: Options,
    graphs: Mapping[str, Candidate],
    front: Members,
    say: Say,
) -> bool:
    """Measure a network of each graph by turns in every way of the study; return whether all could be.

    What one gives holds for every confirmed network of its graph, on the front or not.
    """
    for place, way in enumerate(setting.ways):
        models = [network(each) for each in graphs.values()]
        say(f"measuring {counted_words(len(models), 'network')} by turns on {way.target}")
        samples, why = _measured(processes.server(), setting.together(models, way), options)
        taken = dict(zip(graphs, samples, strict=False))
        for each in (*front.members, *front.others):
            if each.part.digest in taken and (found := confirmed.confirmed(study, each.name)):
                now = (*found.samples[:place], taken[each.part.digest], *found.samples[place + 1 :])
                confirmed.keep(study, each.name, replace(found, samples=now))
        if why:
            say(f"not measured again: {why}")
            return False
    return True


def _trained(
    context: ForkServerContext, jobs: Sequence[Job], options: Options
) -> Iterator[tuple[Score | None, Score | None, Reason]]:
    """Yield the scores on validation and test split of every job in order, or why there are none; several at a time.

    What is under way when the time is over is ended.
    """
    scores: list[dict[str, Score]] = [{} for _ in jobs]
    reasons = [Reason("time", "the time was over")] * len(jobs)
    for place, event in _told(context, jobs, options):
        match event:
            case Scored():
                scores[place][event.split] = event.score
            case Failed():
                refuse(event.reason)
                reasons[place] = replace(event.reason, text=visible(event.reason.text))
            case _:
                pass
    for found, reason in zip(scores, reasons, strict=True):
        yield found.get("validation"), found.get("test"), reason


def _measured(context: ForkServerContext, job: Job, options: Options) -> tuple[tuple[Samples, ...], str]:
    for _, event in _told(context, [job], replace(options, deadline=inf)):
        if isinstance(event, Measured):
            return event.samples, ""
        if isinstance(event, Failed):
            return (), visible(event.reason.text)
    return (), "nothing was measured"


def _told(context: ForkServerContext, jobs: Sequence[Job], options: Options) -> Iterator[tuple[int, Event]]:
    """Yield what jobs tell, with their place, so many at a time as there are workers; every reply is to go on."""
    waiting, running = list(enumerate(jobs)), dict[int, Child]()
    try:
        while (waiting or running) and time.monotonic() < options.deadline:
            while waiting and len(running) < options.workers:
                place, job = waiting.pop(0)
                running[place] = processes.start(context, job)
            places = {id(child): place for place, child in running.items()}
            for child, event in processes.events(list(running.values()), 1.0, options.patience_s):
                place = places[id(child)]
                if isinstance(event, Done | Failed):
                    running.pop(place).end()
                else:
                    child.reply(processes.ON)
                yield place, event
    finally:
        for child in running.values():
            child.end()
