"""A whole study: its storage is made or found, points are tried, the front is confirmed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import optuna
from optuna.storages import RDBStorage

from archcost import scratch
from archcost.errors import ArchcostError, InputError, Mistake, TargetError, quoted, visible
from archcost.study import jobs
from archcost.study.code import digests, neighbours
from archcost.study.objectives import quantity_of, worst
from archcost.study.options import Options, Role, Workplace
from archcost.study.phases import confirm, search_loop, shortlist
from archcost.study.phases.elsewhere import check as check_targets
from archcost.study.phases.elsewhere import measures_all
from archcost.study.phases.limits import budget
from archcost.study.phases.search_loop import ENDS, End
from archcost.study.phases.state import State, Watch
from archcost.study.plan import StudyPlan
from archcost.study.records import open_trainings, weights_folder
from archcost.study.records.confirmed import SEARCHED
from archcost.study.records.database import locks, storage
from archcost.study.records.database.addresses import Address
from archcost.study.records.database.leases import held
from archcost.study.records.database.locks import Hold
from archcost.study.records.database.team import TRIAL, Team, joined
from archcost.study.records.front import Candidate, Front
from archcost.study.records.interruption import recover
from archcost.study.records.mirror import Mirror, mirror
from archcost.study.records.reasons import alike
from archcost.study.records.stored import SCHEMA, WAYS, Stored, described, find, running
from archcost.study.records.trials import remember, remembered
from archcost.study.release import seeds
from archcost.study.warm_start import queue
from archcost.units import counted_words
from archcost.version import __version__

if TYPE_CHECKING:
    from archcost.data.splits import Dataset

_MARGIN: Final = 0.1  # the reference is a tenth behind the worst of the first trials
_FIRST: Final = 10


@contextmanager
def begun(plan: StudyPlan, address: Address) -> Iterator[Stored]:
    """Yield the study of a plan, made if there is none, and close its storage at the end.

    Raises InputError if the storage has another one.
    """
    store = storage.opened(address, lambda made: _create(plan, made))
    try:
        stored = described(storage.find(store), address)
        _refuse_other(plan, stored)
        if plan.code is not None:
            if not plan.code_changed:
                digests.refuse_changed(stored.study, plan.code.files)
            digests.keep(running(stored), plan.code.files)
        if not stored.identity:  # archcost 0.1.0 made it
            remember(running(stored), "identity", uuid4().hex)
        yield stored
    finally:
        storage.close(store)


def _create(plan: StudyPlan, made: RDBStorage) -> None:
    """Make the study of a plan in a storage that has none."""
    study = optuna.create_study(study_name=plan.spec.name, storage=made, directions=["minimize"] * len(plan.objectives))
    with warnings.catch_warnings():  # experimental since 3.2: names for optuna-dashboard, nothing here needs them
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(plan.labels))
    about: dict[str, Any] = {"schema": SCHEMA, "archcost": __version__, "name": plan.spec.name,
                             "objectives": plan.objectives, "labels": plan.labels, "same": plan.fixed}  # fmt: skip
    if plan.names_ways:
        about |= {"schema": WAYS, "ways": [asdict(each) for each in plan.ways]}
    remember(study, "identity", uuid4().hex)
    remember(study, "about", about)  # last: by it a study is recognised


def _refuse_other(plan: StudyPlan, stored: Stored) -> None:
    """Raise InputError if a storage's study is another one than a plan's."""
    if changed := stored.changed(plan.fixed):
        raise InputError(
            Mistake(
                f"{', '.join(map(quoted, changed))} of the study changed since {quoted(str(stored.address))} was made; "
                "allowed: another 'storage', into which 'archcost study import' carries its trials over, "
                "or the study as it was (trials, time, share and confirm may change)"
            )
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: what its storage then held, and why it stopped asking for points."""

    stored: Stored
    end: End

    @property
    def why(self) -> str:
        """Why it stopped, in words."""
        return ENDS[self.end]


def check(address: Address) -> None:
    """Raise InputError if a study cannot be run at an address, before anything is made there or beside it."""
    if storage.check(address):
        find(address)
    else:
        weights_folder.check(address)


def explore(
    plan: StudyPlan,
    dataset: Dataset,
    address: Address,
    options: Options,
    watch: Watch,
    say: Callable[[str], None],
) -> Outcome:
    """Run a study to its end; its address was checked before.

    Raises InputError if another process runs it, its storage is another study's, or its files are gone.
    """
    check_targets(plan, options)
    with _held(address, options) as hold, begun(plan, address) as stored, _team(stored, plan, options) as team:
        for note in filter(None, (hold.note, team.note)):
            say(note)
        _agree(stored, team, options.role)
        with _workplace(stored, dataset, options, team, _second(plan)) as place:
            _begin(stored, plan, place, dataset, say)
            settle, remains = _reference(stored, plan, team), storage.remaining(address)

            def watched(state: State) -> None:
                hold.check()
                remains()
                settle()
                watch(state)

            end = search_loop.search(stored, plan, place, watched, say)
            hold.check()
            settle(1)
            _confirm(stored, plan, place, dataset, say)
            remains()
            with held(team.leases, "weights") as lease:
                if lease is not None and not team.leases.living(TRIAL):
                    _tidied(stored, plan, place, end)
        return Outcome(stored.frozen(), end)


def _begin(stored: Stored, plan: StudyPlan, place: Workplace, dataset: Dataset, say: Callable[[str], None]) -> None:
    """Take up what was left by others, and enqueue known networks."""
    team = place.team
    if not team.others():
        open_trainings.tidy(place.weights)
    for line in _missing(stored):
        say(line)
    if lost := recover(stored, place.weights, team):
        say(f"interrupted before: {counted_words(lost, 'trial')}, to be tried again")
    with team.alone():
        _tested(stored, plan, dataset)
        if known := queue.begin(running(stored), plan):
            say(f"first: {counted_words(known, 'known network')}")


def _held(address: Address, options: Options) -> AbstractContextManager[Hold]:
    """Be the one process that runs a study inside the context; a worker is one of several."""
    return locks.running(address) if options.role == "run" else locks.beside(address)


def _team(stored: Stored, plan: StudyPlan, options: Options) -> AbstractContextManager[Team]:
    about = {"role": options.role, "trains": options.trains, "measures": options.measures,
             "all": measures_all(plan, options)}  # fmt: skip
    return joined(stored.address, storage.engine_of(running(stored)), about)


def agreed(stored: Stored, plan: StudyPlan, options: Options) -> None:
    """Keep with which versions a study is worked on from now on; raises InputError as `explore` does if it cannot."""
    with _team(stored, plan, options) as team:
        _agree(stored, team, options.role)


def _agree(stored: Stored, team: Team, role: Role) -> None:
    """Keep with which versions a study is worked on; raises InputError if this process has others than those beside it.

    A run that is alone may go on with others: only then are all trials that follow of one kind.
    """
    here = {"archcost": __version__, "torch": version("torch")}
    with team.alone():
        kept = remembered(stored.study, "versions")
        if kept == here:
            return
        if kept is None or (role == "run" and not team.others()):
            remember(running(stored), "versions", here)
            return
    each = ", ".join(f"{name} {here[name]} is not {kept.get(name)}" for name in here if here[name] != kept.get(name))
    allowed = f"the same versions in all processes, or 'archcost study run' alone to go on with {__version__}"
    raise InputError(Mistake(f"{each}, with which {quoted(str(stored.address))} is worked on; allowed: {allowed}"))


def _tidied(stored: Stored, plan: StudyPlan, place: Workplace, end: End) -> None:
    """Remove the weights and checkpoints that nobody asks for again."""
    _prune_weights(stored, place.weights, place.mirror)
    wanted = place.options.trials >= plan.spec.study.search.trials
    if end != "time" and time.monotonic() < place.deadline and wanted:
        open_trainings.clear(place.weights, stored.identity)  # nobody asks for those points again
    keep = (plan.spec.study.confirm.keep, plan.spec.study.confirm.seeds)
    before = list(place.weights.glob("*.seed*.pt"))
    seeds.settle(running(stored), place.weights, stored.front(), stored.objectives, keep)
    for file in before:
        if place.mirror is not None and not file.exists():
            place.mirror.discard(file)


@contextmanager
def _workplace(
    stored: Stored, dataset: Dataset, options: Options, team: Team, place: str | None
) -> Iterator[Workplace]:
    from archcost.data import shared  # noqa: PLC0415  # loads torch

    with team.alone():  # of several that begin at once, one marks the folder
        beside = weights_folder.prepared(stored)
    with scratch.folder() as folder:
        shared.write(dataset, folder / jobs.DATA)
        if place is not None:
            remember(running(stored), "weights", place)
        # what was measured by turns before a run is measured again; a worker takes it as it is
        turned = confirm.turned(running(stored)).number if options.role == "run" else 0
        second = mirror(place, beside, stored.name, stored.identity)
        yield Workplace(options, time.monotonic() + options.time_s, folder, beside, team, turned, second)


def _second(plan: StudyPlan) -> str | None:
    """Return the second place of a study's weights: a folder is relative to that of its file, here or at a URL."""
    given = plan.spec.study.weights
    if given is None or "://" in given:
        return given
    if plan.spec.url:
        return neighbours.joined(plan.spec.url, given)
    return str((Path(plan.spec.source.file).parent / given).resolve())


def _missing(stored: Stored) -> Iterator[str]:
    """Yield which networks of the front have lost the weights that were kept of them."""
    file_of = weights_folder.files(stored)
    lost = [each.name for each in stored.front().members if not file_of(each.trial)[0].is_file()]
    if lost:
        folder = weights_folder.folder_of(stored.address, stored.name, stored.identity)
        yield f"no weights in {quoted(folder.name)} of {', '.join(lost)}: moved, or removed, since they were trained"


def _tested(stored: Stored, plan: StudyPlan, dataset: Dataset) -> None:
    """Keep which test split a study is confirmed on, of which nothing else is known before; the same from its start on.

    Raises InputError if it is another one now.
    """
    from archcost.data.splits import fingerprint  # noqa: PLC0415  # loads torch

    if not plan.spec.study.confirm.members or not dataset.tested or dataset.loose:
        return
    now, kept = fingerprint(dataset.read_test()), remembered(stored.study, "test")
    if kept is None:
        remember(running(stored), "test", now)
    elif kept != now:
        given = f"the test split of {dataset.source} has changed since the study began: fingerprint {now[:12]}"
        raise InputError(Mistake(f"{given}; allowed: {kept[:12]}, or another 'storage'"))


def _reference(stored: Stored, plan: StudyPlan, team: Team) -> Callable[..., None]:
    """Return what keeps the reference point as soon as it can be told, once for the whole study."""

    def settle(least: int = _FIRST) -> None:
        if stored.reference is not None:
            return
        found = stored.candidates()
        if len(found) >= least:
            ends = [_end(stored, plan, i, found) for i in range(len(stored.objectives))]
            with team.alone():
                if stored.reference is None:  # another process may have been faster
                    remember(running(stored), "reference", ends)

    return settle


def _end(stored: Stored, plan: StudyPlan, place: int, found: tuple[Candidate, ...]) -> float:
    """Return the far end of one objective: what guessing gives, a limit, or a tenth behind the worst so far."""
    name = stored.objectives[place][0]
    quantity, allowed = quantity_of(name), budget(plan)
    limits = allowed.limits() if allowed else {}
    if name in limits:
        return quantity.stored(limits[name])
    if (natural := worst(name, plan.gives.classes)) is not None:
        return quantity.stored(natural)
    return quantity.beyond(max(each.values[place] for each in found), _MARGIN)


def _confirm(stored: Stored, plan: StudyPlan, place: Workplace, dataset: Dataset, say: Callable[[str], None]) -> None:
    from archcost.data import shared  # noqa: PLC0415  # loads torch

    _shortlisted(stored, plan, place, say)
    if not plan.spec.study.confirm.members or time.monotonic() >= place.deadline or not stored.front().members:
        return
    if dataset.tested and not dataset.loose:
        shared.write_test(dataset, place.folder / jobs.TEST)
    if plan.extent != (stored.asked or SEARCHED):
        remember(running(stored), "extent", asdict(plan.extent))
    if plan.extent.examples:
        remember(running(stored), "examples", plan.examples)
        remember(running(stored), "kind", plan.gives.kind)
        shared.write(_more(plan), place.folder / jobs.MORE)

    def contenders() -> Front:
        _shortlisted(stored, plan, place, say)
        return stored.contenders()

    confirm.confirm(running(stored), plan, place, stored.front, contenders, say)


def _shortlisted(stored: Stored, plan: StudyPlan, place: Workplace, say: Callable[[str], None]) -> None:
    """Measure who may enter the front, if no other process does it now; what it has measured is then known."""
    if not plan.predicts or not measures_all(plan, place.options):
        return
    with confirm.measuring(place) as lease:
        if lease is not None:
            shortlist.measure(stored, plan, place, say)


def _more(plan: StudyPlan) -> Dataset:
    """Return the data that members are confirmed with; raises InputError if they changed since the run began."""
    from archcost.study.phases.examples import extended  # noqa: PLC0415  # loads torch

    found = extended(plan.spec, plan.extent.examples)
    if found.fingerprint != plan.extent.data:
        given = f"the data of {found.source} have changed since the run began: fingerprint {found.fingerprint[:12]}"
        raise InputError(Mistake(f"{given}; allowed: {plan.extent.data[:12]}, or to run the study again"))
    return found


def _prune_weights(stored: Stored, folder: Path, second: Mirror | None) -> None:
    """Remove the weights of trials that have no network on the front: they would only fill the disk.

    Only files are removed that the study says it has written, and that say so themselves.
    """
    from archcost.nets.weights import marked  # noqa: PLC0415  # loads torch

    wanted = {each.trial.number for each in stored.front().members}
    there = second.names() if second is not None else ()
    for each in stored.trials():
        file = folder / f"{each.number}.pt"
        mark: dict[str, str | int] = {"study": stored.identity, "trial": each.number}
        if each.number not in wanted and each.writes:
            if second is not None and file.name in there:
                second.discard(file)
            if file.is_file() and marked(file, mark):
                file.unlink(missing_ok=True)


def vain(outcome: Outcome, most: int) -> Iterator[str]:
    """Yield why no trial of a study is complete: a line for each kind of reason, the most frequent first."""
    reasons = alike(each.reason for each in outcome.stored.trials() if each.reason)
    for words, count in reasons[:most]:
        yield f"no trial is complete: {count} x {visible(words)}"
    if left := sum(count for _, count in reasons[most:]):
        yield f"no trial is complete: {left} x others; 'archcost study table' has all"


def failure(outcome: Outcome) -> type[ArchcostError] | None:
    """Return what a study without a complete trial is: the target's failure if trials ran and all failed.

    The input's if nothing in the space could be tried at all; None if neither is known, as after a short time.
    """
    ran = [each for each in outcome.stored.trials() if each.counts]
    if ran:
        return TargetError if all(each.state == "failed" for each in ran) else None
    return InputError if outcome.end == "exhausted" else None
