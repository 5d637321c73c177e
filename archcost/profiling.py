"""The main job: a network's exact counts, what the witnesses say of them, and its latencies, as one value.

Not named profile: the package's public call is, and a module of that name would take its place.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from archcost import __version__, restrict, runtimes, targets
from archcost.cost import BYTES, count, peak_bytes
from archcost.errors import InputError, Mistake, TargetError
from archcost.measured import Latency, Plan, Samples, summarise
from archcost.ops import Shape
from archcost.read import Model, load
from archcost.recipe import Recipe
from archcost.runtimes import Source
from archcost.sparse import pairs
from archcost.targets.cpu import available_memory_bytes, physical_cores
from archcost.units import data_size, duration, percent

if TYPE_CHECKING:
    from archcost.graph import Graph
    from archcost.nets import Net
    from archcost.witness import Witness

SCHEMA: Final = 1

Progress: TypeAlias = Callable[[str], AbstractContextManager[object]]
"""Told what begins; the context lasts as long as that does."""


def silent(_: str) -> AbstractContextManager[object]:
    """Show no progress."""
    return nullcontext()


class Layer(NamedTuple):
    """One node of the network as a profile shows it; counts are per example, bytes at the profile's batch and dtype."""

    name: str
    op: str
    group: str
    column: int | None
    shape: Shape
    params: int
    macs: int
    elementwise: int
    read_bytes: int
    written_bytes: int
    runs: int


class Column(NamedTuple):
    """One column of a fractal network, run alone as a network of its own."""

    column: int
    depth: int
    params: int
    macs: int


@dataclass(frozen=True, slots=True)
class Request:
    """What to find out about a network: each combination of the tuples is one latency; no `threads`: all cores."""

    targets: tuple[str, ...] = ("cpu",)
    runtimes: tuple[str, ...] = ("eager",)
    batches: tuple[int, ...] = (1,)
    dtypes: tuple[str, ...] = ("float32",)
    threads: tuple[int, ...] = ()
    precision: float = 0.02
    time_s: float = 10.0
    latency: bool = True
    witness: bool = True

    def plans(self) -> tuple[Plan, ...]:
        """Return how to measure, one plan for each combination; raises InputError for values that cannot be."""
        threads = self.threads or (physical_cores(),)
        each = itertools.product(self.batches, self.dtypes, threads)
        return tuple(Plan(batch, dtype, n, self.precision, self.time_s) for batch, dtype, n in each)


@dataclass(frozen=True, slots=True)
class Profile:
    """What was found out about a network.

    `batch` and `dtype` are those of the memory figures. `agree`: whether the witnesses count what the graph does, None
    where they were left out; `differences` says where not. `failures`: targets and runtimes that could not measure.
    """

    model: Model
    batch: int
    dtype: str
    witness: Witness | None
    differences: tuple[str, ...]
    samples: tuple[Samples, ...]
    failures: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def params(self) -> int:
        """Every trainable scalar."""
        return self.model.cost.params

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one example, all its steps."""
        return self.model.cost.macs

    @property
    def elementwise(self) -> int:
        """Elementwise operations of one example."""
        return self.model.cost.elementwise

    @property
    def flops(self) -> int:
        """2 macs + elementwise."""
        return self.model.cost.flops

    @property
    def weights_bytes(self) -> int:
        """Parameters and buffers at the dtype."""
        return self.model.cost.weights_bytes(BYTES[self.dtype])

    @property
    def activation_bytes(self) -> int:
        """All outputs of one pass."""
        return self.model.cost.activation_bytes(self.batch, BYTES[self.dtype])

    @property
    def peak_memory_bytes(self) -> int:
        """Weights and the largest live set in execution order."""
        return peak_bytes(self.model.graph, self.batch, BYTES[self.dtype])

    @property
    def agree(self) -> bool | None:
        """Whether all witnesses agree with the counts; None where there are none."""
        return None if self.witness is None else not self.differences

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The nodes in execution order."""
        size = BYTES[self.dtype]
        return tuple(
            Layer(
                *(row.name, row.op, row.group, row.column, row.shape, row.params, row.macs, row.elementwise),
                *(row.read_bytes(self.batch, size), row.written_bytes(self.batch, size), row.runs),
            )
            for row in self.model.cost.rows
        )

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a fractal network, shallowest first; none for others."""
        return tuple(_column(self.model.graph, column) for column in restrict.columns(self.model.graph))

    @property
    def uncounted(self) -> tuple[dict[str, object], ...]:
        """Operators without a count: {"op", "calls"}; a graph's own operators all have one."""
        unsupported = self.witness.unsupported if self.witness else {}
        return tuple({"op": op, "calls": calls} for op, calls in unsupported.items())

    @property
    def latencies(self) -> tuple[Latency, ...]:
        """The statistics of every measurement."""
        return tuple(summarise(samples) for samples in self.samples)

    def to_dict(self) -> dict[str, object]:
        """Return everything as JSON holds it (schema 1)."""
        model = self.model
        spec: Mapping[str, object] = model.spec.model_dump()
        return {
            "archcost": __version__,
            "schema": SCHEMA,
            "warnings": [*self.warnings, *self.differences, *self.failures],
            "model": {
                "name": model.name,
                "family": model.family,
                "input": spec["input"],
                "steps": model.graph.steps,
                "digest": model.digest,
            },
            "batch": self.batch,
            "dtype": self.dtype,
            "params": self.params,
            "macs": self.macs,
            "elementwise": self.elementwise,
            "flops": self.flops,
            "weights_bytes": self.weights_bytes,
            "activation_bytes": self.activation_bytes,
            "peak_memory_bytes": self.peak_memory_bytes,
            "uncounted": list(self.uncounted),
            "witnesses": None if self.witness is None else self.witness.to_dict(),
            "agree": self.agree,
            "layers": [layer._asdict() for layer in self.layers],
            "columns": [column._asdict() for column in self.columns],
            "latencies": [latency.to_dict() for latency in self.latencies],
        }


def _column(graph: Graph, column: int) -> Column:
    alone = restrict.only(graph, [column])
    cost = count(alone)
    return Column(column, restrict.depth(alone, column), cost.params, cost.macs)


def profile(
    source: str | os.PathLike[str] | Model,
    inputs: object = None,
    *,
    target: str | Iterable[str] = "cpu",
    runtime: str | Iterable[str] = "eager",
    batch: int | Iterable[int] = 1,
    dtype: str | Iterable[str] = "float32",
    threads: int | Iterable[int] | None = None,
    precision: float = 0.02,
    time_s: float = 10.0,
    latency: bool = True,
    witness: bool = True,
) -> Profile:
    """Return the counts, witnesses and latencies of a network: a YAML file, a shipped name or a Model.

    `threads` are the physical cores this process may use where left out; each of the five may be several, every
    combination is measured. Raises InputError for what cannot be, TargetError where nothing could be measured.
    """
    if inputs is not None or not isinstance(source, str | os.PathLike | Model):
        raise InputError(Mistake(f"given {type(source).__name__}; allowed: a YAML file, a shipped network or a Model"))
    model = source if isinstance(source, Model) else load(source)
    numbers = () if threads is None else _several(threads, int)
    request = Request(
        *(_several(target, str), _several(runtime, str), _several(batch, int), _several(dtype, str), numbers),
        *(precision, time_s, latency, witness),
    )
    found = profiled(model, request)
    if found.failures and not found.samples:
        raise TargetError("\n".join(found.failures))
    return found


def _several(value: object, kind: type) -> tuple:  # type: ignore[type-arg]  # of `kind`, or of what Plan then refuses
    return (value,) if isinstance(value, kind) or not isinstance(value, Iterable) else tuple(value)


def profiled(model: Model, request: Request, progress: Progress = silent) -> Profile:
    """Return the profile that was asked for; everything named in the request is checked before anything is built."""
    plans = request.plans()
    check(request, plans)
    net = built(model, progress) if request.latency or request.witness else None
    seen, wrong = _witnessed(model, net, progress) if request.witness and net else (None, ())
    samples, failures = _all_measured(model.graph, net, request, progress) if request.latency and net else ((), ())
    warnings = [f"{_named(s)}: not stable: {why}" for s in samples if (why := summarise(s).why)]
    if samples:
        warnings += _sparse_warnings(model, samples[0], progress)
    return Profile(model, plans[0].batch, plans[0].dtype, seen, wrong, samples, failures, tuple(warnings))


def check(request: Request, plans: tuple[Plan, ...]) -> None:
    """Raise InputError for a target or runtime that is not known, and for more threads than a target has CPUs."""
    for runtime in request.runtimes:
        runtimes.check(runtime)
    most = max(plan.threads for plan in plans)
    for target in request.targets:
        cpus = targets.find(target).describe().cpus
        if most > cpus:
            raise InputError(
                Mistake(f"given {most}; allowed: 1 to {cpus}, the CPUs of target '{target}'", ("threads",))
            )


def _all_measured(
    graph: Graph, net: Net, request: Request, progress: Progress
) -> tuple[tuple[Samples, ...], tuple[str, ...]]:
    """Return the samples of every combination that could be measured, and why the others could not."""
    samples: list[Samples] = []
    failures: list[str] = []
    for target, runtime, plan in itertools.product(request.targets, request.runtimes, request.plans()):
        try:
            samples.append(measured(graph, net, target, runtime, plan, progress))
        except TargetError as error:
            failures.append(f"{target}/{runtime}, batch {plan.batch}, {plan.dtype}: {error}")
    return tuple(samples), tuple(failures)


def _named(samples: Samples) -> str:
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


def _witnessed(model: Model, net: Net, progress: Progress) -> tuple[Witness, tuple[str, ...]]:
    from archcost.witness import differences, witness  # loads torch and fvcore

    with progress(f"counting {len(model.graph.nodes)} nodes with fvcore and torch"):
        seen = witness(model.graph, net)
    return seen, differences(model.cost, seen)


def measured(graph: Graph, net: Net, target: str, runtime: str, plan: Plan, progress: Progress) -> Samples:
    """Return the raw seconds of a built network; raises TargetError where it does not fit or cannot run."""
    from archcost.nets import example  # loads torch

    what = f"measuring on {target}/{runtime}, batch {plan.batch}, {plan.dtype}, {plan.threads} threads"
    needed, free = peak_bytes(graph, plan.batch, BYTES[plan.dtype]), available_memory_bytes()
    if free is not None and needed > free:
        raise TargetError(f"needs {data_size(needed)} of memory, {data_size(free)} are free")
    with progress(what):
        source = Source(net, (example(graph, plan.batch, seed=plan.seed),))
        return targets.find(target).measure(source, runtimes.find(runtime), plan)


def _sparse_warnings(model: Model, like: Samples, progress: Progress) -> list[str]:
    """Return a sentence for every sparse layer that takes longer than a dense one: fewer MACs are not always faster."""
    from archcost.nets import build  # loads torch

    found = []
    plan = replace(like.plan, precision=0.1, time_s=min(0.5, like.plan.time_s / 10))
    for pair in pairs(model.graph):
        sparse_s, dense_s = (
            summarise(measured(graph, build(graph), like.origin.target, like.origin.runtime, plan, progress)).median_s
            for graph in (pair.sparse, pair.dense)
        )
        if sparse_s > dense_s:
            times = f"{duration(sparse_s)}, a dense one in its place {duration(dense_s)}"
            less = percent(count(pair.sparse).macs / count(pair.dense).macs)
            found.append(f"{pair.name}: the sparse layer takes {times}, with {less} of the dense one's MACs")
    return found
