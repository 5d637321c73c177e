"""Studies of one space, each run for as long: whose front is better, and when.

The storages of each method follow its name and an equals sign, one for each seed. What is compared is what the
searches found, before anything is confirmed: complete networks, their columns alone, and each in all of its ways.
Training seeds differ from study to study, so that a network has an error in each; its latency is the median over all
studies that measured it, so that no study gains by a host that was quicker for a while. Hypervolumes are of error and
the logarithm of latency, measured from the worst of all points, and shown as shares of that of all studies together.

    python studies/benchmarks/equal_time.py archcost=a-0.db,a-1.db NSGA-II=n-0.db,n-1.db [--minutes 5 10 15 20]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean, median
from typing import TypeAlias

from sidebyside import table

from archcost.search import pareto
from archcost.study.records.database.addresses import address
from archcost.study.records.stored import Stored, find

Network: TypeAlias = tuple[str, int, str]
"""Its YAML, its column and its way."""
BUDGETS_US = (50, 100, 200, 400)


@dataclass(frozen=True)
class Found:
    """A point of a study: when it was there, in minutes after the first trial began, and what it is."""

    minute: float
    network: Network
    error: float
    latency_s: float


@dataclass(frozen=True)
class Run:
    """One study: its points in the order in which they were found; how many networks it trained, and a rung ended."""

    points: tuple[Found, ...]
    complete: int
    ended: int


def run(study: Stored) -> Run:
    """Return what a study found, and when."""
    trials = [each for each in study.trials() if each.begun and each.since]
    start = min(each.since for each in trials if each.since)
    points = []
    for each in study.searched():
        error, latency_s = study.restored(each.values)
        assert each.trial.until is not None
        assert each.trial.begun is not None
        network = (each.trial.begun.yaml, each.part.column, each.way.name)
        points.append(Found((each.trial.until - start).total_seconds() / 60, network, error, latency_s))
    states = [each.state for each in trials if each.ended and each.ended.repeats is None]
    return Run(tuple(sorted(points, key=lambda point: point.minute)), states.count("complete"), states.count("pruned"))


def pooled(runs: Sequence[Run]) -> dict[Network, float]:
    """Return the latency of each network, seconds: the median over the studies that have it."""
    found: dict[Network, list[float]] = {}
    for point in chain.from_iterable(each.points for each in runs):
        found.setdefault(point.network, []).append(point.latency_s)
    return {network: median(each) for network, each in found.items()}


def volume(points: Sequence[Found], latencies: Mapping[Network, float], worst: tuple[float, float]) -> float:
    """Return the hypervolume of points, of error and the logarithm of latency."""
    return pareto.hypervolume([(each.error, math.log(latencies[each.network])) for each in points], worst)


def best(points: Sequence[Found], latencies: Mapping[Network, float], budget_us: float) -> str:
    """Return the least error within a latency."""
    errors = [each.error for each in points if 1e6 * latencies[each.network] <= budget_us]
    return f"{100 * min(errors):.1f}%" if errors else "-"


def shown(methods: Mapping[str, Sequence[Run]], minutes: Sequence[float]) -> str:
    """Return the table: a row for each study, and for each method the means of its shares."""
    runs = list(chain.from_iterable(methods.values()))
    latencies, every = pooled(runs), [point for each in runs for point in each.points]
    worst = max(each.error for each in every), max(math.log(each) for each in latencies.values())
    whole = volume(every, latencies, worst)
    heads = ("method", "complete", "ended", *(f"{minute:g} min" for minute in minutes),
             *(f"error within {budget} us" for budget in BUDGETS_US), "least error")  # fmt: skip
    rows = []
    for name, held in methods.items():
        shares = []
        for seed, each in enumerate(held):
            until = [[point for point in each.points if point.minute <= minute] for minute in minutes]
            shares.append([volume(points, latencies, worst) / whole for points in until])
            last = until[-1]
            rows.append((f"{name}, seed {seed}", str(each.complete), str(each.ended),
                         *(f"{share:.3f}" for share in shares[-1]),
                         *(best(last, latencies, budget) for budget in (*BUDGETS_US, math.inf))))  # fmt: skip
        means = [f"{fmean(column):.3f}" for column in zip(*shares, strict=True)]
        rows.append((f"{name}, mean", "", "", *means, *[""] * (len(BUDGETS_US) + 1)))
    return table(heads, rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("methods", nargs="+", metavar="NAME=FILE,FILE")
    parser.add_argument("--minutes", nargs="+", type=float, default=[5.0, 10.0, 15.0, 20.0])
    given = parser.parse_args()
    named = dict(each.split("=", 1) for each in given.methods)
    methods = {
        name: [run(find(address(file, Path.cwd()))) for file in files.split(",")] for name, files in named.items()
    }
    print(shown(methods, sorted(given.minutes)))


if __name__ == "__main__":
    main()
