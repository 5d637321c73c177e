"""What a child process does for a trial: measure the network, train it from rung to rung, score it and its columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, TypeAlias, assert_never

import torch

from archcost import codec, fit, handing, nets, runtimes, targets
from archcost.data import Dataset, Split
from archcost.errors import ArchcostError, InputError, TargetError
from archcost.fit import Diverged
from archcost.fitspec import Fit
from archcost.graph import Graph
from archcost.jobs import Done, Event, Failed, Job, Measure, Measured, Reached, Score, Scored, Train, Trained, Way
from archcost.measured import Plan
from archcost.nets import Net
from archcost.recipe import Recipe
from archcost.restrict import columns, only
from archcost.runtimes import Source
from archcost.targets.exclusive import held

Tell: TypeAlias = Callable[[Event], None]
GoesOn: TypeAlias = Callable[[], bool]
"""Waits for the study's reply: whether the trial goes on."""


def run(job: Job, tell: Tell, goes_on: GoesOn) -> None:
    """Do a job and tell how it goes; its last event is Done or Failed, where the process lives so long."""
    try:
        match job:
            case Train():
                _train(job, tell, goes_on)
            case Measure():
                graphs = [codec.decode(graph) for graph in job.graphs]
                _measure(graphs, 0, job.way, tell)
            case _:
                assert_never(job)
        tell(Done())
    except Exception as error:  # the one place where a trial's errors end; a signal is the parent's to tell
        tell(_failed(error))


def _failed(error: Exception) -> Failed:
    words = " ".join(str(error).split())[:2000]
    match error:
        case Diverged():
            return Failed("diverged", words)
        case InputError():
            return Failed("input", words)
        case TargetError() | ArchcostError():
            return Failed("target", words)
        case MemoryError():
            return Failed("memory", "out of memory")
        case RuntimeError() if "allocate memory" in words or "out of memory" in words:
            return Failed("memory", f"out of memory: {words}")
        case _:
            return Failed("bug", f"{type(error).__name__}: {words}")


def _measure(graphs: list[Graph], position: int, way: Way, tell: Tell) -> None:
    """Measure networks by turns and tell of it; raises TargetError."""
    target, runtime = targets.find(way.target), runtimes.find(way.runtime)
    plan = Plan(way.batch, way.dtype, way.threads, way.precision, way.time_s)
    sources = [Source(nets.build(graph), (nets.example(graph, plan.batch),), graph=graph) for graph in graphs]
    with held(target.lock) if target.lock else nullcontext():
        tell(Measured(position, target.measure(sources, runtime, plan)))


def _train(job: Train, tell: Tell, goes_on: GoesOn) -> None:
    graph = codec.decode(job.graph)
    parts = columns(graph) if job.columns and len(columns(graph)) > 1 else ()
    alone = [only(graph, [column]) for column in parts]
    for position, way in enumerate(job.ways):
        _measure([graph, *alone], position, way, tell)
        if not goes_on():
            return
    torch.set_num_threads(job.threads)
    fit.keep_freed()
    dataset = handing.read(Path(job.data), Path(job.test) if job.test else None)
    recipe = Recipe(job.init, job.drop_local, job.drop_global)  # type: ignore[arg-type]  # one that a Recipe held
    net = nets.build(graph, recipe, seed=job.seed)
    if not _trained(net, dataset, job, tell, goes_on):
        return
    for split, examples in _splits(job, dataset):
        for column in parts:
            part = net.column(column)
            fit.recalibrate(part, dataset)
            tell(Scored(column, split, _score(part, examples, dataset)))
        if split == "test" or not parts:
            tell(Scored(0, split, _score(net, examples, dataset)))
    if job.weights:
        fit.save_weights(net, Path(job.weights))


def _splits(job: Train, dataset: Dataset) -> Iterator[tuple[Literal["validation", "test"], Split]]:
    yield "validation", dataset.validation
    if job.test:
        yield "test", dataset.read_test()


def _spec(job: Train) -> Fit:
    spec = Fit.model_validate_json(json.dumps(job.fit))  # strict validation reads a tuple from JSON's list only
    return spec.model_copy(update={"seed": job.seed})


def _trained(net: Net, dataset: Dataset, job: Train, tell: Tell, goes_on: GoesOn) -> bool:
    """Train to the end, with a score at every rung; return whether it was reached."""
    spec = _spec(job)
    rungs = spec.stops()
    for epoch in fit.epochs(fit.begin(net, dataset, spec)):
        tell(Trained(epoch.number, epoch.loss, epoch.seconds))
        if epoch.number in rungs:
            tell(Reached(epoch.number, _score(net, dataset.validation, dataset)))
            if not goes_on():
                return False
    return True


def _score(net: Net, split: Split, dataset: Dataset) -> Score:
    found = fit.evaluate(net, split, dataset)
    return Score(found.loss, found.count, found.error, found.perplexity, found.bpc)
