"""The search of a study: points are asked for and tried in child processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerContext
from typing import Final, Literal, TypeAlias

import optuna

from archcost.errors import InputError, Mistake, dotted, quoted, visible
from archcost.latency.statistics import median
from archcost.models.load import Model
from archcost.search import halving
from archcost.search.ask import Asked, Method, ask, exhausted
from archcost.study import jobs
from archcost.study.limits import budget, over
from archcost.study.options import Options, Workplace
from archcost.study.parts import parts
from archcost.study.plan import StudyPlan
from archcost.study.records import trials
from archcost.study.records.reasons import INTERRUPTED, Reason, of_trial
from archcost.study.records.storage import RESUMES
from archcost.study.records.stored import Stored
from archcost.study.records.trials import Begun, Ended, Part, achieved
from archcost.study.signals import held_back
from archcost.study.workers import processes
from archcost.study.workers.messages import Done, Event, Failed, Foreseen, Measured, Reached, Scored, Trained
from archcost.study.workers.processes import Child
from archcost.units import duration, percent
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
class Running:
    """A trial under way, with what it has told so far."""

    child: Child
    asked: Asked
    model: Model
    parts: list[Part]
    since: float = field(default_factory=time.monotonic)
    epoch: int = 0
    loss: float | None = None

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.since


@dataclass(frozen=True, slots=True)
class State:
    """What a study that runs shows: the trials under way, and what its storage holds."""

    running: tuple[Running, ...]
    stored: Stored


Watch: TypeAlias = Callable[[State], None]


@dataclass
class _Run:
    stored: Stored
    study: optuna.Study
    plan: StudyPlan
    place: Workplace
    context: ForkServerContext
    watch: Watch
    under_way: list[Running] = field(default_factory=list)
    in_vain: int = 0

    def trials(self) -> tuple[trials.Trial, ...]:
        """Return every trial of the study; those that have ended are read once."""
        return trials.read(self.study, self.stored.known)


def recover(study: optuna.Study) -> int:
    """End trials whose process is gone and ask for their points again; return how many there were.

    Only who holds the study's lock may call it: then nobody runs them.
    """
    lost = [each for each in study.get_trials(deepcopy=False) if each.state is optuna.trial.TrialState.RUNNING]
    for each in lost:
        _again(study, optuna.trial.Trial(study, each._trial_id), 0.0)
    return len(lost)


def search(stored: Stored, plan: StudyPlan, place: Workplace, watch: Watch) -> End:
    """Run trials until there are as many as wanted, or the time is over; return why it ended.

    What is under way when the time is over, or an exception comes, is ended, and its point asked for again. A signal
    interrupts neither the beginning nor the end of a trial. Raises InputError if every trial would fail for the
    same: nothing can be written, or what the study keeps for its trials is gone.
    """
    assert isinstance(stored.study, optuna.Study)
    run = _Run(stored, stored.study, plan, place, processes.server(), watch)
    try:
        if _end(run) is None and exhausted(run.study, plan.spec.space.draw, _method(plan)):
            return "exhausted"  # before a trial is begun that could only say so
        while (end := _step(run)) is None:
            pass
        return end
    finally:
        with held_back(), ExitStack() as each_of_them:  # what one of them raises keeps none of the others from its end
            for each in run.under_way:
                each_of_them.callback(_again, run.study, each.asked.trial, each.seconds)
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
    told = list(processes.events([each.child for each in run.under_way], _TICK_S, run.place.options.patience_s))
    for child, event in told:
        with held_back():
            _take(run, next(each for each in run.under_way if each.child is child), event)
    run.watch(State(tuple(run.under_way), run.stored))
    return None


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


def reserve_s(found: Sequence[trials.Trial], plan: StudyPlan, options: Options) -> float:
    """Return the time that confirming the front will take, from what trials took so far; at most half of all."""
    took = [each.ended.seconds for each in found if each.state == "complete" and each.ended and each.ended.seconds]
    confirm = plan.spec.study.confirm
    if not took or not confirm.members:
        return 0.0
    rounds = confirm.members * -(-confirm.seeds // options.workers)
    measured_s = sum(way.plan.time_s for way in plan.ways) * confirm.members
    return min(rounds * median(took) + measured_s, options.time_s / 2)


def _begin(run: _Run) -> None:
    """Ask for a point, and begin or end its trial; where that cannot be done, the point is asked for again."""
    asked = ask(run.study, run.plan.spec.space.draw, _method(run.plan), trials.give_up)
    with ExitStack() as undoing:
        undoing.callback(_again, run.study, asked.trial, 0.0)
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
    if why := over(run.plan, model):
        _refuse(run, asked, why)
        return
    if (known := _known(run, identity, asked.trial.number)) is not None:
        assert known.ended is not None
        run.in_vain += 1
        ended = replace(known.ended, repeats=known.number, counts=False, seconds=0.0)
        trials.end(run.study, asked.trial, ended, known.values)
        return
    run.in_vain = 0
    run.under_way.append(Running(_started(run, asked, model), asked, model, parts(run.plan, model)))


def _started(run: _Run, asked: Asked, model: Model) -> Child:
    """Start a trial in a process of its own; raises InputError if that cannot be done."""
    number = asked.trial.number
    weights = run.place.weights / f"{number}.pt"
    if not weights.parent.is_dir():
        raise InputError(Mistake(f"the folder {quoted(weights.parent.name)} is gone; run again to go on without it"))
    if weights.exists():
        place = quoted(f"{weights.parent.name}/{weights.name}")
        what = f"{place} is in the place of the weights of trial {number}, which has not run yet"
        raise InputError(Mistake(f"{what}; allowed: move it, then run again to go on"))
    trials.writes(asked.trial)
    job = jobs.train(run.plan, model, run.place.folder, run.place.options.threads)
    mark: dict[str, str | int] = {"study": run.stored.identity, "trial": number, "digest": model.digest}
    try:
        return processes.start(run.context, replace(job, weights=str(weights), mark=mark))
    except OSError as error:
        why = error.strerror or error
        raise InputError(Mistake(f"no process can be started for a trial: {why}; run again to go on")) from error


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
    match event:
        case Measured():
            _measured(run, trial, event)
        case Trained():
            trial.epoch, trial.loss = event.epoch, event.loss
        case Reached():
            _reached(run, trial, event)
        case Done():
            _over(run, trial, None, achieved(trial.parts[0], run.plan.objectives))
        case Scored() | Foreseen():
            pass  # no trial tells it
        case Failed():
            refuse(event.reason)
            _lost(run, trial, of_trial(event.reason))


def refuse(reason: Reason) -> None:
    """Raise InputError for what no other trial could do better: the run ends, and this one is asked for again."""
    if reason.kind == "space":
        raise InputError(Mistake(f"no space left: {reason.text}; {RESUMES}"))
    if reason.kind == "files":
        raise InputError(Mistake(f"{reason.text}; what has ended is kept: run again to go on"))


def _measured(run: _Run, trial: Running, event: Measured) -> None:
    for place, samples in enumerate(event.samples):
        part = trial.parts[place]
        trial.parts[place] = replace(part, samples=(*part.samples, samples))
    allowed = budget(run.plan)
    took, limit = median(event.samples[0].samples_s), allowed.latency_s if allowed else None
    if limit is not None and took > limit:
        words = f"limits: latency {duration(took)}; allowed: {duration(limit)}"
        _lost(run, trial, Reason("limit", words, "latency"), counts=False)
        return
    trial.child.reply(processes.ON)


def _reached(run: _Run, trial: Running, event: Reached) -> None:
    scored = zip(trial.parts, (event.score, *event.columns), strict=True)
    trial.parts[:] = [replace(part, score=score) for part, score in scored]
    values, *columns = (achieved(part, run.plan.objectives) for part in trial.parts)
    others = [each for each in run.trials() if each.number != trial.asked.trial.number]
    trials.reach(trial.asked.trial, event.epoch, values, columns)
    if (reason := fallen_behind(run.plan, event.epoch, (values, *columns), others)) is None:
        trial.child.reply(processes.ON)
    else:
        _over(run, trial, reason, None)


def fallen_behind(
    plan: StudyPlan, epoch: int, values: Sequence[tuple[float, ...]], others: Sequence[trials.Trial]
) -> Reason | None:
    """Return why a trial ends at a rung, None if it goes on; values: of its networks there, the whole one first."""
    passed = [reached for each in others if (reached := each.reached(epoch))]
    share = plan.spec.study.search.share or halving.SHARE
    if epoch >= plan.spec.study.fit.stops()[-1] or halving.goes_on(values, passed, share):
        return None
    return Reason("pruned", f"at epoch {epoch} not among the best {percent(share)} of {len(passed) + 1} trials")


def _over(run: _Run, trial: Running, reason: Reason | None, values: Sequence[float] | None) -> None:
    trials.end(run.study, trial.asked.trial, _ended(run, trial, reason), values)
    _forget(run, trial)


def _lost(run: _Run, trial: Running, reason: Reason, *, counts: bool = True) -> None:
    trials.fail(run.study, trial.asked.trial, replace(_ended(run, trial, _visible(reason)), counts=counts))
    _forget(run, trial)


def _ended(run: _Run, trial: Running, reason: Reason | None) -> Ended:
    versions = {"archcost": __version__, "data": run.plan.fingerprint}
    return Ended(tuple(trial.parts), reason, seconds=trial.seconds, versions=versions)


def _forget(run: _Run, trial: Running) -> None:
    run.under_way.remove(trial)
    trial.child.end()


def _again(study: optuna.Study, trial: optuna.trial.Trial, seconds: float) -> None:
    """Ask for the point of a trial again and end it: one whose process is gone, and that has not ended before."""
    now = study._storage.get_trial(trial._trial_id)
    if now.state.is_finished():
        return
    # of one that was asked for and had not begun, the point is where it was asked for
    point = {**now.system_attrs.get("fixed_params", {}), **now.params}
    waiting = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,))
    if point and all(each.system_attrs.get("fixed_params") != point for each in waiting):
        study.enqueue_trial(point)  # before the end: who is killed in between asks for it again
    trials.fail(study, trial, Ended(reason=INTERRUPTED, counts=False, seconds=seconds))
