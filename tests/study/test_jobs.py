"""The jobs of a study say all that a worker needs: the network, its data, how it trains and how it is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from plans import FRACTAL, drawn, planned

from archcost.graph import codec
from archcost.study import jobs
from archcost.study.workers.tasks import Measure, OfGraph
from archcost.study.workers.trial import spec_of

FOLDER = Path("folder")


def test_a_trial_measures_trains_and_scores_columns() -> None:
    """The graph, the recipe, the training of the file and all ways; it reads no test split and keeps no weights."""
    plan = planned(models=[FRACTAL], fit={"epochs": 2, "rungs": [1, 2], "seed": 5})
    model = drawn(plan)
    job = jobs.train(plan, model, FOLDER, 3)
    assert isinstance(job.network, OfGraph)
    assert (model.graph, plan.spec.study.fit) == (codec.decode(job.network.graph), spec_of(job))
    assert ("xavier", 0.0, 0.5) == (job.network.init, job.network.drop_local, job.network.drop_global)
    assert ("folder/data.pt", "", "", {}) == (job.data, job.test, job.weights, job.mark)
    assert (5, 3, plan.setups, True) == (job.seed, job.threads, job.ways, job.columns)
    assert not jobs.train(planned(), drawn(planned()), FOLDER, 3).columns


def test_confirming_trains_alone_with_another_seed_and_tests() -> None:
    """All else is as in the trial; nothing is measured."""
    plan = planned(models=[FRACTAL], fit={"epochs": 2, "rungs": [1, 2], "seed": 5})
    model = drawn(plan)
    trial, again = jobs.train(plan, model, FOLDER, 1), jobs.confirm(plan, model, FOLDER, 2, 1)
    assert replace(trial, seed=7, ways=(), columns=False, test="folder/test.pt", alone=True) == again
    assert 7 == spec_of(again).seed


def test_networks_are_measured_by_turns_in_one_way() -> None:
    """All of them in one job, in their order."""
    plan, other = planned(), planned(models=[FRACTAL])
    models = [drawn(other), drawn(plan)]
    job = jobs.measure(plan, models, plan.setups[0])
    assert isinstance(job, Measure)
    graphs = [codec.decode(each.graph) for each in job.networks if isinstance(each, OfGraph)]
    assert ([model.graph for model in models], plan.setups[0]) == (graphs, job.way)
