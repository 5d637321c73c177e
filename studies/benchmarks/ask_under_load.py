"""How long a study takes to choose its next point while its trials keep every core busy: BLAS with one thread or all.

Both ask the same question of the same 200 known trials and take turns, the order drawn anew each time; as many other
processes as there are cores count without end. Medians over pairs, and the range of the middle half of the ratios.

    python studies/benchmarks/ask_under_load.py [--pairs 30]
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import optuna
from nasbench201_search import PROBLEMS, Problem
from optuna.trial import FrozenTrial
from sidebyside import table

from archcost.search import ask as searching
from archcost.search.ask import Method, ask

KNOWN = 200
LIMITED = searching.one_thread


def known(problem: Problem) -> list[FrozenTrial]:
    """Return trials of a study at random points."""
    study = optuna.create_study(directions=["minimize", "minimize"])
    for _ in range(KNOWN):
        asked = ask(study, problem.draw, Method("random"))
        study.tell(asked.trial, problem.value(asked.point))
    return study.get_trials()


def took_s(problem: Problem, trials: list[FrozenTrial], seed: int, within: Callable[[], Any]) -> float:
    """Return the seconds of one ask; within: the context that a point is chosen in."""
    study = optuna.create_study(directions=["minimize", "minimize"])
    study.add_trials(trials)
    searching.one_thread = within
    begin = perf_counter()
    ask(study, problem.draw, Method(seed=seed))
    return perf_counter() - begin


def pairs(problem: Problem, trials: list[FrozenTrial], count: int) -> list[tuple[float, float]]:
    """Return the seconds of asks with one thread and with all, the same question in each pair."""
    chance, found = random.Random(0), []
    for seed in range(-1, count):
        one, every = LIMITED, nullcontext
        both = {each: took_s(problem, trials, seed, each) for each in chance.sample([one, every], 2)}
        found.append((both[one], both[every]))
    return found[1:]  # the first pair loads what the others find loaded


@contextmanager
def load(processes: int) -> Iterator[None]:
    """Keep cores busy."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for each in busy:
            each.kill()
            each.wait()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=30)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    problem, cores, rows = PROBLEMS["ordered"](), os.cpu_count() or 1, []
    trials = known(problem)
    for processes in (0, cores):
        with load(processes):
            found = pairs(problem, trials, given.pairs)
        low, middle, high = quantiles([every / one for one, every in found], n=4)
        medians = [f"{1000 * median(each):.0f} ms" for each in zip(*found, strict=True)]
        rows.append((str(processes), *medians, f"{middle:.2f} ({low:.2f}-{high:.2f})"))
    heads = (f"other processes, {cores} cores", "one thread", "all threads", "times faster (middle half)")
    print(table(heads, rows))


if __name__ == "__main__":
    main()
