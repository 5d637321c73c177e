"""Confirming a front: members are trained alone with several seeds, and tested once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.context import ForkServerContext
from typing import Final

import optuna

from archcost.errors import visible
from archcost.latency.samples import Samples
from archcost.study import jobs
from archcost.study.options import Workplace
from archcost.study.phases import turns
from archcost.study.phases.elsewhere import measures_all
from archcost.study.phases.events import refuse
from archcost.study.phases.turns import Say
from archcost.study.plan import StudyPlan
from archcost.study.records import confirmed, open_trainings
from archcost.study.records.best.due import following
from archcost.study.records.confirmed import Again, Confirmed, Extent
from archcost.study.records.database.leases import Lease, held
from archcost.study.records.front import Candidate, File
from archcost.study.records.front import Front as Members
from archcost.study.records.reasons import Reason
from archcost.study.records.stored import network
from archcost.study.records.trials import remember, remembered
from archcost.study.release import seeds
from archcost.study.workers import processes
from archcost.study.workers.messages import Done, Failed, Quantised, Resumed, Scored, Trained
from archcost.study.workers.tasks import Train
from archcost.training.header import Checkpoint
from archcost.training.score import Score
from archcost.units import counted_words

_SEED: Final = "seed:"
_LONG: Final = 40  # networks on a front: to measure more by turns takes minutes in each way
_TICK_S: Final = 2.0  # who waits for others makes the front anew each time, with all its draws


def confirm(
    study: optuna.Study,
    plan: StudyPlan,
    place: Workplace,
    front: Callable[[], Members],
    contenders: Callable[[], Members],
    say: Say,
) -> tuple[str, ...]:
    """Confirm members of the front as far as the time allows, and keep what was found; return the names of those.

    contenders: of which front members are confirmed, as it is now, asked for anew after each one: who does worse when
    trained again may leave it, and who takes its place is confirmed too. front: what came of that. All its members are
    then measured by turns, those that are not confirmed too: only then are they comparable. If that changes the front,
    it begins again. What an earlier run has measured by turns is measured again if a new member comes, or if that is
    asked for. A network is confirmed when its seeds are trained; each of them looks at the test split once.
    """
    done: list[str] = []
    busy: list[str] = []  # what other processes train
    beside: dict[File, Candidate] = {}  # of each file one, all measured together
    while True:
        soon = contenders() if time.monotonic() < place.deadline else None
        over = _over(study, plan, soon) if soon else ()
        candidate = following(soon, [*over, *done, *busy], plan.spec.study.confirm.members) if soon else None
        now = front()
        beside |= _measured_since(study, place, now)
        alone = {file: each for file, each in _comparable(now).items() if file not in beside}
        waits = candidate is not None and not _mine(study, plan, place, candidate)
        if candidate is not None and not waits:
            (done if _seeds(study, plan, place, candidate, say) else busy).append(candidate.network)
        elif waits and _others(place, "trains"):
            time.sleep(_TICK_S)
        elif soon and (busy or place.team.leases.living(_SEED)):
            time.sleep(_TICK_S)
            busy = [each for each in busy if place.team.leases.living(f"{_SEED}{each}:")]
        elif not alone or not _by_turns(study, plan, place, (beside, alone), now, say):
            break
    if beside and not alone and turned(study).number == place.turned:
        say("latencies stand as they were measured by turns in an earlier run")
    return tuple(done)


def _over(study: optuna.Study, plan: StudyPlan, soon: Members) -> tuple[str, ...]:
    """Return the members of which nothing is left to confirm."""
    every = {each.network: each for each in soon.members if each.standing}
    return tuple(name for name, each in every.items()
                 if not _found(study, plan, each).missing(plan.spec.study.confirm.seeds))  # fmt: skip


def _comparable(now: Members) -> dict[File, Candidate]:
    """Return the members to measure by turns: all, if one is confirmed; of a front that is long the confirmed ones."""
    sure = {each.file: each for each in now.members if each.standing}
    every = {each.file: each for each in now.members}
    return every if sure and len(every) <= _LONG else sure


def _mine(study: optuna.Study, plan: StudyPlan, place: Workplace, candidate: Candidate) -> bool:
    """Return whether a process confirms a network, or finds it done: if it does not train, others do that."""
    found = _found(study, plan, candidate)
    return place.options.trains or not found.missing(plan.spec.study.confirm.seeds) or found.reason is not None


def _by_turns(
    study: optuna.Study,
    plan: StudyPlan,
    place: Workplace,
    members: tuple[dict[File, Candidate], Mapping[File, Candidate]],
    now: Members,
    say: Say,
) -> bool:
    """Measure members by turns, or wait a moment for who does; return whether that can be done.

    members: those that were measured together, to which come those that were not.
    """
    beside, alone = members
    if not measures_all(plan, place.options):
        if not _others(place, "all"):
            say(f"{counted_words(len(alone), 'network')} not measured again: no process has every target")
            return False
        time.sleep(_TICK_S)
        return True
    with measuring(place) as lease:
        if lease is None:  # another process measures them
            return True
        beside |= alone
        return _turns(study, plan, place, beside, now, say)


@contextmanager
def measuring(place: Workplace) -> Iterator[Lease | None]:
    """Be the one process inside the context that measures networks by turns, or wait a moment for the one that does."""
    with held(place.team.leases, "turns") as lease:
        if lease is None:
            time.sleep(_TICK_S)
        yield lease


def _others(place: Workplace, what: str) -> bool:
    """Return whether another process trains, or measures on all targets."""
    return any(each.about.get(what) for each in place.team.others())


@dataclass(frozen=True, slots=True)
class Turned:
    """How often members were measured by turns, and which files the last time, as text."""

    number: int = 0
    files: tuple[str, ...] = ()


def turned(study: optuna.Study) -> Turned:
    """Return what is kept of measuring by turns."""
    said = remembered(study, "turned") or {}
    return Turned(int(said.get("number", 0)), tuple(map(str, said.get("files", ()))))


def _measured_since(study: optuna.Study, place: Workplace, now: Members) -> dict[File, Candidate]:
    """Return the members that were measured by turns the last time; if all shall be anew, since this run began."""
    last = turned(study)
    if place.options.anew and last.number <= place.turned:
        return {}
    return {each.file: each for each in now.members if str(each.file) in last.files}


def _seeds(
    study: optuna.Study,
    plan: StudyPlan,
    place: Workplace,
    candidate: Candidate,
    say: Say,
) -> bool:
    """Train a network with every seed that it was not yet trained with, as long as the time allows.

    Return whether no other process trains it too.
    """
    missing = _found(study, plan, candidate).missing(plan.spec.study.confirm.seeds)
    if not missing or time.monotonic() >= place.deadline or not place.options.trains:
        return True
    name, team = candidate.network, place.team
    with ExitStack() as leases:
        mine: dict[int, Lease] = {}
        for seed in missing:
            if (lease := leases.enter_context(held(team.leases, f"{_SEED}{name}:{seed}"))) is not None:
                mine[seed] = lease
        # those that others have ended meanwhile are not trained again
        missing = tuple(each for each in _found(study, plan, candidate).missing(max(missing)) if each in mine)
        if missing:
            say(f"confirming {name} with {counted_words(len(missing), 'seed')}")
            _train(study, plan, place, candidate, {seed: mine[seed] for seed in missing}, say)
    return not team.leases.living(f"{_SEED}{name}:")


def _found(study: optuna.Study, plan: StudyPlan, candidate: Candidate) -> Confirmed:
    return (confirmed.confirmed(study, candidate.network) or Confirmed()).with_extent(plan.extent)


def _train(
    study: optuna.Study,
    plan: StudyPlan,
    place: Workplace,
    candidate: Candidate,
    mine: Mapping[int, Lease],
    say: Say,
) -> None:
    """Train a network with seeds whose leases this process has, and keep what each gives."""
    model, name, missing = network(candidate), candidate.network, tuple(mine)
    kept = [_kept(study, place, candidate, seed, plan.extent) for seed in missing]
    threads = place.options.threads
    again = [_able(candidate, jobs.confirm(plan, model, place.folder, seed, threads)) for seed in missing]
    with place.team.alone():
        again = [seeds.kept(study, place.weights, candidate, *each) for each in zip(missing, again, strict=True)]
    every = [replace(job, keep=each) for job, each in zip(again, kept, strict=True)]
    ended: list[Reason] = []
    for each in kept:
        if place.mirror is not None:
            place.mirror.fetch(each.path)
    for number, gave in _trained(processes.server(), every, place, lambda words: say(f"{name}: {words}")):
        seed = missing[number]
        with place.team.alone():
            if place.team.dropped(mine[seed], "the scores"):
                continue
            found = replace(_found(study, plan, candidate), reason=ended[-1] if ended else None)
            if isinstance(gave, Reason):
                ended.append(gave)
                found = replace(found, reason=gave)
                say(f"{name}: {gave.text}")
            else:
                found = found.repeated(seed, gave.scores["validation"], gave.scores.get("test"), gave.ways)
            confirmed.keep(study, name, found)
        if not isinstance(gave, Reason) or gave.kind != "time":
            open_trainings.remove(kept[number])
            if place.mirror is not None:
                place.mirror.push(every[number].weights)
                place.mirror.discard(kept[number].path)


def _able(candidate: Candidate, job: Train) -> Train:
    """Return a job that quantises for the ways alone in which the network's trial had a point, with its layers."""
    if job.quantise is None:
        return job
    ways = candidate.kept.ways
    able = tuple(pair for pair in job.quantise.ways if ways[pair[0]].reason is None)
    layers = tuple((number, (ways[number].float_layers,)) for number, _ in able)
    return replace(job, quantise=replace(job.quantise, ways=able, layers=layers) if able else None)


def _kept(study: optuna.Study, place: Workplace, candidate: Candidate, seed: int, extent: Extent) -> Checkpoint:
    assert candidate.trial.begun is not None
    owner, identity = str(remembered(study, "identity") or ""), candidate.trial.begun.identity
    return open_trainings.place(place.weights, owner, identity, candidate.part.column, seed, extent)


def _turns(
    study: optuna.Study,
    plan: StudyPlan,
    place: Workplace,
    beside: Mapping[File, Candidate],
    front: Members,
    say: Say,
) -> bool:
    """Measure networks by turns in every way of the study; return whether all could be.

    beside: by their files; what one gives holds for every network of its file.
    """
    for number, way in enumerate(plan.setups):
        able = {file: each for file, each in beside.items() if number not in each.kept.skipped}
        say(f"measuring {counted_words(len(able), 'network')} by turns {turns.where(plan, way)}")
        job = turns.measuring(plan, number, list(able.values()))
        samples, why = turns.measured(processes.server(), job, place, say)
        taken: dict[File, Samples | None] = dict.fromkeys(beside.keys() - able.keys())
        taken.update(zip(able, samples, strict=False))
        members = {each.network for each in front.members}
        networks = {each.network: each.file for each in (*front.members, *front.others)}
        with place.team.alone():
            for name, file in networks.items():
                found = confirmed.confirmed(study, name) or (Confirmed() if name in members else None)
                if file in taken and found:
                    confirmed.keep(study, name, found.measured(number, taken[file]))
        if why:
            say(f"not measured again: {why}")
            return False
    kept = Turned(turned(study).number + 1, tuple(sorted(map(str, beside))))
    remember(study, "turned", asdict(kept))
    return True


@dataclass
class _Gave:
    """What a seed gave so far: scores by split, and as it is quantised for ways, by their numbers."""

    scores: dict[str, Score] = field(default_factory=dict)
    ways: dict[int, Again] = field(default_factory=dict)

    def take(self, event: Quantised) -> None:
        """Keep a score in 8 bits."""
        held = self.ways.get(event.way, Again((None,), (None,)))
        key = {"validation": "scores", "test": "tests"}[event.split]
        self.ways[event.way] = replace(held, **{key: (event.score,)}, reason=held.reason or event.reason)


def _trained(
    context: ForkServerContext, every: Sequence[Train], place: Workplace, say: Say
) -> Iterator[tuple[int, _Gave | Reason]]:
    """Yield the scores of every job when it ends, or why there are none; several at a time.

    What is under way when the time is over is ended, if its epoch does not end soon, and goes on in another run.
    """
    gave = [_Gave() for _ in every]
    left = set(range(len(every)))
    for number, event in turns.told(context, every, place):
        match event:
            case Resumed():
                if event.note:
                    say(event.note)
            case Trained() if event.kept and place.mirror is not None:
                keep = every[number].keep
                place.mirror.push(keep.path if keep else "")
            case Scored():
                gave[number].scores[event.split] = event.score
            case Quantised():
                gave[number].take(event)
            case Done():
                left.remove(number)
                yield number, gave[number]
            case Failed():
                refuse(event.reason)
                left.remove(number)
                yield number, replace(event.reason, text=visible(event.reason.text))
            case _:
                pass
    for number in sorted(left):
        yield number, Reason("time", "the time was over")
