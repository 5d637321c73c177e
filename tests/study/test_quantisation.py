"""A layer that 8 bits ruin is left in float32 when its network is trained: file, score and samples are then of one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import datasets_small as small
import killed_jobs
import onnx
import pytest
from commands import run
from killed_jobs import kept_always, measured, reached
from plans import specified

from archcost.data import shared
from archcost.latency.samples import Samples
from archcost.study import jobs
from archcost.study.plan import settle
from archcost.study.records import open_trainings
from archcost.study.records.database.addresses import address
from archcost.study.records.stored import find
from archcost.study.workers.messages import Done, Event, Measured, Quantised, Reached
from archcost.study.workers.tasks import Code, Train
from archcost.training.score import Score

NETWORK: Final = """
import torch
from torch import nn


class Planted(nn.Sequential):
    # The weights of layer 2 on channel 0, which is always zero, are so wide that 8 bits leave nothing of the others.

    def __init__(self, wide=1000.0, classes=3):
        layers = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, classes)
        super().__init__(*layers)
        with torch.no_grad():
            self[0].weight[0], self[0].bias[0], self[2].weight[:, 0] = 0.0, -1.0, wide
"""
WAYS: Final = [{"runtime": "eager"}, {"runtime": "onnxruntime", "dtype": "int8"}]
STUDY: Final = """
models: [{family: module, factory: 'planted_network:Planted', args: {wide: {choice: [1000.0]}}}]
data: {name: digits, examples: 400}
objectives:
  - {error: min}
  - {latency: min, target: fake, threads: 1, time: 0.1, ways: [{runtime: onnxruntime, dtype: int8}]}
fit: {epochs: 3, optimiser: adamw, lr: 0.01, precision: float32}
search: {trials: 1, sampler: grid}
confirm: {seeds: 1, members: 1}
"""


@pytest.fixture(autouse=True)
def _every_epoch() -> Iterator[None]:
    with kept_always():
        yield


def made(folder: Path, wide: float) -> Train:
    """Return the job of a network whose weights on a channel of zeros are so wide."""
    folder.mkdir(exist_ok=True)
    (folder / "planted_network.py").write_text(NETWORK, "utf-8")
    dataset = small.images(240)
    shared.write(dataset, folder / jobs.DATA)
    spec = specified(
        models=[{"family": "module", "factory": "planted_network:Planted", "args": {"wide": {"choice": [wide]}}}],
        objectives=[{"error": "min"}, {"latency": "min", "target": "fake", "threads": 1, "time": 0.05, "ways": WAYS}],
        fit={"epochs": 6, "optimiser": "adamw", "lr": 0.01, "batch": 30, "precision": "float32"},
    )
    plan = settle(spec, dataset, Code(str(folder)))
    chosen = plan.model(plan.spec.space.tree(next(iter(plan.spec.space.grid()))))
    keep = open_trainings.place(folder, "mine", plan.identity(chosen))
    return replace(jobs.train(plan, chosen, folder, 1), weights=str(folder / "0.pt"), keep=keep)


def told(job: Train, until: Callable[[Event], bool] = lambda _: False) -> list[Event]:
    """Return what a job tells that has not imported its code; until: what it does not live to see after that."""
    sys.modules.pop("planted_network", None)
    return killed_jobs.told(job, until)


def in_float32(samples: Samples) -> tuple[str, ...]:
    """Return the layers in float32 of what was measured."""
    assert samples.findings is not None
    return samples.findings.in_float32


def point(events: list[Event]) -> Quantised:
    """Return what was told of the file in 8 bits."""
    (found,) = [each for each in events if isinstance(each, Quantised)]
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """What the job tells of which 8 bits ruin a layer, if nothing interrupts it."""
    with kept_always():
        return told(made(tmp_path_factory.mktemp("whole"), 1000.0))


def test_a_layer_that_costs_accuracy_is_in_float32(whole: list[Event]) -> None:
    """It is named with both errors, the file loses at most 0.3 points, and the way is measured again before."""
    found, last = point(whole), reached(whole)[-1]
    (layer,) = found.why
    assert (("2",), "2", "accuracy", 3 * 8 * 4 * 9) == (found.float_layers, layer.name, layer.kind, found.float_bytes)
    assert isinstance(last, Reached)
    assert layer.before > error(last.score) + 0.3
    assert layer.after == error(found.score) <= error(last.score) + 0.003
    *_, again = measured(whole)
    assert [0, 1, 1] == [each.way for each in measured(whole)]
    assert isinstance(again, Measured)
    assert ("2",) == in_float32(again.samples[0])
    assert whole.index(again) < whole.index(found)
    assert Done() == whole[-1]


def test_what_loses_nothing_is_measured_once(tmp_path: Path) -> None:
    """All of it is in 8 bits, and nothing is tried."""
    events = told(made(tmp_path, 0.1))
    assert [0, 1] == [each.way for each in measured(events)]
    assert ((), (), 0) == (point(events).float_layers, point(events).why, point(events).float_bytes)


def test_a_trial_over_a_limit_tells_no_score(tmp_path: Path) -> None:
    """The study's reply to what was measured again decides, as to what was measured first."""
    sys.modules.pop("planted_network", None)
    events: list[Event] = []
    killed_jobs.working.run(made(tmp_path, 1000.0), events.append, lambda: 3 > len(measured(events)))
    assert [[0, 1, 1], []] == [[each.way for each in measured(events)], [e for e in events if isinstance(e, Quantised)]]
    assert not (tmp_path / "0.pt").exists()


@pytest.mark.parametrize("end", [Quantised, Measured])
def test_an_interrupted_trial_finds_the_same(tmp_path: Path, whole: list[Event], end: type[Event]) -> None:
    """Whether it ended before its way was measured again is kept, or after; what was measured first is not replaced."""
    job = made(tmp_path, 1000.0)
    first: list[Event] = []

    def last(event: Event) -> bool:
        first.append(event)
        return isinstance(event, end) and len(measured(first)) == 3

    told(job, last)
    second = told(job)
    assert measured(first) == measured(second) != []
    assert [0, 1, 1] == [each.way for each in measured(second)]
    assert point(whole) == point(second)
    assert Done() == second[-1]


def test_a_point_is_one_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Trial, confirmed seed, samples by turns, exported file and bundle have the layer in float32, and say why."""
    (tmp_path / "planted_network.py").write_text(NETWORK, "utf-8")
    study = tmp_path / "study.yaml"
    study.write_text(STUDY, "utf-8")
    code, _, err = run(capsys, "study", "run", str(study), "--allow-code")
    assert 0 == code, err
    (each,) = find(address("study.db", tmp_path)).candidates()
    (way,), (trained,), (by_turns,) = each.kept.ways, each.kept.samples, each.part.samples
    assert each.confirmed is not None
    assert [("2",)] * 4 == [way.float_layers, in_float32(trained), in_float32(by_turns), tuple(each.float_layers)]
    assert error(way.score) <= error(each.kept.score) + 0.003
    (member,) = json.loads(run(capsys, "study", "front", str(study), "--json")[1])["members"]
    assert [("2", "accuracy", error(way.score))] == [
        (layer["name"], layer["kind"], layer["after"]) for layer in member["float_layers"]
    ]
    assert "0 has in float32: '2': the error is" in " ".join(run(capsys, "study", "front", str(study))[1].split())
    assert 0 == run(capsys, "report", str(study), "-o", str(tmp_path / "report.html"))[0]
    exported(capsys, study, tmp_path)


def exported(capsys: pytest.CaptureFixture[str], study: Path, folder: Path) -> None:
    """Export a study's network as a file and as a bundle, and look for the layer in both."""
    path, bundle = folder / "net.onnx", folder / "bundle"
    taken = ("export", str(study), "--trial", "0", "--allow-code")
    code, out, err = run(capsys, *taken, "--to", "onnx", "-o", str(path))
    assert (0, True) == (code, "in float32 as it was measured: '2': the error is" in " ".join(out.split())), err
    assert "2" == {each.key: each.value for each in onnx.load(path).metadata_props}["archcost.float_layers"]
    code, _, err = run(capsys, *taken, "--bundle", str(bundle))
    assert 0 == code, err
    meta = json.loads((bundle / "meta.json").read_text("utf-8"))
    assert ["2"] == [layer["name"] for layer in meta["float_layers"]]
    assert "In float32, in the file and as it was measured" in (bundle / "card.md").read_text("utf-8")


def error(score: Score | None) -> float:
    """Return a score's error."""
    assert score is not None
    assert score.error is not None
    return score.error
