"""What a job trains: its network as it begins, its data as the network reads them, and how long that would take."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

from archcost.data import shared
from archcost.data.splits import Dataset, as_rows
from archcost.graph import codec
from archcost.graph.columns import columns
from archcost.graph.recipe import Recipe
from archcost.jobs import Foreseen, Train
from archcost.latency.statistics import median
from archcost.nets.net import Net, build
from archcost.training import fit, scoring
from archcost.training.spec import Fit

_LONGEST_S: Final = 3.0
_FIRST: Final = 2  # mini-batches that are not timed: they allocate
_MOST: Final = 20


def begun(job: Train) -> tuple[Net, Dataset]:
    """Return the network of a job, untrained, and its data; a recurrent network reads an image row by row."""
    graph = codec.decode(job.graph)
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
    net, dataset = begun(job)
    start = time.monotonic()
    ends: list[float] = []
    total = 1

    def told(_: int, count: int, __: float) -> None:
        nonlocal total
        total = count
        ends.append(time.monotonic())
        if len(ends) >= _MOST or (len(ends) > _FIRST and ends[-1] - start > _LONGEST_S):
            raise _Enough

    fitting = fit.begin(net, dataset, spec_of(job), threads=job.threads)
    try:
        for _ in fit.epochs(fitting, told=told):
            pass
    except _Enough:
        pass
    spans = [after - before for before, after in zip(ends[_FIRST - 1 :], ends[_FIRST:], strict=False)]
    trained = time.monotonic()
    scoring.evaluate(net, dataset.validation, dataset)
    now = time.monotonic()
    scores = len(spec_of(job).stops()) + (len(columns(codec.decode(job.graph))) if job.columns else 0)
    return Foreseen(total * median(spans or [ends[-1] - start]) + scores * (now - trained), now - start)
