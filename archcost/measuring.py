"""From a network and a request to raw seconds: everything asked for is checked, built and measured, or says why not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from archcost import runtimes, targets
from archcost.cost import BYTES, count, peak_bytes
from archcost.errors import InputError, Mistake, TargetError
from archcost.measured import Plan, Samples, summarise
from archcost.read import Model
from archcost.recipe import Recipe
from archcost.runtimes import Source
from archcost.sparse import pairs
from archcost.targets.cpu import available_memory_bytes, physical_cores
from archcost.units import data_size, duration, percent

if TYPE_CHECKING:
    from archcost.counting import Module
    from archcost.graph import Graph
    from archcost.nets import Net

Progress: TypeAlias = Callable[[str], AbstractContextManager[object]]
"""Told what begins; the context lasts as long as that does."""


def silent(_: str) -> AbstractContextManager[object]:
    """Show no progress."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Request:
    """What to find out about a network: each combination of the tuples is one latency.

    No `dtypes`: the network's own, float32 for one of a family; no `threads`: all physical cores.
    """

    targets: tuple[str, ...] = ("cpu",)
    runtimes: tuple[str, ...] = ("eager",)
    batches: tuple[int, ...] = (1,)
    dtypes: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    precision: float = 0.02
    time_s: float = 10.0
    latency: bool = True
    witness: bool = True

    def plans(self, own_dtype: str = "float32") -> tuple[Plan, ...]:
        """Return how to measure, one plan for each combination; raises InputError for values that cannot be."""
        threads = self.threads or ((physical_cores(),) if self.latency else (1,))
        each = itertools.product(self.batches, self.dtypes or (own_dtype,), threads)
        return tuple(Plan(batch, dtype, n, self.precision, self.time_s) for batch, dtype, n in each)

    def settings(self, own_dtype: str = "float32") -> tuple[tuple[int, str], ...]:
        """Return every batch and dtype asked for, each pair once."""
        return tuple(dict.fromkeys((plan.batch, plan.dtype) for plan in self.plans(own_dtype)))


class Subject(NamedTuple):
    """What is measured: the call at a plan's batch, and the bytes it needs there."""

    source: Callable[[Plan], Source]
    needed_bytes: Callable[[Plan], int]
    own_dtype: str = "float32"


def of_net(graph: Graph, net: Net) -> Subject:
    """Return how a built network is measured."""
    from archcost.nets import example  # loads torch

    return Subject(
        lambda plan: Source(net, (example(graph, plan.batch, seed=plan.seed),)),
        lambda plan: peak_bytes(graph, plan.batch, BYTES[plan.dtype]),
    )


def of_module(module: Module, own_dtype: str) -> Subject:
    """Return how a counted module is measured: in its own dtype as it is, in another as a copy that is cast."""
    peaks = {(account.batch, account.dtype): account.peak_bytes for account in module.accounts}

    def source(plan: Plan) -> Source:
        call = module.call_at(plan.batch)
        return Source(call.module, call.args, call.kwargs, cast=plan.dtype != own_dtype)

    return Subject(source, lambda plan: peaks[plan.batch, plan.dtype], own_dtype)


def check(request: Request, plans: tuple[Plan, ...]) -> None:
    """Raise InputError for a target or runtime that is not known, and for more threads than a target has CPUs."""
    for runtime in request.runtimes:
        runtimes.check(runtime)
    most = max(plan.threads for plan in plans)
    for target in request.targets:
        targets.check(target)
        if not (request.latency or request.threads):
            continue  # nothing is measured: the machine need not be looked at, which takes as long as a count
        cpus = targets.find(target).describe().cpus
        if most > cpus:
            raise InputError(
                Mistake(f"given {most}; allowed: 1 to {cpus}, the CPUs of target '{target}'", ("threads",))
            )


def all_measured(subject: Subject, request: Request, progress: Progress) -> tuple[tuple[Samples, ...], tuple[str, ...]]:
    """Return the samples of every combination that could be measured, and why the others could not."""
    samples: list[Samples] = []
    failures: list[str] = []
    plans = request.plans(subject.own_dtype)
    for target, runtime, plan in itertools.product(request.targets, request.runtimes, plans):
        try:
            samples.append(measured(subject, target, runtime, plan, progress))
        except TargetError as error:
            failures.append(f"{target}/{runtime}, batch {plan.batch}, {plan.dtype}: {error}")
    return tuple(samples), tuple(failures)


def measured(subject: Subject, target: str, runtime: str, plan: Plan, progress: Progress) -> Samples:
    """Return the raw seconds of a subject; raises TargetError where it does not fit or cannot run."""
    what = f"measuring on {target}/{runtime}, batch {plan.batch}, {plan.dtype}, {plan.threads} threads"
    needed, free = subject.needed_bytes(plan), available_memory_bytes()
    if free is not None and needed > free:
        raise TargetError(f"needs {data_size(needed)} of memory, {data_size(free)} are free")
    with progress(what):
        return targets.find(target).measure(subject.source(plan), runtimes.find(runtime), plan)


def named(samples: Samples) -> str:
    """Return where and how samples were taken, in words."""
    plan = samples.plan
    return f"{samples.origin.target}/{samples.origin.runtime}, batch {plan.batch}, {plan.dtype}, {plan.threads} threads"


def built(model: Model, progress: Progress) -> Net:
    """Return the network with weights but without drop-path: what inference runs."""
    from archcost.nets import build  # loads torch, which counting alone does not need

    with progress(f"building {model.name}"):
        try:
            return build(model.graph, Recipe(model.recipe.init), available_bytes=available_memory_bytes())
        except InputError as error:
            hint = "its counts alone need no memory: leave out latency and witnesses (--no-latency --no-witness)"
            raise InputError(*error.mistakes, Mistake(hint)) from None


def sparse_warnings(model: Model, like: Samples, progress: Progress) -> list[str]:
    """Return a sentence for every sparse layer that takes longer than a dense one: fewer MACs are not always faster."""
    from archcost.nets import build  # loads torch

    found = []
    plan = replace(like.plan, precision=0.1, time_s=min(0.5, like.plan.time_s / 10))
    for pair in pairs(model.graph):
        sparse_s, dense_s = (
            summarise(
                measured(of_net(graph, build(graph)), like.origin.target, like.origin.runtime, plan, progress)
            ).median_s
            for graph in (pair.sparse, pair.dense)
        )
        if sparse_s > dense_s:
            times = f"{duration(sparse_s)}, a dense one in its place {duration(dense_s)}"
            less = percent(count(pair.sparse).macs / count(pair.dense).macs)
            found.append(f"{pair.name}: the sparse layer takes {times}, with {less} of the dense one's MACs")
    return found
