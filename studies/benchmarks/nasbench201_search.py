"""Fronts found in as many trials by the default search, by Optuna's TPE and by a plain local search.

NAS-Bench-201 (Dong and Yang 2020): 15,625 cells with their CIFAR-10 accuracy (the mean of its seeds) and their measured
latency on two devices; and three made-up problems, so that no method is made for one table. Every method sees stored
values (error, logarithm of latency). What counts is the share of the true front's hypervolume, on NAS-Bench-201 with
the latency as it is, from 80% accuracy and the 95th percentile of the latency. Means over seeds; below them how much
more the default search has than each other method, seed by seed: mean and its standard error.

    python studies/benchmarks/nasbench201_search.py [--seeds 24] [--first-seed 0] [--problems raspi4 ...]
"""

from __future__ import annotations

import argparse
import math
import os
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from statistics import fmean, stdev
from time import process_time

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna_point import suggest
from sidebyside import table

from archcost import ParetoSampler
from archcost.search.ask import Method, ask
from archcost.search.domains import Choice, Draw, Pick, Point, Real, Scalar, Whole, neighbours, points, sample
from archcost.search.pareto import front, hypervolume
from archcost.search.points import key

MARKS = (50, 100, 200)
DATA = Path(os.environ.get("ARCHCOST_DATA", Path(__file__).parents[3] / "shared/data")) / "nasbench201/nasbench201.npz"
Values = tuple[float, ...]


@dataclass(frozen=True)
class Problem:
    """A space with two objectives; reference: where the hypervolume is measured from; whole: that of the true front.

    counts: what of stored values the hypervolume is measured in.
    """

    draw: Draw
    value: Callable[[Point], Values]
    reference: Values
    whole: float
    counts: Callable[[Values], Values] = tuple

    def share(self, found: list[Values]) -> float:
        """Return the share of the true hypervolume that values found so far have."""
        return hypervolume([self.counts(each) for each in found], self.reference) / self.whole


def cells(device: int) -> Problem:
    """Return the cells of NAS-Bench-201 on a device: six edges with one of five operations each."""
    held = np.load(DATA, allow_pickle=False)
    names = tuple(map(str, held["op_names"]))
    errors = (100 - np.nanmean(held["acc_cifar10"], axis=1)).tolist()
    latencies = held["latency_ms"][device].tolist()
    places = {tuple(names[op] for op in ops): place for place, ops in enumerate(held["ops"].tolist())}

    def value(point: Point) -> Values:
        place = places[tuple(str(point[f"edge{edge}"]) for edge in range(6))]
        return errors[place], math.log(latencies[place])

    def counts(values: Values) -> Values:
        return values[0], math.exp(values[1])

    operation = Choice(names)
    reference = (20.0, float(np.percentile(latencies, 95)))
    whole = hypervolume(list(zip(errors, latencies, strict=True)), reference)
    return Problem(lambda pick: [pick(f"edge{edge}", operation) for edge in range(6)], value, reference, whole, counts)


def rugged() -> Problem:
    """Return eight choices of four; two objectives, each a sum of random tables over three choices (an NK model)."""
    chance = random.Random(201)
    corners = list(product(range(4), repeat=3))
    tables = [[{c: chance.random() for c in corners} for _ in range(8)] for _ in range(2)]

    def value(point: Point) -> Values:
        kinds = [int(point[str(place)] or 0) for place in range(8)]
        threes = [(kinds[p], kinds[(p + 1) % 8], kinds[(p + 3) % 8]) for p in range(8)]
        return tuple(sum(one[three] for one, three in zip(each, threes, strict=True)) for each in tables)

    return enumerated(lambda pick: [pick(str(place), Choice((0, 1, 2, 3))) for place in range(8)], value, (4.0, 4.0))


def ordered() -> Problem:
    """Return a convolutional network as a formula: depths and widths of three stages, error and cost."""

    def draw(pick: Pick) -> object:
        sizes = [(pick(f"depth{s}", Whole(1, 4)), pick(f"width{s}", Whole(8, 64, step=8))) for s in range(3)]
        return sizes, pick("kernel", Choice((3, 5)))

    def value(point: Point) -> Values:
        depths, widths = ([float(point[f"{name}{s}"] or 0) for s in range(3)] for name in ("depth", "width"))
        kernel = float(point["kernel"] or 0)
        stages = list(zip((0, 1, 2), depths, widths, strict=True))
        power = sum(math.log(width) * depth**0.4 * (0.6 + 0.3 * stage) for stage, depth, width in stages)
        narrow = sum(max(0.0, math.log(before / after)) for before, after in pairwise(widths))
        cost = sum(depth * width**2 * 4.0**-stage * kernel**2 for stage, depth, width in stages)
        return 5 + 40 * math.exp(-power / 4) + narrow - 0.2 * (kernel == 5), math.log(1e4 + cost)

    return enumerated(draw, value, (20.0, math.log(3e5)))


def nested() -> Problem:
    """Return two templates with parameters of their own, one with a width for each of its layers, and a real number."""

    def draw(pick: Pick) -> object:
        rate = pick("rate", Real(1e-4, 1e-1, log=True))
        if pick("model", Choice(("plain", "columns"))) == "columns":
            return rate, pick("columns", Whole(1, 4)), pick("width", Choice((8, 16, 32, 64)))
        layers = pick("layers", Whole(1, 5))
        assert isinstance(layers, int)
        return rate, [pick(f"layer{place}", Choice((0, 8, 16, 24, 48))) for place in range(layers)]

    def value(point: Point) -> Values:
        off = (math.log10(float(point["rate"] or 0)) + 2.4) ** 2
        if point["model"] == "columns":
            columns, width = float(point["columns"] or 0), float(point["width"] or 0)
            return 6 + 30 / (1 + columns * math.log(width)) + 2 * off, math.log(2**columns * width * 40)
        widths = [float(point[f"layer{place}"] or 0) for place in range(int(point["layers"] or 0))]
        kept = [width for width in widths if width]
        power = sum(math.log(w) * 0.8**p for p, w in enumerate(kept)) - 0.5 * (len(widths) - len(kept))
        return 8 + 40 * math.exp(-power / 2.5) + 3 * off, math.log(30 + sum(w * (w + 20) for w in kept))

    return enumerated(draw, value, (30.0, math.log(1e4)))  # the best rate is nearly on the grid: a share may exceed 1


def enumerated(draw: Draw, value: Callable[[Point], Values], reference: Values) -> Problem:
    """Return a problem whose true front is found by going through all its points."""
    every = {value(point) for point in points(draw)}
    return Problem(draw, value, reference, hypervolume(sorted(every), reference))


def by_archcost(problem: Problem, method: Method) -> Iterator[Values]:
    """Yield what trials find, one after another, that archcost asks for."""
    study = optuna.create_study(directions=["minimize", "minimize"])
    for _ in range(method.trials):
        asked = ask(study, problem.draw, method)
        yield (found := problem.value(asked.point))
        study.tell(asked.trial, found)


def by_optuna(problem: Problem, by: BaseSampler) -> Iterator[Values]:
    """Yield what a sampler finds by plain `study.optimize`."""
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=by)

    def objective(trial: optuna.Trial) -> Values:
        point: Point = {}

        def pick(name: str, domain: Choice | Whole | Real) -> Scalar:
            point[name] = suggest(trial, name, domain)
            return point[name]

        problem.draw(pick)
        return problem.value(point)

    study.optimize(objective, n_trials=MARKS[-1])
    yield from (tuple(trial.values) for trial in study.get_trials(deepcopy=False))


def multivariate(seed: int) -> BaseSampler:
    """Return Optuna's multivariate TPE."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, group=True)


def by_steps(problem: Problem, seed: int) -> Iterator[Values]:
    """Yield what a plain Pareto local search finds: ten random points, then some next to a random front member."""
    chance = random.Random(seed)
    tried: list[Point] = []
    found: list[Values] = []
    known = set()
    while True:
        members = list(front(found)) if len(found) >= 10 else []
        chance.shuffle(members)
        near = (each for member in members for each in neighbours(problem.draw, tried[member], chance))
        point = next((each for each in near if key(each) not in known), None) or sample(problem.draw, chance)
        if key(point) in known:
            continue
        known.add(key(point))
        tried.append(point)
        found.append(problem.value(point))
        yield found[-1]


DEFAULT = "archcost, default"
METHODS: Mapping[str, Callable[[Problem, int], Iterator[Values]]] = {
    DEFAULT: lambda problem, seed: by_archcost(problem, Method(seed=seed, trials=MARKS[-1])),
    "ParetoSampler": lambda problem, seed: by_optuna(problem, ParetoSampler(seed)),
    "TPE multivariate": lambda problem, seed: by_optuna(problem, multivariate(seed)),
    "TPE": lambda problem, seed: by_optuna(problem, TPESampler(seed=seed)),
    "NSGA-II": lambda problem, seed: by_optuna(problem, NSGAIISampler(seed=seed)),
    "plain local search": by_steps,
    "TPE without repeats": lambda problem, seed: by_archcost(problem, Method(seed=seed, trials=MARKS[-1], local=False)),
    "random": lambda problem, seed: by_archcost(problem, Method("random", seed, MARKS[-1])),
}
PROBLEMS: Mapping[str, Callable[[], Problem]] = {
    "gold_6226": lambda: cells(0),
    "raspi4": lambda: cells(1),
    "rugged": rugged,
    "ordered": ordered,
    "nested": nested,
}


def shares(problem: Problem, method: Callable[[Problem, int], Iterator[Values]], seed: int) -> list[float]:
    """Return the share of the hypervolume at each mark."""
    found: list[Values] = []
    for each, _ in zip(method(problem, seed), range(MARKS[-1]), strict=False):
        found.append(each)
    return [problem.share(found[:mark]) for mark in MARKS]


def report(name: str, seeds: range, methods: list[str]) -> None:
    """Print a problem's table."""
    problem = PROBLEMS[name]()
    found: dict[str, list[list[float]]] = {}
    for method in methods:
        begin = process_time()
        found[method] = [shares(problem, METHODS[method], seed) for seed in seeds]
        spent = (process_time() - begin) / len(seeds) / MARKS[-1]
        found[method].append([spent])
    rows = []
    for method, runs in found.items():
        means = [f"{fmean(column):.3f}" for column in zip(*runs[:-1], strict=True)]
        rows.append((method, *means, f"{runs[-1][0] * 1000:.1f} ms"))
    for method in methods[1:]:
        pairs = list(zip(found[DEFAULT][:-1], found[method][:-1], strict=True))
        gains = [[a[mark] - b[mark] for a, b in pairs] for mark in range(len(MARKS))]
        words = [f"{fmean(each):+.3f} ± {stdev(each) / math.sqrt(len(each)):.3f}" for each in gains]
        rows.append((f"more than {method}", *words, ""))
    heads = (f"{name}, {len(seeds)} seeds from {seeds.start}", *(f"{mark} trials" for mark in MARKS), "CPU a trial")
    print(f"{table(heads, rows)}\n", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--first-seed", type=int, default=0, help="develop on other seeds than those of a result")
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    for name in given.problems:
        if name in ("gold_6226", "raspi4") and not DATA.is_file():
            print(f"{name}: {DATA} is not there, left out\n")
            continue
        report(name, seeds, [DEFAULT, *(method for method in given.methods if method != DEFAULT)])


if __name__ == "__main__":
    main()
