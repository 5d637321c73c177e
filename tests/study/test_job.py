"""What a worker does for a job, without a process of its own: its graph is decoded once, its data are those written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from datasets_small import images
from plans import FRACTAL, drawn, planned

from archcost.data import shared
from archcost.graph import codec
from archcost.graph.recipe import Recipe
from archcost.nets import weights
from archcost.nets.net import build
from archcost.study import jobs
from archcost.study.workers import job as working
from archcost.study.workers import trial
from archcost.study.workers.messages import Done, Event, Foreseen, Measured, Reached, Scored, Trained
from archcost.study.workers.tasks import Foresee, Job, Measure, OfGraph, Train
from archcost.training import scoring

OBJECTIVES = [{"error": "min"}, {"latency": "min", "target": "fake", "threads": 1, "time": 0.05}]
RUNG = [Trained, Reached]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """A worker sets how many threads its process has: here it is that of all tests."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def job(tmp_path: Path) -> Train:
    """The job of training a network of two columns for two epochs."""
    dataset = images(120)
    shared.write(dataset, tmp_path / jobs.DATA)
    plan = planned(dataset, models=[FRACTAL], objectives=OBJECTIVES)
    return jobs.train(plan, drawn(plan), tmp_path, 1)


def told(job: Job, *, on: bool = True) -> list[Event]:
    """Return what a job tells; on: the answer to all that awaits one."""
    events: list[Event] = []
    working.run(job, events.append, lambda: on)
    return events


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("train", [Measured, *RUNG, *RUNG, Done]),
        ("foresee", [Foreseen, Done]),
        ("measure", [Measured, Done]),
    ],
)
def test_a_graph_is_decoded_once(
    job: Train, monkeypatch: pytest.MonkeyPatch, kind: str, expected: list[type[Event]]
) -> None:
    """Whatever is done with it: measured, built, trained, its columns scored."""
    decode, decoded = codec.decode, []
    monkeypatch.setattr(codec, "decode", lambda tree: decoded.append(None) or decode(tree))
    asked: dict[str, Job] = {"train": job, "foresee": Foresee(job), "measure": Measure((job.network,), job.ways[0])}
    assert (expected, 1) == ([type(event) for event in told(asked[kind])], len(decoded))


def test_every_column_is_measured_and_scored_at_every_rung(job: Train) -> None:
    """The whole network first; scores are those of all examples of the validation split."""
    events = told(job)
    (measured,) = (event for event in events if isinstance(event, Measured))
    reached = [event for event in events if isinstance(event, Reached)]
    assert (3, [(1, 2), (2, 2)]) == (len(measured.samples), [(each.epoch, len(each.columns)) for each in reached])
    assert {60} == {score.count for each in reached for score in (each.score, *each.columns)}


def test_the_scores_of_columns_are_their_own(job: Train, tmp_path: Path) -> None:
    """Each is that of the column of the weights which are kept, as it runs alone."""
    kept = replace(job, weights=str(tmp_path / "0.pt"))
    last = [event for event in told(kept) if isinstance(event, Reached)][-1]
    assert isinstance(job.network, OfGraph)
    graph = codec.decode(job.network.graph)
    net, dataset = build(graph, Recipe("xavier", 0.0, 0.5), seed=job.seed), trial.data_of(job, graph)
    weights.load_weights(net, tmp_path / "0.pt")
    found = [scoring.evaluate(each, dataset.validation, dataset) for each in (net, net.column(1), net.column(2))]
    assert found == [last.score, *last.columns]


def test_a_network_that_is_tested_is_scored_before(job: Train, tmp_path: Path) -> None:
    """Its test split is read once, after the validation split, and no column is scored."""
    dataset = images(120)
    shared.write_test(replace(dataset, read_test=lambda: dataset.validation), tmp_path / "test.pt")
    events = told(replace(job, columns=False, ways=(), test=str(tmp_path / "test.pt"), alone=True))
    assert [(0, "validation"), (0, "test")] == [
        (each.column, each.split) for each in events if isinstance(each, Scored)
    ]
    assert {()} == {each.columns for each in events if isinstance(each, Reached)}


def test_who_is_told_to_stop_trains_no_more(job: Train) -> None:
    """Behind its measurement, or without one behind its first rung."""
    assert [Measured, Done] == [type(event) for event in told(job, on=False)]
    assert [*RUNG, Done] == [type(event) for event in told(replace(job, ways=()), on=False)]
