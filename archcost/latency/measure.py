"""From a network and a request to raw seconds, or to why there are none."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from archcost.errors import InputError, Mistake, TargetError
from archcost.graph.dtypes import INT8
from archcost.latency import runtimes, targets
from archcost.latency.lock import held
from archcost.latency.runtimes import Source
from archcost.latency.samples import Failure, Plan, Samples, Way, way
from archcost.latency.targets import Facts, Target
from archcost.machine import available_memory_bytes, shortage
from archcost.units import grouped

Progress: TypeAlias = Callable[[str], AbstractContextManager[object]]
"""Told what begins; the context lasts as long as that does. `nullcontext` shows nothing."""


DEPLOYED: Final = "onnxruntime"
"""What is measured beside eager if nobody says what to measure: what people deploy with."""

_MOST_EXPORTED: Final = 1000  # operators; one takes torch's exporter 20 to 60 ms

TIME_S: Final = 10.0
"""The longest time for one measurement if none is asked for; what nobody asked for is measured within it too."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to find out about a network: each combination of the tuples is one latency, also if it stands twice.

    No `runtimes`: eager, onnxruntime if an ONNX file is among the networks or int8 among the dtypes; no `dtypes`: the
    network's own, float32 for one of a family; no `threads`: the target's physical cores; no `time_s`: TIME_S. columns:
    of a fractal network, each column alone too, by turns with the whole; beside: if no runtimes are asked for, whether
    what people deploy with is measured beside eager, in the same time; layer_times: whether each layer is timed too.
    """

    targets: tuple[str, ...] = ("cpu",)
    runtimes: tuple[str, ...] = ()
    batches: tuple[int, ...] = (1,)
    dtypes: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    precision: float = 0.02
    time_s: float | None = None
    cold_cache: bool = False
    latency: bool = True
    witness: bool = True
    columns: bool = False
    beside: bool = False
    layer_times: bool = False

    def plans(self, own_dtype: str = "float32", default_threads: int = 1) -> tuple[Plan, ...]:
        """Return how to measure, one plan for each combination; raises InputError for values that cannot be."""
        each = itertools.product(self.batches, self.dtypes or (own_dtype,), self.threads or (default_threads,))
        time_s = TIME_S if self.time_s is None else self.time_s
        return tuple(
            Plan(batch, dtype, n, self.precision, time_s, cold_cache=self.cold_cache)
            for batch, dtype, n in dict.fromkeys(each)
        )

    def settings(self, own_dtype: str = "float32") -> tuple[tuple[int, str], ...]:
        """Return every batch and dtype asked for, each pair once."""
        return tuple(dict.fromkeys((plan.batch, plan.dtype) for plan in self.plans(own_dtype)))


class Subject(NamedTuple):
    """What is measured: the call at a plan's batch, and the bytes it needs there; step: of a sequence, one step.

    own_runtime: what runs it if none is asked for; operators: how many one call of it has, None if it shall not be
    exported unasked.
    """

    source: Callable[[Plan], Source]
    needed_bytes: Callable[[Plan], int]
    own_dtype: str = "float32"
    step: Subject | None = None
    own_runtime: str = "eager"
    operators: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A target that was asked for, with what it says of itself, or why it cannot be measured on."""

    target: Target
    facts: Facts | None
    why_not: str = ""

    @property
    def here(self) -> bool:
        """Whether it was reached and can be measured on."""
        return self.facts is not None and not self.why_not

    def plans(self, request: Request, own_dtype: str) -> tuple[Plan, ...]:
        """Return the plans for this target, whose threads are its own if none are asked for."""
        return request.plans(own_dtype, self.facts.threads if self.facts else 1)


def places(request: Request) -> tuple[Place, ...]:
    """Return the targets that were asked for, none if nothing is measured.

    Raises InputError for a target, a runtime or a value that cannot be, and for more threads than a target has CPUs.
    """
    request.plans()
    for runtime in request.runtimes:
        runtimes.check(runtime, request.dtypes)
    found = [targets.find(name) for name in dict.fromkeys(request.targets)]
    if not (request.latency or request.threads):
        return ()  # nothing is measured: the machine need not be looked at, which takes as long as a count
    return tuple(_place(target, request) for target in found)


def _place(target: Target, request: Request) -> Place:
    try:
        facts = target.describe()
    except TargetError as error:
        return Place(target, None, str(error))
    if request.threads and (most := max(request.threads)) > facts.cpus:
        allowed = f"1 to {facts.cpus}, the CPUs of target '{target.name}'"
        raise InputError(Mistake(f"given {most}; allowed: {allowed}", ("threads",)))
    return Place(target, facts, facts.why_not)


class Measured(NamedTuple):
    """The samples of one way to measure, in the order of the subjects, or why there are none; asked: for this way."""

    samples: tuple[Samples, ...]
    failure: Failure | None = None
    asked: bool = True


def all_measured(
    subjects: Sequence[Subject],
    request: Request,
    where: Sequence[Place],
    progress: Progress,
    *,
    only: Collection[Way] | None = None,
) -> tuple[Measured, ...]:
    """Return what every combination of target, runtime and plan gave; several subjects take turns in each.

    only: the ways that are wanted.
    """
    found: list[Measured] = []
    for place, run in [(each, run) for each in where for run in _runs(subjects, request, each)]:
        asked = way(place.target.name, run.runtime, run.plan)
        if only is not None and asked not in only:
            continue
        failed = [each.failure.way for each in found if each.failure]
        if not run.asked and replace(asked, runtime="eager") in failed:
            continue  # what eager cannot do, such as fit into memory, is said once
        try:
            _refuse_long_export(subjects, run)
            found.append(Measured(measured(subjects, place, run.runtime, run.plan, progress), asked=run.asked))
        except TargetError as error:
            known = asked if place.here or request.threads else replace(asked, threads=None)
            found.append(Measured((), Failure(known, str(error)), run.asked))
    return tuple(found)


class _Run(NamedTuple):
    """One measurement that is to be made; asked: whether its runtime was asked for, or is eager."""

    runtime: str
    plan: Plan
    asked: bool = True


def _runs(subjects: Sequence[Subject], request: Request, place: Place) -> Iterator[_Run]:
    """Yield what is measured at a place: each runtime asked for, else the networks' own and what is deployed with.

    Those two share the time if none is asked for: each has half of it, in which the export is.
    """
    plans = place.plans(request, subjects[0].own_dtype)
    own = own_runtime(request, subjects)
    beside = request.beside and own == "eager" and place.here and all(each.operators is not None for each in subjects)
    if request.runtimes or not beside:
        names = dict.fromkeys(request.runtimes or (own,))
        yield from (_Run(name, plan) for name in names for plan in plans)
        return
    deployed = [plan for plan in plans if place.target.deploys and plan.dtype == "float32"]
    shared = request.time_s is None and _exported(subjects) <= _MOST_EXPORTED
    for plan in plans:
        yield _Run(own, replace(plan, time_s=plan.time_s / 2) if shared and plan in deployed else plan)
    for plan in deployed:
        half = replace(plan, time_s=plan.time_s / 2, export_in_time=True)
        yield _Run(DEPLOYED, half if shared else plan, asked=False)


def _exported(subjects: Sequence[Subject]) -> int:
    return sum(each.operators or 0 for each in subjects)


def _refuse_long_export(subjects: Sequence[Subject], run: _Run) -> None:
    """Raise TargetError if an export that nobody asked for would take more than a minute or so."""
    if not run.asked and (count := _exported(subjects)) > _MOST_EXPORTED:
        words = f"exporting {grouped(count)} operators may take minutes, so that it waits until it is asked for"
        raise TargetError(f"{words}: --runtime {run.runtime}")


def own_runtime(request: Request, subjects: Sequence[Subject] = ()) -> str:
    """Return what runs all subjects if no runtime is asked for.

    It is eager, or what int8 or one of them needs that eager does not run, and the others bear.
    """
    if INT8 in request.dtypes:
        return runtimes.QUANTISING[0]
    return next((each.own_runtime for each in subjects if each.own_runtime != "eager"), "eager")


def measured(
    subjects: Sequence[Subject], place: Place, runtime: str, plan: Plan, progress: Progress
) -> tuple[Samples, ...]:
    """Return the raw seconds of subjects that take turns; raises TargetError if they do not fit or cannot run."""
    found = runtimes.find(runtime)
    if place.target.gpu and found.processors_only:  # said first: no GPU would help
        raise TargetError(runtimes.PROCESSORS_ONLY)
    doing = "measuring on" if runtime == "eager" else "preparing, then measuring on"  # others export or compile first
    what = f"{doing} {way(place.target.name, runtime, plan)}"
    with having(subjects, place, plan, what, progress) as sources:
        return place.target.measure(sources, found, plan)


@contextmanager
def having(
    subjects: Sequence[Subject], place: Place, plan: Plan, what: str, progress: Progress
) -> Iterator[list[Source]]:
    """Yield what runs of subjects while nobody else measures at a place; what: is told to begin.

    Raises TargetError if it is not here, or they do not fit together.
    """
    target = place.target
    if place.facts is None or place.why_not:
        raise TargetError(place.why_not)
    # on the processor from now, not from when the target was described: what was built since is in memory
    free = available_memory_bytes() if place.facts.memory_bytes and target.lock == "cpu" else place.facts.memory_bytes
    needed = sum(subject.needed_bytes(plan) for subject in subjects)
    if short := shortage(needed, free):
        raise TargetError(short)
    sources = [subject.source(plan) for subject in subjects]
    others = (partial(waiting, target.name, progress, doing) for doing in ("measures", "trains"))
    with held(target.lock, *others) if target.lock else nullcontext(), progress(what):
        yield sources


def waiting(target: str, progress: Progress, doing: str, holder: int | None) -> AbstractContextManager[object]:
    """Return what shows that `holder`, None if not known, has a target's lock, as `lock.held` asks for it."""
    who = "another thread" if holder == os.getpid() else f"process {holder}" if holder else "another process"
    return progress(f"waiting: {who} {doing} on {target}")
