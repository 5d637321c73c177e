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
from archcost.study import jobs
from archcost.study.workers import job as working
from archcost.study.workers.messages import (
    Done,
    Event,
    Foresee,
    Foreseen,
    Job,
    Measure,
    Measured,
    Reached,
    Scored,
    Train,
    Trained,
)

OBJECTIVES = [{"error": "min"}, {"latency": "min", "target": "fake", "threads": 1, "time": 0.05}]
RUNG = [Trained, Reached]
COLUMNS = [Scored, Scored]


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
        ("train", [Measured, *RUNG, *RUNG, *COLUMNS, Done]),
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


def test_every_column_is_measured_and_scored(job: Train) -> None:
    """The whole network first; scores are those of all examples of the validation split."""
    events = told(job)
    (measured,) = (event for event in events if isinstance(event, Measured))
    scored = [event for event in events if isinstance(event, Scored)]
    assert (3, [1, 2]) == (len(measured.samples), [event.column for event in scored])
    assert {("validation", 60)} == {(event.split, event.score.count) for event in scored}


def test_who_is_told_to_stop_trains_no_more(job: Train) -> None:
    """Behind its measurement, or without one behind its first rung."""
    assert [Measured, Done] == [type(event) for event in told(job, on=False)]
    assert [*RUNG, Done] == [type(event) for event in told(replace(job, ways=()), on=False)]
