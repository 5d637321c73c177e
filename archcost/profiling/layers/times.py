"""A profile with the times of its layers: in every way in which the network was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from archcost.errors import TargetError
from archcost.graph.account import Account, Layer
from archcost.graph.ops import Input
from archcost.latency.layers.measure import layer_times, layer_times_by_turns
from archcost.latency.layers.times import LayerTimes, Part
from archcost.latency.measure import Measured, Place, Progress, Subject
from archcost.latency.roofline.kept import Kept
from archcost.latency.samples import Failure
from archcost.profiling.layers.roofs import under_roofs
from archcost.profiling.result import Profile


def timed(
    found: Profile, subject: Subject, runs: Sequence[Measured], where: Sequence[Place], progress: Progress
) -> Profile:
    """Return a profile with the times of its layers, or why there are none: as a note if nobody asked for the way."""
    times: list[LayerTimes] = []
    peaks: list[Kept] = []
    failures, notes = list(found.failures), list(found.notes)
    places = {place.target.name: place for place in where}
    for run in runs:
        for samples in run.samples[:1]:
            place, runtime, plan = places[samples.origin.target], samples.origin.runtime, samples.plan
            try:
                parts = parts_of(found.accounts, plan.batch, plan.dtype)
                taken = layer_times(subject, place, runtime, plan, parts, progress)
                below, remarks, kept = under_roofs(taken, place, progress)
                times.append(below)
                peaks += () if kept is None else (kept,)
                notes += (f"{below.way}: layers: {line}" for line in remarks)
            except TargetError as error:
                failure = Failure(samples.way, f"layers: {error}")
                if run.asked:
                    failures.append(failure)
                else:
                    notes.append(str(failure))
    told = (f"{each.way}: layers: {line}" for each in times for line in each.notes)
    known = tuple(dict.fromkeys(peaks))
    return replace(found, layer_times=tuple(times), peaks=known, failures=tuple(failures), notes=(*notes, *told))


def beside(
    profiles: Sequence[Profile],
    subjects: Sequence[Subject],
    runs: Sequence[Measured],
    where: Sequence[Place],
    progress: Progress,
) -> tuple[tuple[tuple[LayerTimes, ...], ...], tuple[str, ...]]:
    """Return the times of the layers of networks that take turns, in every way that was measured; notes: why not."""
    found: list[tuple[LayerTimes, ...]] = []
    notes: list[str] = []
    places = {place.target.name: place for place in where}
    for samples in (run.samples[0] for run in runs if run.samples):
        runtime, plan = samples.origin.runtime, samples.plan
        try:
            parts = [parts_of(each.accounts, plan.batch, plan.dtype) for each in profiles]
            place = places[samples.origin.target]
            found.append(layer_times_by_turns(subjects, place, runtime, plan, parts, progress))
        except TargetError as error:
            notes.append(str(Failure(samples.way, f"layers: {error}")))
    return tuple(found), tuple(notes)


def parts_of(accounts: Sequence[Account], batch: int, dtype: str) -> tuple[Part, ...]:
    """Return what a time is asked for, in execution order: every node, or every part of a module with its operators."""
    account = next(each for each in accounts if (each.batch, each.dtype) == (batch, dtype))
    named: dict[str, list[Layer]] = {}
    for layer in account.layers:
        if layer.op != Input.__name__:
            named.setdefault(layer.name, []).append(layer)
    return tuple(_part(name, layers) for name, layers in named.items())


def _part(name: str, layers: Sequence[Layer]) -> Part:
    moved_bytes = sum(layer.read_bytes + layer.written_bytes for layer in layers)
    ops = "+".join(dict.fromkeys(layer.op for layer in layers))
    return Part(name, name, ops, layers[0].group, name, sum(layer.macs for layer in layers), moved_bytes)
