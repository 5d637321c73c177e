"""Epochs that archcost and other searches train until nearly all of a front is known.

The learning curves of rung_curves.py stand in for training: a point that a method proposes is answered by the nearest
network on record that it has not tried yet. Nearest is by the parameters, each scaled to a length of 1 (different
options are 1 apart), among those of its family if one is left; of equals the first on record. From then on the trial
has that network's own parameters, so that every method learns what is true; with `--as-proposed` it keeps those that
were proposed. There is one space of three families, and a budget: the epochs of all networks, each tried once.

Every method is told the error and the logarithm of the MACs of the whole network when a training ends; what counts for
it are these and those of the columns, as a study's front has them. Rungs are seen by archcost, by MO-ASHA and by one
random search alone: Optuna prunes no trial of several objectives.

`epochs to 95%`: epochs trained until the complete trials have 95% of the hypervolume of all networks on record, the
median over seeds and its 95% bootstrap interval; from guessing, and (`tight`) from the worst error at the end, as in
rung_rules.py. A seed that is never there counts as infinite.

    python studies/benchmarks/search_peers.py [--data digits] [--seeds 20] [--kept FILE.csv] [--methods NSGA-II ...]

`--kept` names a file that results are added to, and which is read first: a second call goes on where one ended.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from random import Random
from statistics import median
from typing import Final, TypeAlias

import numpy as np
import optuna
import yaml
from nasbench201_search import multivariate
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler
from optuna.trial import Trial, TrialState
from optuna_point import suggest
from rung_curves import DATA, EPOCHS, MACS, OUT, SPACES, STUDY, points, spec
from rung_rules import ENOUGH, Array, Curves, Past, Rule, halved, measures, read
from sidebyside import table

from archcost.config import document
from archcost.search import ask, halving
from archcost.search.domains import Choice, Domain, Draw, Point, Scalar, active
from archcost.search.features import Axis, axes, features
from archcost.search.pareto import front, hypervolume
from archcost.search.points import distribution, stored
from archcost.search.space import MODEL
from archcost.study.drawn import Gives
from archcost.study.plan import StudyPlan
from archcost.study.spec import read_study

RESAMPLED: Final = 2000
HEADS: Final = ("method", "rungs", "epochs to 95%", "never there", "the same, tight", "never there")
Found: TypeAlias = tuple[float, float]
"""Epochs to 95% of the hypervolume from guessing, and of the tight one."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network on record: its curves, and its point in the space of all families."""

    curves: Curves
    point: Point


@dataclass(frozen=True, eq=False)
class Record:
    """The networks of one training seed; along: the parameters of their space; places: of each in it (network, q).

    wholes: where hypervolumes are measured from, and how much all networks have.
    """

    draw: Draw
    networks: tuple[Network, ...]
    along: tuple[Axis, ...]
    places: Array
    wholes: Sequence[tuple[tuple[float, float], float]]

    def nearest(self, point: Point, left: Sequence[int]) -> int:
        """Return which of the networks that are left is nearest to a point."""
        apart = ((self.places - features([point], self.along)) ** 2).sum(axis=1)
        return min(left, key=lambda nth: (self.networks[nth].point[MODEL] != point[MODEL], round(apart[nth], 9)))


def record(data: str, path: Path) -> Record:
    """Return the training seed with the most networks on record, and its space."""
    with np.load(path, allow_pickle=False) as held:
        made = [list(map(str, each)) for each in held["yaml"]]
    shapes = [yaml.safe_load(each[0])["input"] for each in made]
    known: dict[tuple[int, int], Point] = {}
    for row, family in enumerate(SPACES):
        plan = StudyPlan(spec(family, data), Gives(shapes[0], 10, "image", shapes[-1]), "", (), ())
        for nth, (point, model) in enumerate(points(family, plan)):
            assert model.yaml == made[row][nth], f"{path} holds other networks than rung_curves.py makes"
            inside = {f"{row}{name.removeprefix('0')}": value for name, value in point.items()}
            known[row, nth] = {MODEL: row, **inside}
    text = STUDY.format(space=", ".join(SPACES.values()), data=DATA[data], macs=MACS, epochs=EPOCHS)
    draw = read_study(document.load(text, "all.yaml")).space.draw
    curves = max(read(path)[1], key=len)
    networks = tuple(Network(each, known[each.family, each.network]) for each in curves)
    along = axes(domains(draw, each.point) for each in networks)
    return Record(draw, networks, along, features([each.point for each in networks], along), measures(curves))


def domains(draw: Draw, point: Point) -> dict[str, Domain]:
    """Return the domains of a point's parameters."""
    return active(draw, point, lambda name, _: point[name])[1]


OURS: Final = halved(halving.SHARE)
"""The rule of a study that gives no share."""
Ask: TypeAlias = Callable[[optuna.Study, Draw, int], tuple[Trial, Point]]
"""Begins the next trial of a study with a seed, and says at which point."""


@dataclass(frozen=True)
class Method:
    """A way to search: Optuna's sampler for a seed, how it is asked, and who goes on at which rungs."""

    sampler: Callable[[int], BaseSampler]
    ask: Ask
    rungs: tuple[int, ...] = ()
    rule: Rule = OURS


def asked(study: optuna.Study, draw: Draw, _: int) -> tuple[Trial, Point]:
    """Ask the study's own sampler, parameter by parameter."""
    trial, point = study.ask(), Point()

    def pick(name: str, domain: Domain) -> Scalar:
        point[name] = suggest(trial, name, domain)
        return point[name]

    draw(pick)
    return trial, point


def flat(study: optuna.Study, draw: Draw, _: int) -> tuple[Trial, Point]:
    """Ask the study's own sampler for the parameters of every family, those of the others than the chosen one in vain.

    NSGA-II and the GP learn of parameters that all trials have: of a conditional space that would be the family alone.
    """
    trial = study.ask()
    suggest(trial, MODEL, Choice(tuple(range(len(SPACES)))))

    def pick(row: int, name: str, domain: Domain) -> Scalar:
        return row if name == MODEL else suggest(trial, name, domain)

    for row in range(len(SPACES)):
        draw(partial(pick, row))
    return trial, active(draw, {}, partial(suggest, trial))[0]


def by_archcost(study: optuna.Study, draw: Draw, seed: int) -> tuple[Trial, Point]:
    """Ask as a study's run does, by default; the study's own sampler has no say."""
    found = ask.ask(study, draw, ask.Method(seed=seed))
    return found.trial, found.point


def mo_asha(eta: int) -> Rule:
    """Return the rule of MO-ASHA: the first 1/eta of those at a rung go on, sorted by fronts, each spread over.

    Within a front an epsilon-net: first the one with the least error, then always the one farthest from those before.
    Schmucker et al. 2021, arXiv:2106.12639; the sort is that of Salinas et al. 2021. Objectives, one network of each
    trial, and who goes on (place / count <= 1/eta, places from 0) are as in Syne Tune's MOASHA, which takes the sorted
    order for the places themselves; here they are the places, as the papers have it.
    """

    def rule(curves: Curves, epoch: int, past: Past) -> bool:
        values = np.array([each.at(epoch)[0] for each in (*past.came, curves)])
        order, left = list[int](), list(range(len(values)))
        while left:
            level = [left[place] for place in front(values[left].tolist())]
            order += spread(values, level)
            left = [each for each in left if each not in level]
        return order.index(len(values) - 1) / len(values) <= 1 / eta

    return rule


def spread(values: Array, level: Sequence[int]) -> Iterator[int]:
    """Yield the places of a front, each as far as can be from the nearest of those before; values: (n, m)."""
    left, nearest = list(level), -values[:, 0]  # the first is the one with the least error
    for turn in range(len(level)):
        yield (chosen := max(left, key=lambda each: float(nearest[each])))
        left.remove(chosen)
        apart = np.linalg.norm(values - values[chosen], axis=1)
        nearest = np.minimum(nearest, apart) if turn else apart


RUNG: Final = (EPOCHS // 3,)
"""Where docs/search.md advises it: one rung at a third of the epochs."""
EARLY: Final = (1, 3)
DEFAULT: Final = "archcost"


def nsga2(seed: int) -> BaseSampler:
    """Return Optuna's NSGA-II with generations of 12: its default of 50 would be one random generation here."""
    return NSGAIISampler(seed=seed, population_size=12)


def drawn(seed: int) -> BaseSampler:
    """Return Optuna's random sampler."""
    return RandomSampler(seed=seed)


METHODS: Final[Mapping[str, Method]] = {
    DEFAULT: Method(drawn, by_archcost, RUNG),
    "archcost, early rungs": Method(drawn, by_archcost, EARLY),
    "archcost without rungs": Method(drawn, by_archcost),
    "NSGA-II": Method(nsga2, flat),
    "TPE multivariate": Method(multivariate, asked),
    "GP": Method(lambda seed: GPSampler(seed=seed), flat),
    "MO-ASHA": Method(drawn, asked, (1, 3, 9), mo_asha(3)),
    "random": Method(drawn, asked),
    "random, archcost's rung": Method(drawn, asked, RUNG),
}


def moved(study: optuna.Study, trial: Trial, draw: Draw, point: Point) -> None:
    """Give a trial another point's parameters; those of another family that it had are left, and never read."""
    for name, domain in domains(draw, point).items():
        kind = distribution(domain)
        inside = kind.to_internal_repr(stored(domain, point[name]))
        study._storage.set_trial_param(trial._trial_id, name, inside, kind)


def search(known: Record, method: Method, seed: int, *, as_proposed: bool) -> Found:
    """Return the epochs until a method has enough of each hypervolume; infinite if it never has."""
    study = optuna.create_study(directions=["minimize"] * 2, sampler=method.sampler(seed))
    left, spent, values = list(range(len(known.networks))), 0, list[tuple[float, float]]()
    came: dict[int, list[Curves]] = {epoch: [] for epoch in method.rungs}
    there = [math.inf] * len(known.wholes)
    while left and math.inf in there:
        trial, point = method.ask(study, known.draw, seed)
        left.remove(nth := known.nearest(point, left))
        curves = known.networks[nth].curves
        if not as_proposed:
            moved(study, trial, known.draw, known.networks[nth].point)
        epochs = trained(curves, method, came)
        spent += epochs
        if epochs < EPOCHS:
            study.tell(trial, state=TrialState.PRUNED)
            continue
        study.tell(trial, curves.at(EPOCHS)[0])
        values += curves.at(EPOCHS)
        enough = [hypervolume(values, reference) >= ENOUGH * whole for reference, whole in known.wholes]
        there = [min(each, spent if is_there else math.inf) for each, is_there in zip(there, enough, strict=True)]
    return there[0], there[1]


def trained(curves: Curves, method: Method, came: Mapping[int, list[Curves]]) -> int:
    """Return after how many epochs a training ends, at a rung or at its end; it joins those that came to each."""
    for epoch in method.rungs:
        goes_on = method.rule(curves, epoch, Past(came[epoch], ()))
        came[epoch].append(curves)
        if not goes_on:
            return epoch
    return EPOCHS


Kept: TypeAlias = dict[tuple[str, int], Found]


def results(known: Record, names: Sequence[str], seeds: int, search: Callable[..., Found], kept: Path | None) -> Kept:
    """Return what every method and seed came to; what is kept in a file is not run again, the rest is added to it."""
    found: Kept = {}
    if kept and kept.is_file():
        with kept.open(newline="") as file:
            found = {(name, int(seed)): (float(one), float(tight)) for name, seed, one, tight in csv.reader(file)}
    for name in names:
        for seed in range(seeds):
            if (name, seed) not in found:
                found[name, seed] = search(known, METHODS[name], seed)
                if kept:
                    with kept.open("a", newline="") as file:
                        csv.writer(file).writerow((name, seed, *found[name, seed]))
    return found


def bootstrapped(values: Sequence[float], chance: Random) -> list[float]:
    """Return medians of values drawn again, as many as there are."""
    return [median(chance.choices(values, k=len(values))) for _ in range(RESAMPLED)]


def interval(drawn: Sequence[float]) -> tuple[float, float]:
    """Return the middle 95% of what was drawn again."""
    ordered = sorted(drawn)
    return ordered[round(0.025 * len(ordered))], ordered[round(0.975 * len(ordered)) - 1]


def rows(found: Kept, names: Sequence[str], seeds: int) -> Iterator[tuple[str, ...]]:
    """Yield a row of the table for each method."""
    for name in names:
        cells = []
        for which in range(2):
            each = [found[name, seed][which] for seed in range(seeds)]
            low, high = interval(bootstrapped(each, Random(0)))
            cells += [f"{median(each):.0f} ({low:.0f}-{high:.0f})", f"{sum(map(math.isinf, each))}"]
        yield (name, ", ".join(map(str, METHODS[name].rungs)) or "none", *cells)


def against_best(found: Kept, names: Sequence[str], seeds: int, which: int) -> str:
    """Return archcost's epochs over those of the best of the others, which is the one with the least median."""
    of = {name: [found[name, seed][which] for seed in range(seeds)] for name in names}
    best = min((name for name in names if not name.startswith(DEFAULT)), key=lambda name: median(of[name]))
    drawn = zip(*(bootstrapped(of[name], Random(nth)) for nth, name in enumerate((DEFAULT, best))), strict=True)
    low, high = interval([ours / theirs for ours, theirs in drawn])
    return f"{median(of[DEFAULT]) / median(of[best]):.2f} ({low:.2f}-{high:.2f}) of the epochs of {best}"


def main() -> None:
    """Print the table of one record, and how archcost compares with the best of the others."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", choices=DATA, default="fashion-mnist")
    parser.add_argument("--record", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--as-proposed", action="store_true", help="tell methods what their own points came to")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    known = record(given.data, given.record or OUT[given.data])
    names = [DEFAULT, *(name for name in given.methods if name != DEFAULT)]
    if "GP" in names and find_spec("scipy") is None:  # Optuna loads it at the first fit
        print("GP is left out: Optuna's GPSampler needs scipy, which is not installed\n")
        names.remove("GP")
    by = partial(search, as_proposed=given.as_proposed)
    found = results(known, names, given.seeds, by, given.kept)
    count = len(known.networks)
    print(f"{count} networks on record, {count * EPOCHS} epochs in all, {given.seeds} seeds\n")
    print(f"{table(HEADS, rows(found, names, given.seeds))}\n")
    for which, measured in enumerate(("from guessing", "tight")):
        print(f"{measured}: archcost takes {against_best(found, names, given.seeds, which)}")


if __name__ == "__main__":
    main()
