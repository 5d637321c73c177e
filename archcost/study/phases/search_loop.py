"""The search of a study: points are asked for and tried in child processes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerContext
from typing import Final, Literal, TypeAlias

import optuna

from archcost.errors import InputError, Mistake, dotted, quoted, visible
from archcost.models.load import Model
from archcost.search.ask import Asked, Method, ask, exhausted
from archcost.study import jobs
from archcost.study.code import digests
from archcost.study.drawn import Drawn
from archcost.study.options import Workplace
from archcost.study.parts import counted, graphs, part_of, parts
from archcost.study.phases import points
from archcost.study.phases.foretold import Foretold, foretold
from archcost.study.phases.limits import over
from archcost.study.phases.reserve import reserve_s
from archcost.study.phases.state import Running, Say, State, Watch
from archcost.study.plan import StudyPlan
from archcost.study.records import open_trainings, trials
from archcost.study.records.database.storage import RESUMES
from archcost.study.records.interruption import again
from archcost.study.records.part import Part, Predicted
from archcost.study.records.reasons import Reason, of_trial
from archcost.study.records.stored import Stored
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
)
from archcost.study.workers.pace import Pace
from archcost.study.workers.processes import Child
from archcost.study.workers.signals import held_back
from archcost.training.header import Checkpoint
from archcost.version import __version__

_TICK_S: Final = 0.5
End: TypeAlias = Literal["time", "trials", "exhausted"]
"""Why no other trial begins."""
ENDS: Final[dict[End, str]] = {
    "time": "the time is over",
    "trials": "all trials are done",
    "exhausted": "no new point was found: all are known, or infeasible",
}
_IN_VAIN: Final = 1000
"""Points in a row that are infeasible or known, after which the space is taken to hold no others."""


@dataclass
class _Run:
    stored: Stored
    study: optuna.Study
    plan: StudyPlan
    place: Workplace
    context: ForkServerContext
    watch: Watch
    say: Say
    foretold: Foretold
    under_way: list[Running] = field(default_factory=list)
    in_vain: int = 0

    def trials(self) -> tuple[trials.Trial, ...]:
        """Return every trial of the study; those that have ended are read once."""
        return trials.read(self.study, self.stored.known)


def search(stored: Stored, plan: StudyPlan, place: Workplace, watch: Watch, say: Say = lambda _: None) -> End:
    """Run trials until there are as many as wanted, or the time is over; return why it ended.

    What is under way when the time is over, or an exception comes, is ended, and its point asked for again: it goes on
    from its checkpoint. When the time is over, an epoch may end that soon does. A signal interrupts neither the
    beginning nor the end of a trial. Raises InputError if every trial would fail for the
    same: nothing can be written, or what the study keeps for its trials is gone.
    """
    assert isinstance(stored.study, optuna.Study)
    run = _Run(stored, stored.study, plan, place, processes.server(), watch, say, foretold(plan))
    try:
        if _end(run) is None and exhausted(run.study, plan.spec.space.draw, _method(plan)):
            return "exhausted"  # before a trial is begun that could only say so
        while (end := _step(run)) is None:
            pass
        _last_epochs(run, time.monotonic())
        return end
    finally:
        with held_back(), ExitStack() as each_of_them:  # what one of them raises keeps none of the others from its end
            for each in run.under_way:
                each_of_them.callback(again, run.study, each.asked.trial, each.seconds)
            for each in run.under_way:
                each_of_them.callback(each.child.end)  # first: all processes, before a storage that cannot be written


def _step(run: _Run) -> End | None:
    """Begin what is wanted and take what was told; return why the run is over, None if it goes on."""
    while len(run.under_way) < run.place.options.workers and _end(run) is None:
        with held_back():
            _begin(run)
    end = _end(run)
    if end == "time" or not run.under_way:
        return end
    _hear(run)
    return None


def _hear(run: _Run) -> None:
    """Take what the trials under way have told."""
    told = list(processes.events([each.child for each in run.under_way], _TICK_S, run.place.options.patience_s))
    for child, event in told:
        with held_back():
            _take(run, next(each for each in run.under_way if each.child is child), event)
    run.watch(State(tuple(run.under_way), run.stored))


def _last_epochs(run: _Run, deadline: float) -> None:
    """Interrupt what is under way when the time is over, each trial when its epoch has ended if that is soon."""
    while run.under_way:
        now = time.monotonic()
        for each in [each for each in run.under_way if not each.pace.waits(deadline, now)]:
            with held_back():
                each.child.end()
                again(run.study, each.asked.trial, each.seconds)
                run.under_way.remove(each)
        if run.under_way:
            _hear(run)


def _end(run: _Run) -> End | None:
    """Return why no other trial shall begin, None if one shall."""
    found = run.trials()
    if time.monotonic() >= run.place.deadline - reserve_s(found, run.plan, run.place.options):
        return "time"
    counted = sum(each.state in ("complete", "pruned", "failed") and each.counts for each in found)
    if counted + len(run.under_way) >= run.place.options.trials:
        return "trials"
    if run.in_vain >= _IN_VAIN:
        return "exhausted"
    return None


def _begin(run: _Run) -> None:
    """Ask for a point, and begin or end its trial; where that cannot be done, the point is asked for again."""
    asked = ask(run.study, run.plan.spec.space.draw, _method(run.plan), trials.give_up)
    with ExitStack() as undoing:
        undoing.callback(again, run.study, asked.trial, 0.0)
        _begun(run, asked)
        undoing.pop_all()


def _method(plan: StudyPlan) -> Method:
    search = plan.spec.study.search
    return Method(sampler=search.sampler, seed=search.seed, trials=search.trials)


def _begun(run: _Run, asked: Asked) -> None:
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
    if (known := _known(run, identity, asked.trial.number)) is not None:
        run.in_vain += 1
        open_trainings.remove(_kept(run, model))
        _repeat(run, asked, known)
        return
    if isinstance(model, Model):  # of code, only its process will tell
        run.in_vain = 0
    alone = _parts(run, model) if isinstance(model, Model) else []
    pace, passed = Pace(run.plan.spec.study.fit.epochs), open_trainings.passed(run.trials(), identity)
    child = _started(run, asked, model, alone[0].predicted if alone else ())
    run.under_way.append(Running(child, asked, model, alone, _kept(run, model), pace, passed))


def _parts(run: _Run, model: Model) -> list[Part]:
    return run.foretold.filled(parts(run.plan, model), [graph for _, graph in graphs(model)])


def _repeat(run: _Run, asked: Asked, known: trials.Trial) -> None:
    """End a trial whose network is another one's with what that one gave."""
    assert known.ended is not None
    ended = replace(known.ended, repeats=known.number, counts=False, seconds=0.0)
    trials.end(run.study, asked.trial, ended, known.values)


def _counted(run: _Run, trial: Running, event: Counted) -> None:
    """Judge a network that code has made by what it costs, before anything of it is measured or trained."""
    number, model = trial.asked.trial.number, trial.model
    trial.parts = [part_of(run.plan, event)]
    for note in event.notes:
        run.say(f"trial {number}: {visible(note)}")
    identity = run.plan.identity(model, event.digest)
    trials.begin(trial.asked.trial, Begun(trial.asked.origin, model.name, model.family, model.yaml, identity))
    trial.passed = open_trainings.passed(run.trials(), identity)
    if why := over(run.plan, event):
        run.in_vain += 1
        _lost(run, trial, why, counts=False)
    elif (known := _known(run, identity, number)) is not None:
        run.in_vain += 1
        _repeat(run, trial.asked, known)
        _forget(run, trial)
    else:
        run.in_vain = 0
        trial.child.reply(processes.ON)


def _started(run: _Run, asked: Asked, model: Drawn, predicted: Sequence[Predicted]) -> Child:
    """Start a trial in a process of its own, where what is predicted is not measured.

    Raises InputError if that cannot be done.
    """
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
    try:
        return processes.start(run.context, replace(job, weights=str(weights), mark=mark, keep=keep))
    except OSError as error:
        why = error.strerror or error
        raise InputError(Mistake(f"no process can be started for a trial: {why}; run again to go on")) from error


def _kept(run: _Run, model: Drawn) -> Checkpoint:
    return open_trainings.place(run.place.weights, run.stored.identity, run.plan.identity(model))


def _infeasible(error: InputError) -> Reason:
    """Return why a point is no network, and of which keys: their places in lists are left out."""
    keys = {dotted(tuple(part for part in each.path if isinstance(part, str))): None for each in error.mistakes}
    text = f"infeasible: {'; '.join(each.message for each in error.mistakes)}"
    return Reason("infeasible", text, visible(", ".join(filter(None, keys))))


def _refuse(run: _Run, asked: Asked, reason: Reason) -> None:
    run.in_vain += 1
    trials.fail(run.study, asked.trial, Ended(reason=_visible(reason), counts=False))


def _visible(reason: Reason) -> Reason:
    return replace(reason, text=visible(reason.text))


def _known(run: _Run, identity: str, number: int) -> trials.Trial | None:
    for each in run.trials():
        if each.number != number and each.state == "complete" and each.begun and each.begun.identity == identity:
            return each
    return None


def _take(run: _Run, trial: Running, event: Event) -> None:
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
        case Resumed():
            _resumed(run, trial, event)
        case Reached():
            _reached(run, trial, event)
        case Done():
            _over(run, trial, None, points.first(run.plan, trial.parts))
        case Quantised():
            trial.parts[:] = points.quantised(trial.parts, event)
        case Waits():
            run.say(f"trial {trial.asked.trial.number}: {event.words}")
        case Scored() | Alive() | Foreseen() | Refused() | Described():
            pass  # that it came is enough, or no trial tells it
        case Failed():
            refuse(event.reason)
            _failed(run, trial, of_trial(event.reason))


def _failed(run: _Run, trial: Running, reason: Reason) -> None:
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


def _measured(run: _Run, trial: Running, event: Measured) -> None:
    trial.parts[:] = points.measured(run.plan, trial.parts, event)
    if (why := points.lost(run.plan, trial.parts)) is None:
        trial.child.reply(processes.ON)
    else:
        _lost(run, trial, why, counts=False)


def _resumed(run: _Run, trial: Running, event: Resumed) -> None:
    trial.epoch, trial.before_s = event.epoch, event.seconds
    for epoch, (values, *columns) in trial.passed.items():
        if epoch < event.epoch:  # it will not come there again
            trials.reach(trial.asked.trial, epoch, values, columns)
    if event.note:
        run.say(f"trial {trial.asked.trial.number}: {event.note}")


def _reached(run: _Run, trial: Running, event: Reached) -> None:
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


def _over(run: _Run, trial: Running, reason: Reason | None, values: Sequence[float] | None) -> None:
    trials.end(run.study, trial.asked.trial, _ended(run, trial, reason), values)
    _forget(run, trial)


def _lost(run: _Run, trial: Running, reason: Reason, *, counts: bool = True) -> None:
    trials.fail(run.study, trial.asked.trial, replace(_ended(run, trial, _visible(reason)), counts=counts))
    _forget(run, trial)


def _ended(run: _Run, trial: Running, reason: Reason | None) -> Ended:
    versions = {"archcost": __version__, "data": run.plan.fingerprint}
    return Ended(tuple(trial.parts), reason, seconds=trial.seconds, versions=versions, before_s=trial.before_s)


def _forget(run: _Run, trial: Running) -> None:
    run.under_way.remove(trial)
    trial.child.end()
    open_trainings.remove(trial.kept)
