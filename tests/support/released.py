"""Studies on disk with weights that were trained for a moment, made in this process: what exports begin with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import torch
from measurements import samples
from plans import drawn

from archcost.data.load import load as load_data
from archcost.data.splits import Dataset, as_rows, fingerprint
from archcost.models.load import Model
from archcost.nets.net import Net, build
from archcost.nets.weights import save_weights
from archcost.study import run
from archcost.study.parts import parts
from archcost.study.plan import StudyPlan, settle
from archcost.study.records import confirmed, trials, weights_folder
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.front import Candidate
from archcost.study.records.part import achieved
from archcost.study.records.source import address_of
from archcost.study.records.stored import Stored, network
from archcost.study.records.trials import Begun, Ended, remember
from archcost.study.release import seeds
from archcost.study.spec import load_study
from archcost.training import calibration, fit, scoring

DIGITS: Final = """
models: [{family: fractal, columns: 2, widths: [4, 8], drop_path: {global: 0.5}}]
data: {name: digits, examples: 300}
objectives: [{error: min}, {latency: min, target: fake, threads: 1, time: 0.05}]
fit: {epochs: 2, rungs: [2], precision: float32}
confirm: {seeds: 3, members: 8}
"""
TEXT: Final = """
models: [{family: hornn, hidden: 8, order: 2}]
data: {name: text, path: said.txt, steps: 6}
objectives: [{perplexity: min}]
fit: {epochs: 1, rungs: [1], precision: float32}
"""
WORDS: Final = "the cat saw the dog and the dog saw a cat\nno dog was there\n" * 40
APART: Final = """
import sys

class Refused:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("torch", "archcost", "safetensors", "pandas", "optuna"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Refused())
sys.path.insert(0, sys.argv[1])
import numpy as np
from predict import META, predict

with np.load(sys.argv[2], allow_pickle=False) as held:
    images, labels = held["x"], held["y"]
print(np.mean(predict(images).argmax(1) != labels), META["test"]["error"], META["test"]["count"], len(labels))
"""
"""A process in which neither torch nor archcost can be imported: the test error by predict.py of a bundle."""


def apart(folder: Path, *arguments: str | Path) -> str:
    """Return what a Python prints that knows neither this checkout nor its environment variables."""
    typed = [sys.executable, "-I", *map(str, arguments)]
    done = subprocess.run(typed, cwd=folder, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def released(folder: Path, study: str = DIGITS, names: tuple[str, ...] = ("0",), count: int = 3) -> Path:
    """Write a study with one trial, of which the networks named are confirmed with so many seeds; return its file."""
    file = folder / "study.yaml"
    file.write_text(study, "utf-8")
    spec = load_study(file)
    dataset = load_data(spec.study.data, folder=folder)
    plan = settle(spec, dataset)
    with run.begun(plan, address_of(spec, folder)) as stored:
        weights_folder.prepared(stored)
        _tried(stored, plan, dataset)
        remember(stored.study, "test", fingerprint(dataset.read_test()))  # type: ignore[arg-type]  # it is open
        for each in stored.candidates():
            if each.name in names:
                _confirmed(stored, plan, dataset, each, count)
    return file


def _of(dataset: Dataset, model: Model) -> Dataset:
    return as_rows(dataset) if dataset.kind == "image" and model.steps is not None else dataset


def _trained(plan: StudyPlan, dataset: Dataset, model: Model, seed: int) -> Net:
    torch.set_num_threads(1)
    net = build(model.graph, model.recipe, seed=seed)
    how = plan.spec.study.fit.model_copy(update={"seed": seed})
    for _ in fit.epochs(fit.begin(net, dataset, how, threads=1)):
        pass
    return net.eval()


def _tried(stored: Stored, plan: StudyPlan, dataset: Dataset) -> None:
    """Add a complete trial of the first network of the space, with the file of its weights."""
    study, model = stored.study, drawn(plan)
    data = _of(dataset, model)
    trial = study.ask()  # type: ignore[union-attr]  # it is open
    trials.begin(trial, Begun("random", model.name, model.family, model.yaml, plan.identity(model)))
    trials.writes(trial)
    net = _trained(plan, data, model, 0)
    if data.kind == "image":
        calibration.recalibrate(net, data)
    mark: dict[str, str | int] = {"study": stored.identity, "trial": trial.number, "digest": model.digest}
    folder = weights_folder.folder_of(stored.address, stored.name, stored.identity)
    save_weights(net, folder / f"{trial.number}.pt", mark)
    found = []
    for each in parts(plan, model):
        part = net.column(each.column) if each.column else net
        score = scoring.evaluate(part, data.validation, data)
        found.append(_with(each, score, tuple(samples([[1e-4 * (3 - each.column)]] * 8) for _ in plan.setups)))
    trials.end(study, trial, Ended(tuple(found)), achieved(found[0], plan.objectives))  # type: ignore[arg-type]


def _with(part: trials.Part, score: object, taken: tuple[object, ...]) -> trials.Part:
    from dataclasses import replace

    return replace(part, score=score, samples=taken)  # type: ignore[arg-type]  # as a trial has them


def _confirmed(stored: Stored, plan: StudyPlan, dataset: Dataset, each: Candidate, count: int) -> None:
    model = network(each)
    data, numbers = _of(dataset, model), tuple(range(1, count + 1))
    folder = weights_folder.folder_of(stored.address, stored.name, stored.identity)
    scores, tests = [], []
    for seed in numbers:
        net = _trained(plan, data, model, seed)
        scores.append(scoring.evaluate(net, data.validation, data))
        tests.append(scoring.evaluate(net, data.read_test(), data))
        mark = {**seeds.mark_of(stored.identity, each, seed), "digest": model.digest}
        save_weights(net, weights_folder.seed_file(folder, each.trial.number, each.part.column, seed), mark)
    taken = tuple(each.part.samples)
    confirmed.keep_files(stored.study, each.name, numbers)  # type: ignore[arg-type]  # it is open
    confirmed.keep(stored.study, each.name, Confirmed(numbers, tuple(scores), tuple(tests), taken))  # type: ignore[arg-type]
