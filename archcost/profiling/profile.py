"""The main job: exact counts, what the witnesses say of them, and latencies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from archcost.errors import InputError, Mistake, TargetError
from archcost.graph import columns
from archcost.graph.account import Account, Trained, account
from archcost.latency import measure
from archcost.latency.doubts import Doubt, words
from archcost.latency.measure import Measured, Place, Progress, Request, Subject
from archcost.latency.remarks import refusals
from archcost.latency.samples import Samples
from archcost.models.files import File, Network
from archcost.models.load import Model, Reference, alone
from archcost.profiling import files, subjects
from archcost.profiling.layers import eight_bit, sparse, times
from archcost.profiling.options import Options, request
from archcost.profiling.result import Profile
from archcost.profiling.sources import Source, named

if TYPE_CHECKING:
    from archcost.counting.witnesses.witness import Witness
    from archcost.nets.net import Net
    from archcost.profiling.modules import Given


def profile(
    source: Source,
    inputs: object = None,
    *,
    target: str | Iterable[str] = "cpu",
    runtime: str | Iterable[str] | None = None,
    batch: int | Iterable[int] = 1,
    dtype: str | Iterable[str] | None = None,
    threads: int | Iterable[int] | None = None,
    precision: float | str = 0.02,
    time: float | str | None = None,
    cold_cache: bool = False,
    latency: bool = True,
    witness: bool = True,
    allow_code: bool = False,
    time_s: float | None = None,
    layers: bool = False,
) -> Profile:
    """Return the counts, witnesses and latencies of a network.

    It is a YAML file, a shipped name, a Model, an ONNX or pt2 file, a torch module, or code that makes one,
    "package.module:callable" or "package.module:callable(width=0.5)". A module needs `inputs`: a tensor, a tuple or
    list of arguments, or a dict of keyword arguments; counts are then those of that call. Code takes these, or text as
    --input does ("3,224,224"), which a model file needs for axes that it leaves open. `runtime` is eager if left out,
    and beside it onnxruntime, which alone runs an ONNX file; `dtype` is the network's own, float32 for one of a family;
    `threads` are the physical cores this process may use; each of the five may be several, every combination is
    measured. `time`: the longest for one measurement, in seconds or as text ("0.5s"), 10 seconds if left out, for both
    runtimes if these are left out too; `time_s`, its name until 0.3.0, is still taken. `allow_code`: whether a file may
    name code to run, or hold it; `layers`: whether each layer is timed too, in `layer_times`. Raises InputError for
    what cannot be, TargetError where nothing could be measured.
    """
    options: Options = {
        "target": target,
        "runtime": runtime,
        "batch": batch,
        "dtype": dtype,
        "threads": threads,
        "precision": precision,
        "time": time_s if time is None else time,
        "cold_cache": cold_cache,
    }
    asked = replace(request(options, latency=latency, witness=witness), beside=True, layer_times=layers)
    found = profiled(named(source, inputs, asked, allow_code=allow_code), asked)
    if found.failures and not found.samples:
        raise TargetError("\n".join(map(str, found.failures)))
    return found


class Ready(NamedTuple):
    """A profile without latencies, and what is measured of its network, None if nothing shall be.

    columns: of a fractal network, each column alone, if they were asked for.
    """

    profile: Profile
    subject: Subject | None
    columns: tuple[Subject, ...] = ()


def profiled(source: Network | Given, request: Request, progress: Progress = nullcontext) -> Profile:
    """Return the profile that was asked for; everything named in the request is checked before anything is built."""
    if request.layer_times and not request.latency:
        raise InputError(
            Mistake("given without latencies; allowed: with them, they are measured together", ("layers",))
        )
    where = measure.places(request)
    found, subject, parts = counted(source, request, progress)
    if not (request.latency and subject):
        return found
    runs = measure.all_measured((subject, *parts), request, where, progress)
    found = measured_as(found, runs)
    if parts:
        each = range(1, len(parts) + 1)
        alone = tuple(tuple(run.samples[place] for run in runs if run.samples) for place in each)
        found = replace(found, alone=alone)
    if graph := found.model.graph:
        found = replace(found, notes=(*found.notes, *sparse.slow_layers(graph, runs, where, progress)))
    if subject.step:
        found = _streamed(found, subject, request, where, progress)
    return times.timed(found, subject, runs, where, progress) if request.layer_times else found


def counted(source: Network | Given, request: Request, progress: Progress) -> Ready:
    """Return the profile without latencies, and what is to be measured; here each kind of source is told apart."""
    if isinstance(source, Model):
        return _of_model(source, request, progress)
    if isinstance(source, File):
        return Ready(*files.counted(source, request, progress))
    if isinstance(source, Reference):
        from archcost.profiling.modules import made  # loads torch

        with progress(f"building {source.name}"):
            source = made(source)
    return _of_module(source, request, progress)


def measured_as(found: Profile, runs: Sequence[Measured], place: int = 0) -> Profile:
    """Return a profile with its network's measurements, which stand at `place` in each run."""
    samples = tuple(run.samples[place] for run in runs if run.samples)
    failures = tuple(run.failure for run in runs if run.failure and run.asked)
    notes = (*found.notes, *_skipped(samples), *unasked(runs), *eight_bit.said(samples))
    accounts = eight_bit.sized(found.accounts, samples)
    return replace(found, samples=samples, failures=failures, notes=notes, accounts=accounts)


def unasked(runs: Sequence[Measured]) -> tuple[str, ...]:
    """Return why runtimes that nobody asked for were not measured: no failure of what was asked for."""
    failures = [run.failure for run in runs if run.failure and not run.asked]
    return tuple(f"not measured: {line}" for line in refusals(failures))


def _skipped(found: Sequence[Samples]) -> Iterator[str]:
    """Yield of each measurement that its program multiplies less than was counted, if it is known to."""
    for each in found:
        if (work := each.work) and work.skipped:
            yield f"{each.way}: {words([Doubt('macs_skipped', work.run_macs, work.counted_macs)])}"


def _columns(model: Model, progress: Progress) -> tuple[Subject, ...]:
    """Return how each column of a fractal network is measured alone; none of another network."""
    if len(numbers := columns.columns(model.graph)) < 2:
        return ()
    models = [alone(model, number) for number in numbers]
    return tuple(subjects.of_net(each.graph, subjects.built(each, progress)) for each in models)


def _streamed(
    found: Profile, subject: Subject, request: Request, where: Sequence[Place], progress: Progress
) -> Profile:
    """Return the profile with the latency of one step, its state handed on, in every way the whole was measured here.

    To another machine only whole networks travel.
    """
    assert subject.step is not None  # the caller looked
    ways = {samples.way for samples in found.samples}
    here = [place for place in where if place.target.local]
    runs = measure.all_measured((subject.step,), request, here, progress, only=ways)
    steps = tuple(run.samples[0] for run in runs if run.samples)
    missing = [f"one step was not measured: {run.failure}" for run in runs if run.failure]
    return replace(found, streaming=steps, notes=(*found.notes, *missing))


def _of_model(model: Model, request: Request, progress: Progress) -> Ready:
    net = subjects.built(model, progress) if request.latency or request.witness else None
    accounts = tuple(account(model.graph, batch, dtype) for batch, dtype in request.settings())
    seen: Witness | None = None
    if request.witness and net:
        seen, accounts = _witnessed(model, net, accounts, progress)
    found = Profile(model, accounts, seen, notes=eight_bit.calibrated(request))
    if not (request.latency and net):
        return Ready(found, None)
    parts = _columns(model, progress) if request.columns else ()
    return Ready(found, subjects.of_net(model.graph, net), parts)


def _witnessed(
    model: Model, net: Net, accounts: tuple[Account, ...], progress: Progress
) -> tuple[Witness, tuple[Account, ...]]:
    """Return what the witnesses count, of a training step too, and the accounts with what autograd keeps."""
    from archcost.counting.witnesses.network import trained, witness  # loads torch and fvcore

    with progress(f"counting {len(model.graph.nodes)} nodes with fvcore and torch"):
        seen = witness(model.graph, net, model.cost)
        steps = [trained(model.graph, net, each) for each in accounts]
    wrong = (*seen.differences, *(line for _, line in steps if line))
    known = tuple(replace(each, train=partial(_known, step)) for each, (step, _) in zip(accounts, steps, strict=True))
    return replace(seen, differences=wrong), known


def _known(step: Trained) -> Trained:
    return step


def _of_module(given: Given, request: Request, progress: Progress) -> Ready:
    from archcost.counting.witnesses.module import witness  # loads torch and fvcore
    from archcost.profiling.modules import counted as counted_module
    from archcost.profiling.modules import equal_inputs

    with progress(f"counting {given.name}"):
        module, own_dtype = counted_module(given, request)
    seen = None
    if request.witness:
        with progress(f"counting {given.name} with fvcore and torch"):
            seen = witness(module)
    told = (*eight_bit.calibrated(request), *equal_inputs(given, request))
    notes = (*module.notes, *(seen.notes if seen else ()), *told)
    found = Profile(module, module.accounts, seen, notes=notes)
    return Ready(found, subjects.of_module(module, own_dtype))
