"""The jobs of a study: messages that have a network trained, confirmed or measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from archcost.graph import codec
from archcost.models.load import Model
from archcost.study.parts import columns
from archcost.study.plan import StudyPlan
from archcost.study.workers.messages import Measure, Setup, Train

DATA: Final = "data.pt"
"""The file of the data that trials read, in the folder of a run."""
TEST: Final = "test.pt"
"""The file of the test split, written there for confirming alone."""


def train(plan: StudyPlan, model: Model, folder: Path, threads: int) -> Train:
    """Return the job of a trial, which keeps no weights; folder: where the data were written."""
    fit = plan.spec.study.fit
    return Train(
        graph=dict(codec.encode(model.graph)),
        init=model.recipe.init,
        drop_local=model.recipe.drop_local,
        drop_global=model.recipe.drop_global,
        data=str(folder / DATA),
        test="",
        fit=fit.model_dump(mode="json", by_alias=True),
        seed=fit.seed,
        ways=plan.ways,
        columns=bool(columns(model)),
        weights="",
        threads=threads,
    )


def confirm(plan: StudyPlan, model: Model, folder: Path, seed: int, threads: int) -> Train:
    """Return the job of training a network once more, alone and with another seed, and testing it."""
    job = train(plan, model, folder, threads)
    return replace(job, seed=job.seed + seed, ways=(), columns=False, test=str(folder / TEST))


def measure(models: Iterable[Model], way: Setup) -> Measure:
    """Return the job of measuring networks by turns."""
    return Measure(tuple(dict(codec.encode(model.graph)) for model in models), way)
