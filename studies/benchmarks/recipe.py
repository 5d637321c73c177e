"""Does `optimiser: muon` reach in N epochs what the usual recipe reaches in 2N? The same networks, images and seeds.

A bottleneck network on CIFAR-10 and a fractal one on Fashion-MNIST, trained as a study trains them, one thread; the
error is of the validation split. `--examples 10000` trains on so many images, without it on all. Each training is
written to the record when it has ended, and a second call goes on where the first one ended.

    python studies/benchmarks/recipe.py --examples 10000 --epochs 4 [--seeds 3] [--out FILE]
    python studies/benchmarks/recipe.py --epochs 2 --times 2
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Final, TypeAlias

import torch
from kept import Kept
from sidebyside import machine, table

from archcost.config import document
from archcost.data.load import load
from archcost.data.spec import DataSpec
from archcost.models.load import expand
from archcost.nets.net import build
from archcost.training import fit, scoring, speed
from archcost.training.spec import Fit

OUT: Final = Path(__file__).with_name("recipe.csv")
NETWORKS: Final[Mapping[str, tuple[str, int, str]]] = {
    "bottleneck": (
        "cifar10",
        4,
        "{family: bottleneck, input: [3, 32, 32], classes: 10, depths: [1, 1, 1], widths: [32, 64, 128], reduction: 2}",
    ),
    "fractal": (
        "fashion-mnist",
        2,
        "{family: fractal, input: [1, 28, 28], classes: 10, columns: 2, widths: [16, 32, 64], "
        "drop_path: {global: 0.5}}",
    ),
}
"""Of each network its data, how far images are moved, and what it is."""
RECIPES: Final[Mapping[str, dict[str, object]]] = {"usual": {}, "muon": {"optimiser": "muon"}}
FIELDS: Final = ("network", "examples", "recipe", "epochs", "seed")


@dataclass(frozen=True)
class Run:
    """One training: `examples` 0 for all."""

    network: str
    examples: int
    recipe: str
    epochs: int
    seed: int

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it apart in the record."""
        return tuple(str(getattr(self, name)) for name in FIELDS)

    def trained(self) -> tuple[float, float]:
        """Return the error on the validation split, and the seconds that training took."""
        name, moved, text = NETWORKS[self.network]
        dataset = load(DataSpec(name=name, examples=self.examples or None), folder=Path.cwd())
        model = expand(document.load(text, f"{self.network}.yaml"))
        net = build(model.graph, model.recipe, seed=self.seed)
        keys = {"augment": {"flip": True, "translate": moved}, **RECIPES[self.recipe]}
        how = Fit.model_validate({"epochs": self.epochs, "seed": self.seed, **keys})
        seconds = sum(epoch.seconds for epoch in fit.epochs(fit.begin(net, dataset, how, threads=1)))
        error = scoring.evaluate(net, dataset.validation, dataset).error
        assert error is not None  # of images it is known
        return error, seconds


Recipes: TypeAlias = list[tuple[str, int]]
"""Names, each with how often the epochs that are asked for."""


def shown(known: Mapping[tuple[str, ...], float], examples: int, epochs: int, recipes: Recipes) -> str:
    """Return the table of what is known for so many examples, and for this number of epochs."""
    rows = []
    for network, (recipe, times) in product(NETWORKS, recipes):
        start = (network, str(examples), recipe, str(times * epochs))
        errors = [error for key, error in known.items() if key[:4] == start]
        if errors:
            spread = f" +- {100 * stdev(errors):.1f}" if len(errors) > 1 else ""
            each = ", ".join(f"{100 * error:.1f}" for error in errors)
            rows.append((network, recipe, times * epochs, f"{100 * fmean(errors):.1f}%{spread}", each))
    return table(("network", "recipe", "epochs", "validation error", "of each seed"), rows)


def main() -> None:
    """Train what is missing, the seeds in turn, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=0, help="training images, 0 for all")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 2, 3], help="epochs of the usual recipe")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    torch.set_num_threads(1)
    speed.keep_freed()
    kept = Kept(given.out, FIELDS)
    recipes = [("muon", 1), *(("usual", times) for times in given.times)]
    for seed, network, (recipe, times) in product(range(given.seeds), given.networks, recipes):
        run = Run(network, given.examples, recipe, times * given.epochs, seed)
        if run.key not in kept.errors():
            kept.add(run.key, *run.trained())
    print(machine())
    print(shown(kept.errors(), given.examples, given.epochs, recipes))


if __name__ == "__main__":
    main()
