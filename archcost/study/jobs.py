"""The jobs of a study: messages that have a network trained, confirmed or measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from archcost.graph import codec
from archcost.models.load import Model
from archcost.study.drawn import Drawn
from archcost.study.objectives import quantity_of
from archcost.study.parts import columns
from archcost.study.plan import StudyPlan
from archcost.study.records.names import Way
from archcost.study.workers.in_8_bits.quantise import Quantise
from archcost.study.workers.tasks import Measure, OfCode, OfGraph, Setup, Train

DATA: Final = "data.pt"
"""The file of the data that trials read, in the folder of a run."""
MORE: Final = "more.pt"
"""The file of the data that members are confirmed with, written there if they are more than those of trials."""
TEST: Final = "test.pt"
"""The file of the test split, written there for confirming alone."""


def network(plan: StudyPlan, drawn: Drawn) -> OfGraph | OfCode:
    """Return what a child makes a network of."""
    if isinstance(drawn, Model):
        recipe = drawn.recipe
        return OfGraph(dict(codec.encode(drawn.graph)), recipe.init, recipe.drop_local, recipe.drop_global)
    said = drawn.spec.model_dump(mode="json", exclude_none=True)
    return OfCode(said, plan.gives.classes, plan.gives.input)


def train(plan: StudyPlan, model: Drawn, folder: Path, threads: int) -> Train:
    """Return the job of a trial, which keeps no weights; folder: where the data were written."""
    fit = plan.spec.study.fit
    return Train(
        network=network(plan, model),
        data=str(folder / DATA),
        test="",
        fit=fit.fixed,
        seed=fit.seed,
        ways=plan.setups,
        columns=bool(columns(model)),
        weights="",
        threads=threads,
        code=plan.code,
        memory=plan.memory_at,
        metrics=tuple(each.name for name, _ in plan.objectives if (each := quantity_of(name)).learnt),
        optional=plan.optional,
        quantise=_quantise(plan, plan.ways),
    )


def _quantise(plan: StudyPlan, ways: Iterable[Way]) -> Quantise | None:
    """Return what a trained network is quantised for, None if no way is of 8 bits."""
    found = tuple((each.number, each.runtime) for each in ways if each.quantised)
    return Quantise(found, plan.spec.study.search.seed) if found else None


def confirm(plan: StudyPlan, model: Drawn, folder: Path, seed: int, threads: int) -> Train:
    """Return the job of training a network once more, alone and with another seed, and testing it."""
    job = train(plan, model, folder, threads)
    test = str(folder / TEST) if plan.tested else ""
    if plan.extent.epochs:
        job = replace(job, fit={**job.fit, "epochs": plan.extent.epochs, "rungs": None})
    if plan.extent.examples:
        job = replace(job, data=str(folder / MORE))
    return replace(job, seed=job.seed + seed, ways=(), optional=(), columns=False, test=test, alone=True)


def measure(plan: StudyPlan, models: Iterable[Drawn], way: Setup) -> Measure:
    """Return the job of measuring networks by turns."""
    return Measure(tuple(network(plan, model) for model in models), way, plan.code)
