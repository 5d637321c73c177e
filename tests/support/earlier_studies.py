"""Studies that have been run, made without training: trials at chosen points, scores from a formula, real weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import measurements
from datasets_small import images
from optuna.trial import Trial

from archcost.data.splits import Dataset, fingerprint
from archcost.latency.samples import Conditions, Origin, Samples
from archcost.latency.targets.fake import DEVICE
from archcost.nets.net import build
from archcost.nets.weights import save_weights
from archcost.search.ask import Method, ask
from archcost.search.domains import Point
from archcost.study import run
from archcost.study.parts import parts
from archcost.study.plan import StudyPlan
from archcost.study.records import confirmed, trials, weights_folder
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.database.addresses import Address, address
from archcost.study.records.part import Part, achieved
from archcost.study.records.reasons import Reason
from archcost.study.records.stored import Stored, running
from archcost.study.records.trials import Begun, Ended, remember
from archcost.study.warm_start.queue import enqueue
from archcost.training.score import Score

PLAIN: Final = {"family": "bottleneck", "block": "basic", "depths": [1], "widths": [{"int": [4, 12]}]}
"""A template of nine points, called by `width`."""


def width(channels: int) -> Point:
    """Return a point of the plain template."""
    return {"0.widths.0": channels}


def dataset() -> Dataset:
    """Return stripes that have a test split."""
    made = images()
    return replace(made, read_test=lambda: made.validation)


def beside(folder: Path, name: str = "old.db") -> Address:
    """Return where a study in a folder is stored."""
    return address(name, folder)


def ran(plan: StudyPlan, where: Address, points: Iterable[Point], state: str = "complete") -> None:
    """Let a study have tried points, all with the same end; what is complete has weights."""
    with run.begun(plan, where) as stored:
        for point in points:
            _tried(plan, stored, point, state)


def _tried(plan: StudyPlan, stored: Stored, point: Point, state: str) -> None:
    study = running(stored)
    enqueue(study, plan, point)
    if state == "waiting":
        return
    asked = ask(study, plan.spec.space.draw, Method())
    model = plan.model(asked.built)
    begun = Begun("random", model.name, model.family, model.yaml, plan.identity(model))
    trials.begin(asked.trial, begun)
    trials.writes(asked.trial)
    found = tuple(_measured(plan, part) for part in parts(plan, model))
    trials.reach(asked.trial, 1, achieved(found[0], plan.objectives))
    _end(plan, stored, asked.trial, found, state)
    if state == "complete":
        mark: dict[str, str | int] = {"study": stored.identity, "trial": asked.trial.number, "digest": model.digest}
        net = build(model.graph, model.recipe, seed=asked.trial.number)
        save_weights(net, weights_folder.prepared(stored) / f"{asked.trial.number}.pt", mark)


def _end(plan: StudyPlan, stored: Stored, trial: Trial, found: tuple[Part, ...], state: str) -> None:
    study, seconds = running(stored), 2.0
    match state:
        case "complete":
            trials.end(study, trial, Ended(found, seconds=seconds), achieved(found[0], plan.objectives))
        case "repeats":
            ended = Ended(found, counts=False, repeats=0)
            trials.end(study, trial, ended, achieved(found[0], plan.objectives))
        case "pruned":
            trials.end(study, trial, Ended(found, Reason("pruned", "at epoch 1"), seconds=seconds), None)
        case "failed":
            trials.fail(study, trial, Ended(found, Reason("diverged", "diverged: loss 3.5"), seconds=seconds))
        case _:
            assert state == "running"


def _measured(plan: StudyPlan, part: Part) -> Part:
    score = Score(1.0, 60, error=0.1 + 10 / part.params)
    return replace(part, score=score, samples=tuple(_samples(plan, way, part) for way in range(len(plan.setups))))


def _samples(plan: StudyPlan, way: int, part: Part) -> Samples:
    setup = plan.setups[way]
    origin = Origin(setup.target, setup.runtime, DEVICE, Conditions(), (("torch", "2"),))
    return replace(measurements.noisy(1e-4 + part.macs * 1e-9, seed=part.macs), origin=origin, plan=setup.plan)


def confirm(plan: StudyPlan, where: Address, names: Iterable[str], data: Dataset) -> None:
    """Let networks of a study have been confirmed with two seeds, on a data set's test split."""
    with run.begun(plan, where) as stored:
        remember(running(stored), "test", fingerprint(data.read_test()))
        for name in names:
            number, _, column = name.partition("/")
            ended = stored.trials()[int(number)].ended
            assert ended is not None
            part = next(each for each in ended.parts if each.column == int(column or 0))
            scores = tuple(Score(1.0, 60, error=0.2 + seed / 100) for seed in (1, 2))
            confirmed.keep(running(stored), name, Confirmed((1, 2), scores, scores, part.samples))
