"""What the trials under way tell, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from archcost.errors import InputError, Mistake, visible
from archcost.search.ask import Asked
from archcost.study.code import digests
from archcost.study.parts import part_of
from archcost.study.phases import points
from archcost.study.phases.elsewhere import measure_again
from archcost.study.phases.limits import over
from archcost.study.phases.state import Run, Running
from archcost.study.records import open_trainings, trials
from archcost.study.records.database.connections import RESUMES
from archcost.study.records.interruption import again
from archcost.study.records.reasons import Reason, of_trial
from archcost.study.records.trials import Begun, Ended
from archcost.study.workers import processes
from archcost.study.workers.messages import (
    Alive,
    Counted,
    Described,
    Done,
    Event,
    Failed,
    Foreseen,
    Imported,
    Measured,
    Quantised,
    Reached,
    Refused,
    Resumed,
    Scored,
    Trained,
    Waits,
    Wanted,
)
from archcost.version import __version__


def take(run: Run, trial: Running, event: Event) -> None:
    """Take what a trial tells; raises UpdateFinishedTrialError if another process has ended it."""
    trial.pace.hear(event, time.monotonic())
    match event:
        case Counted():
            _counted(run, trial, event)
        case Imported():
            digests.keep(run.study, event.files)
        case Measured():
            _measured(run, trial, event)
        case Trained():
            trial.epoch, trial.loss = event.epoch, event.loss
            if event.kept and run.place.mirror is not None:
                run.place.mirror.push(trial.kept.path)
        case Resumed():
            _resumed(run, trial, event)
        case Reached():
            _reached(run, trial, event)
        case Done():
            _over(run, trial, None, points.first(run.plan, trial.parts))
        case Wanted():
            measure_again(run, trial, event)
        case Quantised():
            trial.parts[:] = points.quantised(trial.parts, event)
        case Waits():
            run.say(f"trial {trial.asked.trial.number}: {event.words}")
        case Scored() | Alive() | Foreseen() | Refused() | Described():
            pass  # that it came is enough, or no trial tells it
        case Failed():
            refuse(event.reason)
            _failed(run, trial, of_trial(event.reason))


def _failed(run: Run, trial: Running, reason: Reason) -> None:
    """End a trial that failed, or whose point is none: that does not count, as a network over a limit does not."""
    refused = reason.kind == "refused"
    run.in_vain += refused
    _lost(run, trial, reason, counts=not refused)


def refuse(reason: Reason) -> None:
    """Raise InputError for what no other trial could do better: the run ends, and this one is asked for again."""
    if reason.kind == "space":
        raise InputError(Mistake(f"no space left: {reason.text}; {RESUMES}"))
    if reason.kind == "files":
        raise InputError(Mistake(f"{reason.text}; what has ended is kept: run again to go on"))


def _measured(run: Run, trial: Running, event: Measured) -> None:
    trial.parts[:] = points.measured(run.plan, trial.parts, event)
    if (why := points.lost(run.plan, trial.parts)) is None:
        trial.child.reply(processes.ON)
    else:
        _lost(run, trial, why, counts=False)


def _resumed(run: Run, trial: Running, event: Resumed) -> None:
    trial.epoch, trial.before_s = event.epoch, event.seconds
    for epoch, (values, *columns) in trial.passed.items():
        if epoch < event.epoch:  # it will not come there again
            trials.reach(trial.asked.trial, epoch, values, columns)
    if event.note:
        run.say(f"trial {trial.asked.trial.number}: {event.note}")


def _reached(run: Run, trial: Running, event: Reached) -> None:
    trial.parts[:] = points.reached(trial.parts, event)
    values, *columns = points.at_rung(run.plan, trial.parts)
    others = [each for each in run.trials() if each.number != trial.asked.trial.number and each.fate != "interrupted"]
    trials.reach(trial.asked.trial, event.epoch, values, columns)
    reason = None
    if event.epoch not in trial.passed:  # else it was judged there before an interruption
        reason = points.fallen_behind(run.plan, event.epoch, (values, *columns), others)
    if reason is None:
        trial.child.reply(processes.ON)
    else:
        _over(run, trial, reason, None)


def _over(run: Run, trial: Running, reason: Reason | None, values: Sequence[float] | None) -> None:
    if run.team.dropped(trial.lease, "the end"):
        drop(run, trial)
    else:
        if reason is None and run.place.mirror is not None:
            run.place.mirror.push(run.place.weights / f"{trial.asked.trial.number}.pt")
        trials.end(run.study, trial.asked.trial, _ended(run, trial, reason), values)
        _forget(run, trial)


def _lost(run: Run, trial: Running, reason: Reason, *, counts: bool = True) -> None:
    if run.team.dropped(trial.lease, "the end"):
        drop(run, trial)
    else:
        trials.fail(run.study, trial.asked.trial, replace(_ended(run, trial, readable(reason)), counts=counts))
        _forget(run, trial)


def _ended(run: Run, trial: Running, reason: Reason | None) -> Ended:
    versions = {"archcost": __version__, "data": run.plan.fingerprint}
    return Ended(tuple(trial.parts), reason, seconds=trial.seconds, versions=versions, before_s=trial.before_s)


def _forget(run: Run, trial: Running) -> None:
    run.under_way.remove(trial)
    trial.child.end()
    run.requests.forget(trial.asked.trial.number)
    open_trainings.remove(trial.kept)
    if run.place.mirror is not None and trial.pace.kept_at is not None:
        run.place.mirror.discard(trial.kept.path)
    run.team.leases.give_back(trial.lease)


def _counted(run: Run, trial: Running, event: Counted) -> None:
    """Judge a network that code has made by what it costs, before anything of it is measured or trained."""
    number, model = trial.asked.trial.number, trial.model
    trial.parts = [part_of(run.plan, event)]
    for note in event.notes:
        run.say(f"trial {number}: {visible(note)}")
    identity = run.plan.identity(model, event.digest)
    trials.begin(trial.asked.trial, Begun(trial.asked.origin, model.name, model.family, model.yaml, identity))
    found = run.trials()
    trial.passed = open_trainings.passed(found, identity)
    if why := over(run.plan, event):
        run.in_vain += 1
        _lost(run, trial, why, counts=False)
    elif (known := same_as(found, identity, number)) is not None:
        run.in_vain += 1
        repeat(run, trial.asked, known)
        _forget(run, trial)
    else:
        run.in_vain = 0
        trial.child.reply(processes.ON)


def repeat(run: Run, asked: Asked, known: trials.Trial) -> None:
    """End a trial whose network is another one's with what that one gave."""
    assert known.ended is not None
    ended = replace(known.ended, repeats=known.number, counts=False, seconds=0.0)
    trials.end(run.study, asked.trial, ended, known.values)


def readable(reason: Reason) -> Reason:
    """Return a reason whose text can be shown."""
    return replace(reason, text=visible(reason.text))


def same_as(found: Sequence[trials.Trial], identity: str, number: int) -> trials.Trial | None:
    """Return a complete trial of the same network and training as that of a number, None if there is none."""
    for each in found:
        if each.number != number and each.state == "complete" and each.begun and each.begun.identity == identity:
            return each
    return None


def drop(run: Run, trial: Running) -> None:
    """End a trial that another process has taken up, of which nothing is told here."""
    run.say(f"trial {trial.asked.trial.number} was taken up by another process: what was done of it here is dropped")
    run.under_way.remove(trial)
    trial.child.end()
    run.team.leases.give_back(trial.lease)


def interrupted(run: Run, trial: Running) -> None:
    """Ask for the point of a trial again, unless another process has taken it up."""
    if not run.team.dropped(trial.lease, "an interruption"):
        again(run.study, trial.asked.trial, trial.seconds)
        run.team.leases.give_back(trial.lease)
