"""Which networks of the final front does a rung end, and how much sooner is the front there? Judged by recorded curves.

A study is played back: the networks that rung_curves.py trained come in random order, one after another, and a rule
decides at each rung whether one goes on, by what the record says of it up to there. Objectives are the validation
error and the logarithm of the MACs (a latency measured beside other work would add noise that is not the rule's).
`ended`: of the networks on the front of all (columns too), those whose trial a rung ended; target at most 5%.
`epochs`: epochs trained until the complete trials have 95% of the hypervolume of that front, over those that it takes
without rungs in the same order, the median; target 1/2, goal 1/3. An order in which it is never there counts as
infinite. The hypervolume is that of `status`: from guessing, and a tenth beyond the costliest network; `tight` measures
from the worst error at the end instead, so that little of it is had for nothing.

    python studies/benchmarks/rung_rules.py [--data digits] [--record FILE] [--orders 200]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean, median
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rung_curves import DATA, EPOCHS, OUT, SEEDS
from sidebyside import table

from archcost.search import gaussian_process, halving
from archcost.search.pareto import dominates, front, hypervolume, ranks

Array: TypeAlias = NDArray[np.float64]
ENOUGH: Final = 0.95
GUESSING: Final = 0.9
GROUPS: Final = np.array([0, 1, 2, 3, 4, 4, 4])
FAMILY: Final = 4
POWERS: Final = np.array([0.25, 0.5, 1.0, 2.0])


@dataclass(frozen=True, eq=False)
class Curves:
    """A trained network: the errors of its parts after every epoch (part, epoch), the logarithm of their MACs (part,).

    family, network: its place among the families, and among the networks of its own.
    """

    family: int
    network: int
    errors: Array
    costs: Array

    def at(self, epoch: int) -> list[tuple[float, float]]:
        """Return the objectives of every part after so many epochs."""
        return list(zip(self.errors[:, epoch - 1].tolist(), self.costs.tolist(), strict=True))


@dataclass(frozen=True)
class Past:
    """What is known when a trial comes to a rung: those that came there before it, and of all the complete ones."""

    came: Sequence[Curves]
    complete: Sequence[Curves]


Rule: TypeAlias = Callable[[Curves, int, Past], bool]
"""Whether a network goes on after an epoch; of its curves it looks at nothing that comes later."""


def halved(share: float) -> Rule:
    """Return the rule of studies."""
    return lambda curves, epoch, past: halving.goes_on(curves.at(epoch), [each.at(epoch) for each in past.came], share)


def whole_alone(curves: Curves, epoch: int, past: Past) -> bool:
    """Return what the rule was before: a third goes on from the first trial on, by its whole network."""
    everyone = [each.at(epoch)[0] for each in (*past.came, curves)]
    place = ranks(everyone)
    better = sum(each < place[-1] for each in place)  # the crowding among equals left out
    return place[-1] == 0 or better + 1 <= len(everyone) / 3


def by_power_laws(share: float) -> Rule:
    """Return the rule of studies with errors that are carried on to the end by power laws."""

    def carried(curves: Curves, epoch: int) -> list[tuple[float, float]]:
        ends = [power_law(errors[:epoch]) for errors in curves.errors]
        return list(zip(ends, curves.costs.tolist(), strict=True))

    return lambda curves, epoch, past: halving.goes_on(
        carried(curves, epoch), [carried(each, epoch) for each in past.came], share
    )


def power_law(errors: Array) -> float:
    """Return the error after the last epoch of a + b / epoch**c, a and b at least 0, which fits the first ones best."""
    if len(errors) < 3:
        return float(errors[-1])
    epochs, best, end = np.arange(1, len(errors) + 1), math.inf, float(errors[-1])
    for power in POWERS:
        falling = epochs**-power
        slope = max(0.0, float(np.cov(falling, errors)[0, 1] / falling.var(ddof=1)))
        floor = max(0.0, float(errors.mean() - slope * falling.mean()))
        missed = float(((floor + slope * falling - errors) ** 2).sum())
        if missed < best:
            best, end = missed, floor + slope * EPOCHS**-power
    return end


def by_process(doubt: float, least: int = 5) -> Rule:
    """Return a rule that ends what a Gaussian process does not expect on the front of the complete networks.

    It learns from complete networks how much the logarithm of an error still falls from an epoch on, given that error,
    the fall in the epoch before, the cost, the family and whether it is a column. A network goes on if one of its parts
    would be on the front with an error of `doubt` standard deviations below what is expected. Until `least` are
    complete, all go on.
    """

    def rule(curves: Curves, epoch: int, past: Past) -> bool:
        if len(past.complete) < least:
            return True
        seen = np.concatenate([features(each, epoch) for each in past.complete])
        falls = np.concatenate([np.log(each.errors[:, -1] / each.errors[:, epoch - 1]) for each in past.complete])
        low, high = seen.min(axis=0), seen.max(axis=0)
        low[GROUPS == FAMILY], high[GROUPS == FAMILY] = 0, 1
        scaled, mine = ((each - low) / np.maximum(high - low, 1e-9) for each in (seen, features(curves, epoch)))
        scales = gaussian_process.fit(scaled, GROUPS, falls)
        mean, deviation = gaussian_process.predict(gaussian_process.process(scales, scaled, falls), mine)
        ends = curves.errors[:, epoch - 1] * np.exp(mean - doubt * np.sqrt(deviation**2 + scales.noise * falls.var()))
        reached = [values for each in past.complete for values in each.at(EPOCHS)]
        hoped = zip(ends.tolist(), curves.costs.tolist(), strict=True)
        return any(not any(dominates(each, one) for each in reached) for one in hoped)

    return rule


def features(curves: Curves, epoch: int) -> Array:
    """Return what the process knows of each part (part, 7): its error, how much it fell, its cost, a column, family."""
    now, before = (np.log(curves.errors[:, max(0, each)]) for each in (epoch - 1, epoch - 2))
    column, family = np.minimum(np.arange(len(now)), 1), np.eye(3)[[curves.family] * len(now)]
    return np.column_stack([now, now - before, curves.costs, column, family])


@dataclass(frozen=True)
class Played:
    """How a study went: its complete networks, and after each trial the epochs trained so far; which ones ended."""

    complete: Sequence[Curves | None]
    epochs: Sequence[int]


def play(order: Sequence[Curves], rungs: Sequence[int], rule: Rule) -> Played:
    """Play a study back: None in place of what a rung ended."""
    came: dict[int, list[Curves]] = {epoch: [] for epoch in rungs}
    complete: list[Curves | None] = []
    epochs: list[int] = []
    for each in order:
        spent, left = EPOCHS, False
        for epoch in rungs:
            known = [one for one in complete if one is not None]
            left = not rule(each, epoch, Past(came[epoch], known))
            came[epoch].append(each)
            if left:
                spent = epoch
                break
        complete.append(None if left else each)
        epochs.append(spent + (epochs[-1] if epochs else 0))
    return Played(complete, epochs)


def enough(played: Played, reference: Sequence[float], volume: float) -> float:
    """Return the epochs until complete trials have enough of a hypervolume; infinite if they never do."""
    found: list[tuple[float, float]] = []
    for each, epochs in zip(played.complete, played.epochs, strict=True):
        if each is not None:
            found += each.at(EPOCHS)
            if hypervolume(found, reference) >= ENOUGH * volume:
                return epochs
    return math.inf


@dataclass(frozen=True)
class Judged:
    """What a rule did over many orders: of the front's networks those ended, and the ratios of epochs."""

    ended: list[float]
    ratios: list[float]
    tight: list[float]
    trained: list[float]


def measures(curves: Sequence[Curves]) -> list[tuple[tuple[float, float], float]]:
    """Return where hypervolumes are measured from, and that of all networks: from guessing, and `tight`."""
    values = [one for each in curves for one in each.at(EPOCHS)]
    costs = [cost for _, cost in values]
    most = max(costs) + 0.1 * (max(costs) - min(costs))
    references = [(GUESSING, most), (max(error for error, _ in values), most)]
    return [(reference, hypervolume(values, reference)) for reference in references]


def judge(curves: Sequence[Curves], rungs: Sequence[int], rule: Rule, orders: int) -> Judged:
    """Play many orders of one study."""
    every = [(each, values) for each in curves for values in each.at(EPOCHS)]
    members = [every[place][0] for place in front([values for _, values in every])]
    wholes = measures(curves)
    found = Judged([], [], [], [])
    for number in range(orders):
        order = list(curves)
        Random(number).shuffle(order)
        whole, cut = play(order, (), rule), play(order, rungs, rule)
        kept = {id(each) for each in cut.complete if each is not None}
        found.ended.append(sum(id(each) not in kept for each in members) / len(members))
        found.trained.append(cut.epochs[-1] / whole.epochs[-1])
        for ratios, (reference, volume) in zip((found.ratios, found.tight), wholes, strict=True):
            ratios.append(enough(cut, reference, volume) / enough(whole, reference, volume))
    return found


def read(path: Path) -> tuple[list[str], list[list[Curves]]]:
    """Return the families, and for each seed (but one that has only begun) the networks whose training is on record."""
    with np.load(path, allow_pickle=False) as held:
        families, error, macs = held["families"].tolist(), held["error"].astype(float), held["macs"]
    studies: list[list[Curves]] = [[] for _ in range(SEEDS)]
    for row, nth, seed in np.ndindex(error.shape[:3]):
        parts = ~np.isnan(error[row, nth, seed, :, -1])
        if parts.any():
            studies[seed].append(Curves(row, nth, error[row, nth, seed, parts], np.log(macs[row, nth, parts])))
    most = max(map(len, studies))
    return families, [each for each in studies if len(each) > most / 2]  # a seed that has only begun is none


RULES: Final[dict[str, tuple[tuple[int, ...], Rule]]] = {
    "before: 1/3 of whole networks, at 1, 3": ((1, 3), whole_alone),
    "1/3 at 1, 3": ((1, 3), halved(1 / 3)),
    "1/3 at 1, 4": ((1, 4), halved(1 / 3)),
    "1/3 at 3": ((3,), halved(1 / 3)),
    "1/3 at 4": ((4,), halved(1 / 3)),
    "1/3 at 6": ((6,), halved(1 / 3)),
    "1/4 at 1, 3": ((1, 3), halved(1 / 4)),
    "1/2 at 1, 3": ((1, 3), halved(1 / 2)),
    "1/2 at 3": ((3,), halved(1 / 2)),
    "1/2 at 4": ((4,), halved(1 / 2)),
    "power laws, 1/3 at 3": ((3,), by_power_laws(1 / 3)),
    "power laws, 1/3 at 4": ((4,), by_power_laws(1 / 3)),
    "power laws, 1/3 at 6": ((6,), by_power_laws(1 / 3)),
    "process, 1 deviation, at 1, 3": ((1, 3), by_process(1.0)),
    "process, 1 deviation, at 2, 4": ((2, 4), by_process(1.0)),
    "process, 2 deviations, at 1, 3": ((1, 3), by_process(2.0)),
    "process, 1/2 deviation, at 1, 3": ((1, 3), by_process(0.5)),
    "process, 1 deviation, at 4": ((4,), by_process(1.0)),
}
HEADS: Final = ("rule", "ended", "epochs to 95%", "never there", "the same, tight", "never there", "all epochs")


def rows(studies: Sequence[Sequence[Curves]], orders: int, named: str) -> Iterator[tuple[str, ...]]:
    """Yield a row of the table for each rule whose name holds a text, over the orders of all studies."""
    for name, (rungs, rule) in RULES.items():
        if named not in name:
            continue
        found = [judge(each, rungs, rule, orders) for each in studies if each]
        ended, ratios, tight, trained = (
            [one for each in found for one in getattr(each, which)] for which in ("ended", "ratios", "tight", "trained")
        )
        yield (
            name,
            f"{fmean(ended):.1%}",
            *(
                cell
                for each in (ratios, tight)
                for cell in (f"{median(each):.2f}", f"{fmean(map(math.isinf, each)):.0%}")
            ),
            f"{fmean(trained):.2f}",
        )


def main() -> None:
    """Print a table for all families together, and one for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", choices=DATA, default="fashion-mnist")
    parser.add_argument("--record", type=Path)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--rules", default="", help="only those whose name holds this text")
    parser.add_argument("--together", action="store_true", help="leave out the families on their own")
    given = parser.parse_args()
    families, studies = read(given.record or OUT[given.data])
    print(f"{sum(map(len, studies))} trainings on record, {given.orders} orders of each seed\n")
    groups = [("all families", studies)]
    if not given.together:
        groups += [(name, [[one for one in each if one.family == row] for each in studies])
                   for row, name in enumerate(families)]  # fmt: skip
    for name, chosen in groups:
        counts = " and ".join(str(len(each)) for each in chosen if each)
        print(f"{name}, {counts} networks\n\n{table(HEADS, rows(chosen, given.orders, given.rules))}\n", flush=True)


if __name__ == "__main__":
    main()
