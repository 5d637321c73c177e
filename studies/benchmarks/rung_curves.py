"""Learning curves of real networks, every epoch kept: what rules that end trials at rungs are judged by.

Twenty networks of each of three families (bottleneck, fractal, HORNN on the rows of images), drawn at random from the
spaces below, with two seeds each: 6,000 images of Fashion-MNIST, 12 epochs, trained as a study trains, on one thread.
With `--data digits` the same on the digits that ship with archcost, in minutes: there rules are tried out.
Kept after every epoch: the error and the loss on the validation split, of the whole network and of every column that
a study scores (recalibrated as it does), the loss in training, and the seconds that training took. A second call goes
on where the first one ended; seed 0 comes first, the families by turns, so that a part of it is of use.

    python studies/benchmarks/rung_curves.py [--data digits] [--out FILE] [--most 120]
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
import torch

from archcost.config import document
from archcost.data.load import load
from archcost.data.splits import Dataset, as_rows
from archcost.files import placed
from archcost.graph.columns import only
from archcost.graph.cost import count
from archcost.models.load import Model
from archcost.nets.net import build
from archcost.search.domains import Point
from archcost.study.parts import columns
from archcost.study.plan import StudyPlan, settle
from archcost.study.spec import StudySpec, read_study
from archcost.training import calibration, fit, scoring, speed
from archcost.version import __version__

DATA: Final = {"fashion-mnist": "{name: fashion-mnist, examples: 6000}", "digits": "{name: digits}"}
OUT: Final = {name: Path(__file__).with_name(f"rung_curves_{name.replace('-', '_')}.npz") for name in DATA}
EPOCHS, NETWORKS, SEEDS, PARTS = 12, 20, 2, 4  # parts: the whole network and at most three columns
MACS: Final = 7_000_000  # of a network at most: 120 trainings shall end within a night
SPACES: Final = {
    "bottleneck": "{family: bottleneck, depths: {repeat: {int: [1, 2]}, times: 3}, widths: {scale: [16, 32, 64], "
    "by: {choice: [0.25, 0.5, 0.75, 1, 1.5]}}, reduction: {choice: [1, 2, 4]}}",
    "fractal": "{family: fractal, columns: {int: [2, 3]}, widths: {choice: [[4, 8], [6, 12], [8, 8], [8, 16], [8, 24], "
    "[12, 24], [16, 16], [4, 8, 8], [4, 8, 16], [6, 12, 24], [8, 8, 16], [8, 16, 16], [8, 16, 32], [12, 24, 48]]}, "
    "drop_path: {local: {choice: [0.0, 0.15]}, global: 0.5}}",
    "hornn": "{family: hornn, hidden: {int: [16, 128], log: true}, order: {int: [1, 3]}, "
    "pooling: {choice: [none, max, fofe, gated]}}",
}
STUDY: Final = """
models: [{space}]
data: {data}
objectives: [{{error: min}}, {{macs: min}}]
limits: {{macs: {macs}}}
fit: {{epochs: {epochs}, precision: float32, seed: 0}}
"""


def spec(family: str, data: str) -> StudySpec:
    """Return the study of a family on a data set."""
    text = STUDY.format(space=SPACES[family], data=DATA[data], macs=MACS, epochs=EPOCHS)
    return read_study(document.load(text, f"{family}.yaml"))


def networks(family: str, data: str, images: Dataset) -> list[tuple[StudyPlan, Model]]:
    """Return a family's networks, no two alike and none too large; the same ones at every call."""
    plan = settle(spec(family, data), images)
    return [(plan, model) for _, model in points(family, plan)]


def points(family: str, plan: StudyPlan) -> list[tuple[Point, Model]]:
    """Return the points of a family's networks in its space, each with its network; of data only their shape counts."""
    chance, found = Random(f"rungs {family}"), dict[str, tuple[Point, Model]]()
    for _ in range(100 * NETWORKS):
        model = plan.model(plan.spec.space.tree(point := plan.spec.space.sample(chance)))
        assert isinstance(model, Model)
        if model.cost.macs <= MACS:
            found.setdefault(model.digest, (point, model))
        if len(found) == NETWORKS:
            return list(found.values())
    sys.exit(f"the space of {family} has only {len(found)} networks that are small enough")


def blank(chosen: dict[str, list[tuple[StudyPlan, Model]]]) -> dict[str, np.ndarray]:
    """Return the arrays of a record without results: NaN where nothing is known.

    error, loss: (family, network, seed, part, epoch), part 0 is the whole network; train_loss, seconds: (family,
    network, seed, epoch); macs, params: (family, network, part); yaml: (family, network).
    """
    shape = (len(SPACES), NETWORKS, SEEDS)
    curves = {name: np.full((*shape, PARTS, EPOCHS), np.nan, np.float32) for name in ("error", "loss")}
    trained = {name: np.full((*shape, EPOCHS), np.nan, np.float32) for name in ("train_loss", "seconds")}
    counts = {name: np.full((*shape[:2], PARTS), np.nan) for name in ("macs", "params")}
    for (row, family), nth in product(enumerate(SPACES), range(NETWORKS)):
        model = chosen[family][nth][1]
        graphs = [model.graph, *(only(model.graph, [column]) for column in columns(model))]
        for part, cost in enumerate(map(count, graphs)):
            counts["macs"][row, nth, part], counts["params"][row, nth, part] = cost.macs, cost.params
    names = {
        "families": np.array(list(SPACES)),
        "yaml": np.array([[model.yaml for _, model in chosen[family]] for family in SPACES]),
        "made_by": np.array([f"archcost {__version__}", f"torch {torch.__version__}"]),
    }
    return curves | trained | counts | names


def train(plan: StudyPlan, model: Model, images: Dataset, seed: int) -> dict[str, np.ndarray]:
    """Return the curves of one training: error and loss (part, epoch), train_loss and seconds (epoch,)."""
    data = as_rows(images) if model.graph.steps is not None else images
    net = build(model.graph, model.recipe, seed=seed)
    parts = columns(model)
    found = {name: np.full((PARTS, EPOCHS), np.nan, np.float32) for name in ("error", "loss")}
    found |= {name: np.full(EPOCHS, np.nan, np.float32) for name in ("train_loss", "seconds")}
    how = plan.spec.study.fit.model_copy(update={"seed": seed})
    for epoch in fit.epochs(fit.begin(net, data, how, threads=1)):
        at = epoch.number - 1
        found["train_loss"][at], found["seconds"][at] = epoch.loss, epoch.seconds
        if parts:
            calibration.recalibrate(net, data)
        for part, scored in enumerate((net, *map(net.column, parts))):
            score = scoring.evaluate(scored, data.validation, data)
            found["error"][part, at], found["loss"][part, at] = score.error, score.loss
    return found


def main() -> None:
    """Train what is missing, and write the record after each training."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", choices=DATA, default="fashion-mnist")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--most", type=int, default=len(SPACES) * NETWORKS * SEEDS, help="trainings of this call")
    given = parser.parse_args()
    out = given.out or OUT[given.data]
    torch.set_num_threads(1)
    speed.keep_freed()
    images = load(spec("hornn", given.data).study.data, folder=Path.cwd())
    chosen = {family: networks(family, given.data, images) for family in SPACES}
    record = blank(chosen)
    if out.is_file():
        with np.load(out, allow_pickle=False) as held:
            if not np.array_equal(held["yaml"], record["yaml"]):
                sys.exit(f"{out} holds other networks; allowed: a file of this command, or one that is not there")
            record = {name: held[name] for name in held.files}
    missing = [place for place in product(range(SEEDS), range(NETWORKS), range(len(SPACES)))
               if np.isnan(record["seconds"][place[2], place[1], place[0], -1])]  # fmt: skip
    for seed, nth, row in missing[: given.most]:
        family = list(SPACES)[row]
        for name, values in train(*chosen[family][nth], images, seed).items():
            record[name][row, nth, seed] = values
        with placed(out) as part, part.open("wb") as file:
            np.savez_compressed(file, **record)
        error, took = record["error"][row, nth, seed, 0, -1], record["seconds"][row, nth, seed].sum()
        print(f"{family} {nth}, seed {seed}: error {error:.4f} after {took:.0f} s of training", flush=True)


if __name__ == "__main__":
    main()
