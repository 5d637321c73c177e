"""Eight workers search as well as one: the share of a front that 200 trials find, by how many of them run at once.

NAS-Bench-201 on two devices, as `nasbench201_search.py` has it: the same space, reference point and hypervolume. The
workers are simulated: one that is free asks, and its trial ends between half and one and a half units of time later,
drawn by the seed. From the first asks to the last, as many trials run as there are workers, and the search sees those
as they are in a storage: running, without values. What many workers lose against one is paired seed by seed: the mean
and its 95% interval (Student), in points of the true hypervolume.

Results are kept in the file of --keep, a line for each search, so that a second call goes on.

    python studies/benchmarks/parallel_search.py [--seeds 20] [--first-seed 0] [--workers 1 8 32] [--minutes 240]
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import time
from pathlib import Path
from statistics import fmean, stdev

import optuna
from kept import Kept
from nasbench201_search import PROBLEMS, Problem, Values
from sidebyside import table

from archcost.search.ask import Asked, Method, ask
from archcost.search.points import Memory

UnderWay = list[tuple[float, int, Asked]]
TRIALS = 200
DEVICES = ("gold_6226", "raspi4")
LOSS = {8: 1.0, 32: 2.0}
"""Points that so many workers may lose."""
# two-sided 95% quantiles of Student's distribution by degrees of freedom, from tables; further on that of 30
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def searched(problem: Problem, workers: int, seed: int) -> float:
    """Return the share of the true hypervolume that a search by so many workers finds."""
    study = optuna.create_study(directions=["minimize", "minimize"])
    method, lengths, memory = Method(seed=seed, trials=TRIALS), random.Random(f"length:{seed}"), Memory()
    under_way: UnderWay = []
    found: list[Values] = []
    now = 0.0
    for number in range(TRIALS):
        if len(under_way) == workers:
            now = ended(study, problem, under_way, found)
        asked = ask(study, problem.draw, method, memory=memory)
        heapq.heappush(under_way, (now + lengths.uniform(0.5, 1.5), number, asked))
    while under_way:
        ended(study, problem, under_way, found)
    return problem.share(found)


def ended(study: optuna.Study, problem: Problem, under_way: UnderWay, found: list[Values]) -> float:
    """End the trial that is the first to end; return when that is."""
    now, _, asked = heapq.heappop(under_way)
    found.append(problem.value(asked.point))
    study.tell(asked.trial, found[-1])
    return now


def report(name: str, workers: list[int], seeds: range, known: dict[tuple[str, ...], float]) -> None:
    """Print a device's table, of the seeds that every number of workers has."""
    whole = [s for s in seeds if all((name, str(each), str(s)) in known for each in workers)]
    if len(whole) < 2:
        return
    rows = []
    one = [known[name, "1", str(seed)] for seed in whole]
    for each in workers:
        shares = [known[name, str(each), str(seed)] for seed in whole]
        lost = [100 * (a - b) for a, b in zip(one, shares, strict=True)]
        cells = ("", "", "")
        if each > 1:
            reach = STUDENT[min(len(lost) - 1, 30) - 1] * stdev(lost) / math.sqrt(len(lost))
            met = "" if each not in LOSS else "met" if fmean(lost) <= LOSS[each] else "missed"
            interval = f"{fmean(lost) - reach:+.2f} to {fmean(lost) + reach:+.2f}"
            cells = (f"{fmean(lost):+.2f} ({interval})", f"{max(lost):+.2f}", met)
        rows.append((str(each), f"{fmean(shares):.4f}", f"{min(shares):.4f}", *cells))
    first = f"{name}, workers, {len(whole)} seeds from {whole[0]}"
    heads = (first, "share", "least", "lost, points (95%)", "most", "target")
    print(f"{table(heads, rows)}\n", flush=True)


def main() -> None:
    """Run the searches that are missing, then print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0, help="develop on other seeds than those of a result")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--devices", nargs="+", default=list(DEVICES), choices=DEVICES)
    parser.add_argument("--minutes", type=float, default=240.0, help="after which no other search begins")
    parser.add_argument("--keep", type=Path, default=Path("parallel_search.csv"))
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kept, begin = Kept(given.keep, ("device", "workers", "seed"), "share"), time.monotonic()
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    problems = {name: PROBLEMS[name]() for name in given.devices}
    known = kept.errors()
    for key in [(name, str(each), str(seed)) for seed in seeds for each in given.workers for name in given.devices]:
        if key in known or time.monotonic() - begin > 60 * given.minutes:
            continue
        since = time.monotonic()
        known[key] = searched(problems[key[0]], int(key[1]), int(key[2]))
        kept.add(key, known[key], time.monotonic() - since)
    for name in given.devices:
        report(name, given.workers, seeds, known)


if __name__ == "__main__":
    main()
