"""What a child process does for a trial: measure, train from rung to rung, score."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final, TypeAlias, assert_never

import torch

from archcost.data import shared
from archcost.data.shared import GoneError, kept
from archcost.data.splits import Dataset, as_rows
from archcost.errors import ArchcostError, InputError, TargetError, named, one_line
from archcost.graph import codec
from archcost.graph.columns import columns, only
from archcost.graph.graph import Graph
from archcost.graph.recipe import Recipe
from archcost.latency import runtimes, targets
from archcost.latency.lock import held
from archcost.latency.runtimes import Source
from archcost.latency.statistics import median
from archcost.nets import weights
from archcost.nets.net import Net, build, example
from archcost.study.records.reasons import Reason
from archcost.study.workers.messages import (
    Done,
    Event,
    Failed,
    Foresee,
    Foreseen,
    Job,
    Measure,
    Measured,
    Reached,
    Scored,
    Setup,
    Train,
    Trained,
)
from archcost.training import calibration, fit, scoring, speed
from archcost.training.losses import Diverged
from archcost.training.spec import Fit

_LONGEST_S: Final = 3.0
_FIRST: Final = 2  # mini-batches that are not timed: they allocate
_MOST: Final = 20


def begun(job: Train, graph: Graph) -> tuple[Net, Dataset]:
    """Return the network of a job, untrained, and its data; a recurrent network reads an image row by row.

    graph: that of the job, decoded.
    """
    dataset = shared.read(Path(job.data), Path(job.test) if job.test else None)
    if dataset.kind == "image" and graph.steps is not None:
        dataset = as_rows(dataset)
    recipe = Recipe(job.init, job.drop_local, job.drop_global)  # type: ignore[arg-type]  # one that a Recipe held
    return build(graph, recipe, seed=job.seed), dataset


def spec_of(job: Train) -> Fit:
    """Return how a job trains."""
    # strict validation reads a tuple from JSON's list only
    return Fit.model_validate_json(json.dumps({**job.fit, "seed": job.seed}))


class _Enough(Exception):  # noqa: N818  # no error: a training that has been looked at for long enough
    pass


def foreseen(job: Train) -> Foreseen:
    """Return how long all of a job's training would take, from a few of its mini-batches and one score."""
    graph, spec = codec.decode(job.graph), spec_of(job)
    net, dataset = begun(job, graph)
    start = time.monotonic()
    ends: list[float] = []
    total = 1

    def told(_: int, count: int, __: float) -> None:
        nonlocal total
        total = count
        ends.append(time.monotonic())
        if len(ends) >= _MOST or (len(ends) > _FIRST and ends[-1] - start > _LONGEST_S):
            raise _Enough

    fitting = fit.begin(net, dataset, spec, threads=job.threads)
    try:
        for _ in fit.epochs(fitting, told=told):
            pass
    except _Enough:
        pass
    spans = [after - before for before, after in zip(ends[_FIRST - 1 :], ends[_FIRST:], strict=False)]
    trained = time.monotonic()
    scoring.evaluate(net, dataset.validation, dataset)
    now = time.monotonic()
    scores = len(spec.stops()) * (1 + (len(columns(graph)) if job.columns else 0))
    return Foreseen(total * median(spans or [ends[-1] - start]) + scores * (now - trained), now - start)


Tell: TypeAlias = Callable[[Event], None]
GoesOn: TypeAlias = Callable[[], bool]
"""Waits for the study's reply: whether the trial goes on."""

_SAYS_S: Final = 5.0  # between words of a long epoch
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def run(job: Job, tell: Tell, goes_on: GoesOn) -> None:
    """Do a job and tell how it goes; its last event is Done or Failed, where the process lives so long."""
    try:
        match job:
            case Train():
                _train(job, tell, goes_on)
            case Foresee():
                tell(foreseen(job.train))
            case Measure():
                graphs = [codec.decode(graph) for graph in job.graphs]
                _measure(graphs, 0, job.way, tell)
            case _:
                assert_never(job)
        tell(Done())
    except Exception as error:  # the one place where a trial's errors end; a signal is the parent's to tell
        tell(Failed(_reason(error)))


def _reason(error: Exception) -> Reason:
    words = one_line(error, 2000)
    if any(isinstance(each, OSError) and each.errno in _FULL for each in _causes(error)):
        return Reason("space", words)
    match error:
        case Diverged():
            return Reason("diverged", words)
        case GoneError():
            return Reason("files", words)
        case InputError():
            return Reason("input", words)
        case TargetError() | ArchcostError():
            return Reason("target", words)
        case MemoryError():
            return Reason("memory", "out of memory")
        case RuntimeError() if "allocate memory" in words or "out of memory" in words:
            return Reason("memory", f"out of memory: {words}")
        case _:
            return Reason("bug", one_line(named(error), 2000), type(error).__name__)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _measure(graphs: list[Graph], position: int, way: Setup, tell: Tell) -> None:
    """Measure networks by turns and tell of it; raises TargetError."""
    target, runtime = targets.find(way.target), runtimes.find(way.runtime)
    sources = [Source(build(graph), (example(graph, way.plan.batch),), graph=graph) for graph in graphs]
    with held(target.lock) if target.lock else nullcontext():
        tell(Measured(position, target.measure(sources, runtime, way.plan)))


def _train(job: Train, tell: Tell, goes_on: GoesOn) -> None:
    graph = codec.decode(job.graph)
    parts = columns(graph) if job.columns else ()
    alone = [only(graph, [column]) for column in parts]
    for position, way in enumerate(job.ways):
        _measure([graph, *alone], position, way, tell)
        if not goes_on():
            return
    speed.keep_freed()
    net, dataset = begun(job, graph)
    torch.set_num_threads(job.threads)  # of evaluating, too; a training sets its own
    if not _trained(net, parts, dataset, job, tell, goes_on):
        return
    if job.test:
        _scored(net, dataset, tell)
    if job.weights:
        with kept("the weights of the study"):
            weights.save_weights(net, Path(job.weights), job.mark)


def _trained(net: Net, parts: tuple[int, ...], dataset: Dataset, job: Train, tell: Tell, goes_on: GoesOn) -> bool:
    """Train to the end, with a score of the network and of each column at every rung; return whether it got there."""
    spec = spec_of(job)
    fitting = fit.begin(net, dataset, spec, threads=job.threads)
    said = [time.monotonic()]

    def told(_: int, __: int, loss: float) -> None:
        if time.monotonic() - said[0] > _SAYS_S:  # a long epoch is no hang
            said[0] = time.monotonic()
            tell(Trained(fitting.done, loss, 0.0))

    for epoch in fit.epochs(fitting, told=told):
        tell(Trained(epoch.number, epoch.loss, epoch.seconds))
        if epoch.number in spec.stops():
            if parts:
                calibration.recalibrate(net, dataset)
            every = (net, *map(net.column, parts))
            first, *others = (scoring.evaluate(each, dataset.validation, dataset) for each in every)
            tell(Reached(epoch.number, first, tuple(others)))
            if not goes_on():
                return False
    return True


def _scored(net: Net, dataset: Dataset, tell: Tell) -> None:
    """Score the network on the validation split, and only then on the test split."""
    tell(Scored(0, "validation", scoring.evaluate(net, dataset.validation, dataset)))
    tell(Scored(0, "test", scoring.evaluate(net, dataset.read_test(), dataset)))
