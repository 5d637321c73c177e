"""The main job: a network's exact counts, what the witnesses say of them, and its latencies, as one value.

Not named profile: the package's public call is, and a module of that name would take its place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from archcost import measuring
from archcost.config.writer import to_yaml
from archcost.errors import InputError, Mistake, TargetError
from archcost.graph import columns
from archcost.graph.account import Account, Layer, Trained, account
from archcost.graph.cost import count
from archcost.latency import Latency, summarise
from archcost.measured import Failure, Samples
from archcost.measuring import Measured, Place, Progress, Request, Subject, silent
from archcost.models.load import Model, Reference, alone, read
from archcost.version import __version__

if TYPE_CHECKING:
    from torch import nn

    from archcost.counting.module import Module
    from archcost.counting.witnesses.module import Engines
    from archcost.counting.witnesses.network import Witness
    from archcost.given import Given
    from archcost.graph.graph import Graph
    from archcost.nets.net import Net

SCHEMA: Final = 1
NOT_STABLE: Final = ": not stable: "
"""Stands in every warning about a latency that is not to be trusted: the latency's row says the same."""


class Column(NamedTuple):
    """One column of a fractal network, run alone as a network of its own."""

    column: int
    depth: int
    params: int
    macs: int


@dataclass(frozen=True, slots=True)
class Profile:
    """What was found out about a network.

    `accounts` are what it takes at each batch and dtype asked for, the first what the profile shows. `agree`: whether
    all witnesses count the same, None where there are none, or one could not count at all; `differences`: where they
    count otherwise. `failures`: what could not be measured. `streaming`: of a recurrent network, one
    step with the state carried, by turns with the whole sequence. `alone`: of a fractal network,
    the measurements of each column, by turns with the whole, where they were asked for.
    """

    model: Model | Module
    accounts: tuple[Account, ...]
    witness: Witness | Engines | None
    agree: bool | None
    differences: tuple[str, ...]
    samples: tuple[Samples, ...]
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...]
    streaming: tuple[Samples, ...] = ()
    alone: tuple[tuple[Samples, ...], ...] = ()

    @property
    def account(self) -> Account:
        """What the network takes at the first batch and dtype."""
        return self.accounts[0]

    @property
    def batch(self) -> int:
        """The batch of the memory figures."""
        return self.account.batch

    @property
    def dtype(self) -> str:
        """The dtype of the memory figures."""
        return self.account.dtype

    @property
    def params(self) -> int:
        """Every parameter, shared ones once."""
        return self.model.cost.params

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one example, all its steps; of a module's call as it was given."""
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
        return self.account.weights_bytes

    @property
    def activation_bytes(self) -> int:
        """All outputs of one pass."""
        return self.account.activation_bytes

    @property
    def peak_memory_bytes(self) -> int:
        """Weights and the largest live set in execution order."""
        return self.account.peak_bytes

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The nodes of a network, or a module's operators part by part, in execution order."""
        return self.account.layers

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a fractal network, shallowest first; none for others."""
        if not isinstance(self.model, Model):
            return ()
        graph = self.model.graph
        return tuple(_column(graph, column) for column in columns.columns(graph))

    @property
    def uncounted(self) -> tuple[dict[str, object], ...]:
        """Operators without a count: {"op", "calls"}."""
        if not isinstance(self.model, Model):
            return tuple(operator._asdict() for operator in self.model.uncounted)
        unsupported = self.witness.unsupported if self.witness else {}
        return tuple({"op": op, "calls": calls} for op, calls in unsupported.items())

    @property
    def coverage(self) -> float:
        """The share of the operators' calls that have a count; all of a graph's have one."""
        return 1.0 if isinstance(self.model, Model) else self.model.coverage

    @property
    def latencies(self) -> tuple[Latency, ...]:
        """The statistics of every measurement."""
        return tuple(summarise(samples) for samples in self.samples)

    @property
    def untrained(self) -> tuple[str, ...]:
        """Why the training step was not counted, where it was not."""
        return (f"training is not counted: {why}",) if (why := self.account.trained.why) else ()

    def to_dict(self) -> dict[str, object]:
        """Return everything as JSON holds it (schema 1)."""
        model = self.model
        weights = None if isinstance(model, Model) else model.weights.to_dict()
        return {
            "archcost": __version__,
            "schema": SCHEMA,
            "warnings": [*self.warnings, *self.untrained, *self.differences, *map(str, self.failures)],
            "model": {
                "name": model.name,
                "family": model.family,
                "input": model.input,
                "steps": model.steps,
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
            "layers": [self._layer(layer) for layer in self.layers],
            "columns": self._columns(),
            "latencies": rows(self.samples),
            "streaming": rows(self.streaming),
            "failures": [failure.to_dict() for failure in self.failures],
            "parameters": weights,
            "coverage": self.coverage,
            "training": None if self.account.training is None else self.account.training.to_dict(),
            "memory": [each.memory() for each in self.accounts],
            "yaml": to_yaml(model.spec) if isinstance(model, Model) else None,
        }

    def _columns(self) -> list[dict[str, object]]:
        found = [column._asdict() for column in self.columns]
        each = zip(found, self.alone, strict=True) if self.alone else ()
        return [{**row, "latencies": rows(samples)} for row, samples in each] or found

    def _layer(self, layer: Layer) -> dict[str, object]:
        return {**layer._asdict(), "intensity": layer.intensity(self.batch)}


def rows(measurements: tuple[Samples, ...]) -> list[dict[str, object]]:
    """Return the statistics of measurements, each with its raw samples, as JSON holds them."""
    return [{**summarise(samples).to_dict(), "raw": samples.to_dict()} for samples in measurements]


def _column(graph: Graph, column: int) -> Column:
    alone = columns.only(graph, [column])
    cost = count(alone)
    return Column(column, columns.depth(alone, column), cost.params, cost.macs)


def profile(
    source: str | os.PathLike[str] | Model | nn.Module,
    inputs: object = None,
    *,
    target: str | Iterable[str] = "cpu",
    runtime: str | Iterable[str] = "eager",
    batch: int | Iterable[int] = 1,
    dtype: str | Iterable[str] | None = None,
    threads: int | Iterable[int] | None = None,
    precision: float = 0.02,
    time_s: float = 10.0,
    cold_cache: bool = False,
    latency: bool = True,
    witness: bool = True,
    allow_code: bool = False,
) -> Profile:
    """Return the counts, witnesses and latencies of a network: a YAML file, a shipped name, a Model or a torch module.

    A module needs `inputs`: a tensor, a tuple or list of arguments, or a dict of keyword arguments; counts are then
    those of that call. `dtype` is the network's own where left out, float32 for one of a family; `threads` are the
    physical cores this process may use; each of the five may be several, every combination is measured. `allow_code`:
    whether a file may name code to run. Raises InputError for what cannot be, TargetError where nothing could be
    measured.
    """
    request = Request(
        targets=_several(target, str),
        runtimes=_several(runtime, str),
        batches=_several(batch, int),
        dtypes=() if dtype is None else _several(dtype, str),
        threads=() if threads is None else _several(threads, int),
        precision=precision,
        time_s=time_s,
        cold_cache=cold_cache,
        latency=latency,
        witness=witness,
    )
    found = profiled(_named(source, inputs, request, allow_code), request)
    if found.failures and not found.samples:
        raise TargetError("\n".join(map(str, found.failures)))
    return found


def _several(value: object, kind: type) -> tuple:  # type: ignore[type-arg]  # of `kind`, or of what Plan then refuses
    return (value,) if isinstance(value, kind) or not isinstance(value, Iterable) else tuple(value)


def _named(source: object, inputs: object, request: Request, allow_code: bool) -> Model | Reference | Given:
    if not isinstance(source, str | os.PathLike | Model):
        from archcost.given import given  # loads torch

        return given(source, inputs, request)
    if inputs is not None:
        raise InputError(Mistake("inputs go with a torch module; a network's own input follows from its file"))
    return source if isinstance(source, Model) else read(source, allow_code=allow_code)


def profiled(source: Model | Reference | Given, request: Request, progress: Progress = silent) -> Profile:
    """Return the profile that was asked for; everything named in the request is checked before anything is built."""
    where = measuring.places(request)
    found, subject = counted(source, request, progress)
    if not (request.latency and subject):
        return found
    parts = _columns(found, progress) if request.columns else ()
    runs = measuring.all_measured((subject, *parts), request, where, progress)
    found = measured_as(found, runs)
    if parts:
        each = range(1, len(parts) + 1)
        alone = tuple(tuple(run.samples[place] for run in runs if run.samples) for place in each)
        found = replace(found, alone=alone)
    if isinstance(found.model, Model):
        warnings = (*found.warnings, *measuring.slow_layers(found.model, runs, where, progress))
        found = replace(found, warnings=warnings)
    return _streamed(found, subject, request, where, progress) if subject.step else found


def counted(source: Model | Reference | Given, request: Request, progress: Progress) -> tuple[Profile, Subject | None]:
    """Return the profile without latencies, and what is measured, None where nothing shall be."""
    if isinstance(source, Model):
        return _of_model(source, request, progress)
    if isinstance(source, Reference):
        from archcost.given import made  # loads torch

        with progress(f"building {source.name}"):
            source = made(source)
    return _of_module(source, request, progress)


def measured_as(found: Profile, runs: Sequence[Measured], place: int = 0) -> Profile:
    """Return a profile with its network's measurements, which stand at `place` in each run."""
    samples = tuple(run.samples[place] for run in runs if run.samples)
    failures = tuple(run.failure for run in runs if run.failure)
    return replace(found, samples=samples, failures=failures, warnings=(*found.warnings, *_unstable(samples)))


def _columns(found: Profile, progress: Progress) -> tuple[Subject, ...]:
    """Return how each column of a fractal network is measured alone; none of another network."""
    if not isinstance(found.model, Model) or len(numbers := columns.columns(found.model.graph)) < 2:
        return ()
    models = [alone(found.model, number) for number in numbers]
    return tuple(measuring.of_net(model.graph, measuring.built(model, progress)) for model in models)


def _streamed(
    found: Profile, subject: Subject, request: Request, where: Sequence[Place], progress: Progress
) -> Profile:
    """Return the profile with the latency of one step, its state handed on, in every way the whole was measured here.

    To another machine only whole networks travel.
    """
    assert subject.step is not None  # the caller looked
    ways = {samples.way for samples in found.samples}
    here = [place for place in where if place.target.local]
    runs = measuring.all_measured((subject.step,), request, here, progress, only=ways)
    steps = tuple(run.samples[0] for run in runs if run.samples)
    missing = [f"one step was not measured: {run.failure}" for run in runs if run.failure]
    told = [f"one step: {line}" for line in _unstable(steps)]
    return replace(found, streaming=steps, warnings=(*found.warnings, *missing, *told))


def _of_model(model: Model, request: Request, progress: Progress) -> tuple[Profile, Subject | None]:
    net = measuring.built(model, progress) if request.latency or request.witness else None
    accounts = tuple(account(model.graph, batch, dtype) for batch, dtype in request.settings())
    seen: Witness | None = None
    wrong: tuple[str, ...] = ()
    if request.witness and net:
        seen, wrong, accounts = _witnessed(model, net, accounts, progress)
    subject = measuring.of_net(model.graph, net) if request.latency and net else None
    agree = None if seen is None else not wrong
    return Profile(model, accounts, seen, agree, wrong, (), (), ()), subject


def _witnessed(
    model: Model, net: Net, accounts: tuple[Account, ...], progress: Progress
) -> tuple[Witness, tuple[str, ...], tuple[Account, ...]]:
    """Return what the witnesses count, where they differ, and the accounts with what autograd keeps."""
    from archcost.counting.witnesses.network import differences, trained, witness  # loads torch and fvcore

    with progress(f"counting {len(model.graph.nodes)} nodes with fvcore and torch"):
        seen = witness(model.graph, net)
        steps = [trained(model.graph, net, each) for each in accounts]
    wrong = (*differences(model.cost, seen), *(line for _, line in steps if line))
    known = tuple(replace(each, train=partial(_known, step)) for each, (step, _) in zip(accounts, steps, strict=True))
    return seen, wrong, known


def _known(step: Trained) -> Trained:
    return step


def _of_module(given: Given, request: Request, progress: Progress) -> tuple[Profile, Subject]:
    from archcost.counting.witnesses.module import engines  # loads torch and fvcore
    from archcost.given import counted as counted_module

    with progress(f"counting {given.name}"):
        module, own_dtype = counted_module(given, request)
    seen = None
    if request.witness:
        with progress(f"counting {given.name} with fvcore and torch"):
            seen = engines(module)
    notes = (*module.notes, *(seen.notes if seen else ()))
    agree, wrong = (seen.agree, seen.differences) if seen else (None, ())
    found = Profile(module, module.accounts, seen, agree, wrong, (), (), notes)
    return found, measuring.of_module(module, own_dtype)


def _unstable(samples: tuple[Samples, ...]) -> list[str]:
    return [f"{each.way}{NOT_STABLE}{why}" for each in samples if (why := summarise(each).why)]
