"""The search of a study: points are asked for and tried in child processes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Final, Literal, TypeAlias

import optuna
from optuna.exceptions import UpdateFinishedTrialError

from archcost.errors import InputError, Mistake, dotted, quoted, visible
from archcost.models.load import Model
from archcost.search.ask import Asked, Method, ask, exhausted
from archcost.study import jobs
from archcost.study.drawn import Drawn
from archcost.study.options import Workplace
from archcost.study.parts import counted, graphs, parts
from archcost.study.phases import elsewhere
from archcost.study.phases.events import drop, interrupted, readable, repeat, same_as, take
from archcost.study.phases.foretold import foretold
from archcost.study.phases.limits import over
from archcost.study.phases.reserve import reserve_s
from archcost.study.phases.state import Pending, Run, Running, Say, State, Watch
from archcost.study.plan import StudyPlan
from archcost.study.records import open_trainings, trials
from archcost.study.records.database.team import TRIAL
from archcost.study.records.interruption import again, recover
from archcost.study.records.part import Part, Predicted
from archcost.study.records.reasons import Reason, of_trial
from archcost.study.records.stored import Stored
from archcost.study.records.trials import Begun, Ended
from archcost.study.workers import processes
from archcost.study.workers.messages import Failed
from archcost.study.workers.pace import Pace
from archcost.study.workers.signals import held_back
from archcost.study.workers.tasks import Train
from archcost.training.header import Checkpoint
from archcost.units import counted_words

_TICK_S: Final = 0.5
_LOOK_S: Final = 2.0
Trials: TypeAlias = Sequence[trials.Trial]
End: TypeAlias = Literal["time", "trials", "exhausted"]
"""Why no other trial begins."""
ENDS: Final[dict[End, str]] = {
    "time": "the time is over",
    "trials": "all trials are done",
    "exhausted": "no new point was found: all are known, or infeasible",
}
_IN_VAIN: Final = 1000
"""Points in a row that are infeasible or known, after which the space is taken to hold no others."""


def search(stored: Stored, plan: StudyPlan, place: Workplace, watch: Watch, say: Say = lambda _: None) -> End:
    """Run trials until there are as many as wanted, or the time is over; return why it ended.

    What is under way when the time is over, or an exception comes, is ended, and its point asked for again: it goes on
    from its checkpoint. When the time is over, an epoch may end that soon does. A signal interrupts neither the
    beginning nor the end of a trial. Raises InputError if every trial would fail for the
    same: nothing can be written, or what the study keeps for its trials is gone.
    """
    assert isinstance(stored.study, optuna.Study)
    run = Run(stored, stored.study, plan, place, processes.server(), watch, say, foretold(plan))
    try:
        if _end(run, run.trials()) is None and exhausted(run.study, plan.spec.space.draw, _method(plan)):
            run.in_vain = _IN_VAIN  # no trial is begun that could only say so
        while (end := _step(run)) is None:
            pass
        _last_epochs(run, time.monotonic())
        return end
    finally:
        with held_back(), ExitStack() as each_of_them:  # what one of them raises keeps none of the others from its end
            for pending in run.pending:
                each_of_them.callback(_put_back, run, pending)
            for each in run.under_way:
                each_of_them.callback(interrupted, run, each)
            each_of_them.callback(elsewhere.stop, run)
            for each in run.under_way:
                each_of_them.callback(each.child.end)  # first: all processes, before a storage that cannot be written


def _step(run: Run) -> End | None:
    """Begin what is wanted and take what was told; return why the run is over, None if it goes on.

    It goes on as long as another process has a trial under way, which is taken up if that process ends.
    """
    found = _take_up(run)
    with held_back():
        elsewhere.serve(run)
        _start_measured(run)
    trains = run.place.options.trains
    while trains and elsewhere.room(run) and _end(run, found) is None:
        with held_back():
            _begin(run)
        found = run.trials()
    end = _end(run, found)
    if end == "time":
        return end
    if run.under_way:
        _hear(run)
        return None
    works = bool(run.pending or run.serving or any(each.state == "running" for each in found))
    if end is not None and not works:
        return end
    if works or not trains:
        time.sleep(_TICK_S)
    run.watch(State((), run.stored))
    return None


def _start_measured(run: Run) -> None:
    """Start to train what other processes have measured."""
    for each in list(run.pending):
        if len(run.under_way) < run.place.options.workers and elsewhere.ready(run, each):
            job = elsewhere.job_of(each)
            if isinstance(job, Failed):
                _put_back(run, each, of_trial(job.reason))
            else:
                _start(run, each, job)
            run.pending.remove(each)


def _put_back(run: Run, each: Pending, reason: Reason | None = None) -> None:
    """End a trial that waited to be trained: for a reason, or to be asked for again, unless another has taken it up."""
    if not run.team.dropped(each.lease, "an interruption"):
        if reason is None:
            again(run.study, each.asked.trial, 0.0)
        else:
            trials.fail(run.study, each.asked.trial, Ended(reason=readable(reason)))
        run.requests.forget(each.asked.trial.number)
        run.team.leases.give_back(each.lease)


def _take_up(run: Run) -> Trials:
    """Take up the trials of processes that are gone, and give up those that others have taken up; return all trials."""
    for each in [each for each in run.under_way if run.team.leases.lost(each.lease)]:
        drop(run, each)
    for pending in [each for each in run.pending if run.team.leases.lost(each.lease)]:
        run.pending.remove(pending)
    found, now = run.trials(), time.monotonic()
    under_way = sum(each.state == "running" for each in found)
    if under_way <= len(run.under_way) + len(run.pending) or now - run.looked < _LOOK_S:
        return found
    run.looked = now
    with held_back():
        if lost := recover(run.stored, run.place.weights, run.team):
            run.say(f"the process of {counted_words(lost, 'trial')} is gone: to be tried again")
    return run.trials()


def _hear(run: Run) -> None:
    """Take what the trials under way have told."""
    told = list(processes.events([each.child for each in run.under_way], _TICK_S, run.place.options.patience_s))
    for child, event in told:
        with held_back():
            trial = next(each for each in run.under_way if each.child is child)
            try:
                take(run, trial, event)
            except UpdateFinishedTrialError:  # another process has ended it
                drop(run, trial)
    for trial in [each for each in run.under_way if each.wanted]:
        trial.child.last_s = time.monotonic()  # who waits for a measurement does not hang
        if (answer := elsewhere.answered(run, trial)) is not None:
            with held_back():
                take(run, trial, answer)
    run.watch(State(tuple(run.under_way), run.stored))


def _last_epochs(run: Run, deadline: float) -> None:
    """Interrupt what is under way when the time is over, each trial when its epoch has ended if that is soon."""
    while run.under_way:
        now = time.monotonic()
        for each in [each for each in run.under_way if not each.pace.waits(deadline, now)]:
            with held_back():
                each.child.end()
                interrupted(run, each)
                run.under_way.remove(each)
        if run.under_way:
            _hear(run)


def _end(run: Run, found: Trials) -> End | None:
    """Return why no other trial shall begin, None if one shall; found: all trials as they are now."""
    if time.monotonic() >= run.place.deadline - reserve_s(found, run.plan, run.place.options):
        return "time"
    counted = sum(each.state in ("complete", "pruned", "failed") and each.counts for each in found)
    if counted + sum(each.state == "running" for each in found) >= run.place.options.trials:
        return "trials"
    if run.in_vain >= _IN_VAIN and not any(each.state == "waiting" for each in found):
        return "exhausted"
    return None


def _begin(run: Run) -> None:
    """Ask for a point, and begin or end its trial; where that cannot be done, the point is asked for again."""
    try:
        asked = ask(
            run.study, run.plan.spec.space.draw, _method(run.plan), trials.give_up, partial(_next, run), run.seen
        )
        with ExitStack() as undoing:
            undoing.callback(again, run.study, asked.trial, 0.0)
            _begun(run, asked)
            undoing.pop_all()
    except _Enough:  # others were faster
        pass
    finally:
        if run.lease is not None:  # nothing is under way of it
            run.team.leases.give_back(run.lease)
            run.lease = None


class _Enough(Exception):  # noqa: N818  # no error
    """No other trial shall begin."""


def _next(run: Run, study: optuna.Study) -> optuna.trial.Trial:
    """Begin a trial with its lease, unless other processes have begun all there shall be."""
    if run.lease is not None:  # of a point that gave way
        run.team.leases.give_back(run.lease)
        run.lease = None
    with run.team.alone():
        if _end(run, run.trials()) is not None:
            raise _Enough
        trial = study.ask()
        run.lease = run.team.leases.take(f"{TRIAL}{trial.number}")
    return trial


def _method(plan: StudyPlan) -> Method:
    search = plan.spec.study.search
    return Method(sampler=search.sampler, seed=search.seed, trials=search.trials)


def _begun(run: Run, asked: Asked) -> None:
    """Refuse a point, answer it from what is known, or start its trial."""
    if asked.origin == "repeated":
        _refuse(run, asked, Reason("known", "every point of the space is known"))
        run.in_vain = _IN_VAIN
        return
    try:
        model = run.plan.model(asked.built)
    except InputError as error:
        _refuse(run, asked, _infeasible(error))
        return
    identity = run.plan.identity(model)
    trials.begin(asked.trial, Begun(asked.origin, model.name, model.family, model.yaml, identity))
    if isinstance(model, Model) and (why := over(run.plan, counted(run.plan, model)) or run.foretold.over(model.graph)):
        _refuse(run, asked, why)
        return
    others = trials.read(trials.Held(tuple(asked.others), {}), run.stored.known)
    if (known := same_as(others, identity, asked.trial.number)) is not None:
        run.in_vain += 1
        open_trainings.remove(_kept(run, model))
        repeat(run, asked, known)
        return
    if isinstance(model, Model):  # of code, only its process will tell
        run.in_vain = 0
    alone = _parts(run, model) if isinstance(model, Model) else []
    assert run.lease is not None
    job = _job(run, asked, model, alone[0].predicted if alone else ())
    begun = Pending(asked, model, alone, job, run.lease, identity, [])
    if elsewhere.splits(run.plan, run.place.options):
        begun.job = replace(job, elsewhere=True)
        begun.lacking = elsewhere.ask(run, asked.trial.number, begun.job)
        run.pending.append(begun)
    else:
        _start(run, begun, job)
    run.lease = None


def _parts(run: Run, model: Model) -> list[Part]:
    return run.foretold.filled(parts(run.plan, model), [graph for _, graph in graphs(model)])


def _job(run: Run, asked: Asked, model: Drawn, predicted: Sequence[Predicted]) -> Train:
    """Return the job of a trial, in which what is predicted is not measured; raises InputError if it cannot be done."""
    number = asked.trial.number
    weights = run.place.weights / f"{number}.pt"
    if not weights.parent.is_dir():
        raise InputError(Mistake(f"the folder {quoted(weights.parent.name)} is gone; run again to go on without it"))
    if weights.exists():
        place = quoted(f"{weights.parent.name}/{weights.name}")
        what = f"{place} is in the place of the weights of trial {number}, which has not run yet"
        raise InputError(Mistake(f"{what}; allowed: move it, then run again to go on"))
    keep = _kept(run, model)
    trials.writes(asked.trial, keep.training)
    made = jobs.train(run.plan, model, run.place.folder, run.place.options.threads)
    job = replace(made, predicted=tuple(each.place for each in predicted))
    mark: dict[str, str | int] = {"study": run.stored.identity, "trial": number}
    if isinstance(model, Model):  # of code, its process adds what it has made
        mark["digest"] = model.digest
    return replace(job, weights=str(weights), mark=mark, keep=keep)


def _start(run: Run, each: Pending, job: Train) -> None:
    """Start a trial in a process of its own; raises InputError if that cannot be done."""
    if run.place.mirror is not None and job.keep is not None:
        run.place.mirror.fetch(job.keep.path)  # another machine may have begun it
    try:
        child = processes.start(run.context, job)
    except OSError as error:
        why = error.strerror or error
        raise InputError(Mistake(f"no process can be started for a trial: {why}; run again to go on")) from error
    pace, passed = Pace(run.plan.spec.study.fit.epochs), open_trainings.passed(run.trials(), each.identity)
    kept = _kept(run, each.model)
    run.under_way.append(Running(child, each.asked, each.model, each.parts, kept, each.lease, pace, passed, job))


def _kept(run: Run, model: Drawn) -> Checkpoint:
    return open_trainings.place(run.place.weights, run.stored.identity, run.plan.identity(model))


def _infeasible(error: InputError) -> Reason:
    """Return why a point is no network, and of which keys: their places in lists are left out."""
    keys = {dotted(tuple(part for part in each.path if isinstance(part, str))): None for each in error.mistakes}
    text = f"infeasible: {'; '.join(each.message for each in error.mistakes)}"
    return Reason("infeasible", text, visible(", ".join(filter(None, keys))))


def _refuse(run: Run, asked: Asked, reason: Reason) -> None:
    run.in_vain += 1
    trials.fail(run.study, asked.trial, Ended(reason=readable(reason), counts=False))
