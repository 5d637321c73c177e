"""What archcost itself takes for a trial, in large studies and with many workers, beside plain Optuna.

trials: milliseconds a trial of search and storage (`ask_and_tell.py`), in studies that hold many already; a hundred
trials in all, by 1 to 32 processes, on SQLite and PostgreSQL. The ways take turns, their order drawn anew in each
round; medians over rounds, in brackets the processor time of these processes, without a server's. ask: one ask alone,
in memory, on the cells of NAS-Bench-201. commands: seconds of commands that read a study of 5,000 trials, a process
each, and in brackets their processor time. memory: of a process over a thousand trials.

Results are kept in the file of --keep, so that a second call goes on; studies and their copies in --folder.

    python studies/benchmarks/overheads.py [--parts trials ask commands memory] [--minutes 240]
"""

from __future__ import annotations

import argparse
import math
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import optuna
from ask_and_tell import ARMS, DEFAULT, MULTIVARIATE, SAMPLER, Read, memory_bytes, read, took, warm
from kept import Kept
from large_studies import MANY, Places, places, searched, shown

from archcost.rows import as_markdown
from archcost.search.ask import Method, ask
from archcost.search.points import Memory, seen

ASKS = 40
COMMANDS = {
    "study status": ("study", "status"),
    "study front": ("study", "front"),
    "study table": ("study", "table"),
    "choose": ("choose",),
    "report": ("report", "-o", "report.html"),
}
TARGET_S = 10.0
_CPU = "commands, cpu"


@dataclass
class Bench:
    """A call of this: what was asked for, what is kept, and until when it begins anything."""

    given: argparse.Namespace
    kept: Kept
    there: Places
    end: float

    def measured(self, key: tuple[str, ...], value: float) -> None:
        """Keep a result."""
        self.kept.add(key, value, 0.0)

    def missing(self, keys: list[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
        """Yield what is not known yet, as long as there is time."""
        for key in keys:
            if key not in self.kept.errors() and time.monotonic() < self.end:
                yield key


def trials(bench: Bench) -> None:
    """Measure and show what a trial takes."""
    given, knowledge = bench.given, {}
    keys = []
    for turn in range(given.rounds):
        for known in given.known:
            for kind in given.storages:
                for workers in given.workers:
                    arms = random.Random(f"{turn}{known}{kind}{workers}").sample(given.arms, len(given.arms))
                    keys += [("trials", kind, str(known), str(workers), arm, str(turn)) for arm in arms]
    few = searched(bench.there.folder, 20)
    for kind in given.storages:
        warm(bench.there.copy(few, kind, plain=False), read(few))
    for key in bench.missing(keys):
        _, kind, known, workers, arm, _ = key
        file = searched(bench.there.folder, int(known))
        held: Read = knowledge.setdefault(known, None) or read(file)
        knowledge[known] = held
        url = bench.there.copy(file, kind, plain=not arm.startswith(DEFAULT))
        each = took(arm, url, held, int(workers), given.trials)
        bench.there.drop(url)
        bench.measured(("cpu", *key[1:]), 1000 * each.cpu_s)
        if each.lost:
            bench.measured(("lost", *key[1:]), each.lost)
        bench.measured(key, 1000 * each.wall_s)
    shown_trials(bench)


def shown_trials(bench: Bench) -> None:
    """Print a table for each kind of storage."""
    given, found = bench.given, bench.kept.errors()
    for kind in given.storages:
        rows = []
        for known in map(str, given.known):
            for workers in map(str, given.workers):
                row = [known, workers]
                for arm in given.arms:
                    place = [(kind, known, workers, arm, str(turn)) for turn in range(given.rounds)]
                    each = [found["trials", *key] for key in place if ("trials", *key) in found]
                    lost = sum(found.get(("lost", *key), 0.0) for key in place)
                    spent = [found["cpu", *key] for key in place if ("cpu", *key) in found]
                    text = f"{median(each):.0f} ms ({median(spent):.0f} ms)" if each and spent else "-"
                    row.append(f"{text}, {lost:.0f} errors" if lost else text)
                rows.append(tuple(row))
        print(f"{as_markdown((kind + ', trials held', 'workers', *given.arms), rows)}\n", flush=True)


def asks(_: Bench) -> None:
    """Measure and show one ask: the first of a process, which reads all trials, and those after it."""
    from nasbench201_search import PROBLEMS  # noqa: PLC0415  # it loads torch

    problem, rows = PROBLEMS["gold_6226"](), []
    for known in (200, 1000, 5000):
        study, memory = optuna.create_study(directions=["minimize", "minimize"]), Memory()
        for _ in range(known):
            asked = ask(study, problem.draw, Method("random"), memory=memory)
            study.tell(asked.trial, problem.value(asked.point))
        held = study.get_trials()
        list(seen(study, held, problem.draw, memory))
        spent: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        for seed in range(-2, ASKS):
            for remembers in random.Random(seed).sample([False, True], 2):
                again = optuna.create_study(directions=["minimize", "minimize"])
                again.add_trials(held)
                wall, cpu = time.perf_counter(), time.process_time()
                ask(again, problem.draw, Method(seed=seed), memory=memory if remembers else None)
                if seed >= 0:
                    spent[remembers].append((time.perf_counter() - wall, time.process_time() - cpu))
        cells = [f"{1000 * median(column):.0f} ms" for kind in spent.values() for column in zip(*kind, strict=True)]
        least = [f"{1000 * min(cpu for _, cpu in kind):.0f} ms" for kind in spent.values()]
        rows.append((str(known), *cells[:2], least[0], *cells[2:], least[1]))
    heads = ("trials held", "first ask", "CPU", "least CPU", "later asks", "CPU", "least CPU")
    print(f"{as_markdown(heads, rows)}\n", flush=True)


def commands(bench: Bench) -> None:
    """Measure and show the commands that read a study."""
    folder, given = bench.there.folder, bench.given
    most = max(given.known)
    file = shown(folder, most)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for kind in given.storages:
        where = str(file) if kind == "sqlite" else bench.there.copy(file, kind, plain=False)
        keys = [
            ("commands", kind, str(most), "1", each, str(turn)) for turn in range(given.rounds) for each in COMMANDS
        ]
        for key in bench.missing(keys):
            name, *more = COMMANDS[key[4]]
            words = [name, *more[: name == "study"], where, *more[name == "study" :]]
            begin, spent_s = time.monotonic(), _children_s()
            done = subprocess.run(  # noqa: S603  # our own command
                [sys.executable, "-m", "archcost", *words],
                cwd=folder,
                env=environment,
                capture_output=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(f"{words[0]}: {done.stderr.decode()[-500:]}")
            bench.measured((_CPU, *key[1:]), _children_s() - spent_s)
            bench.measured(key, time.monotonic() - begin)
    shown_commands(bench, str(most))


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def shown_commands(bench: Bench, most: str) -> None:
    """Print what commands took, in brackets their processor time."""
    given, found, rows = bench.given, bench.kept.errors(), []
    for each in COMMANDS:
        row, slowest_s = [each], 0.0
        for kind in given.storages:
            places = [(kind, most, "1", each, str(turn)) for turn in range(given.rounds)]
            both = [[found[what, *key] for key in places if (what, *key) in found] for what in ("commands", _CPU)]
            row.append(f"{median(both[0]):.1f} s ({median(both[1]):.1f} s)" if both[0] else "-")
            slowest_s = max(slowest_s, median(both[0]) if both[0] else math.inf)
        rows.append((*row, "met" if slowest_s <= TARGET_S else "missed"))
    print(f"{as_markdown((f'{most} trials', *given.storages, f'target: {TARGET_S:.0f} s'), rows)}\n", flush=True)


def memory(bench: Bench) -> None:
    """Show the memory of a worker's process that goes on."""
    rows = []
    for kind in bench.given.storages:
        file = searched(bench.there.folder, 1, MANY)
        url = bench.there.copy(file, kind, plain=False)
        found = memory_bytes(url, read(file), 1000, 200)
        bench.there.drop(url)
        growth = f"{(found[-1] - found[0]) / 2**20:+.1f} MiB" if found else "-"
        rows.append((kind, *(f"{each / 2**20:.1f} MiB" for each in found), growth))
    heads = ("resident memory after", *(f"{count} trials" for count in range(200, 1001, 200)), "growth")
    print(f"{as_markdown(heads, rows)}\n", flush=True)


PARTS = {"trials": trials, "ask": asks, "commands": commands, "memory": memory}


def main() -> None:
    """Measure what is wanted and not known yet, then print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--known", type=int, nargs="+", default=[100, 1000, 5000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 8, 32])
    parser.add_argument("--storages", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--arms", nargs="+", default=[DEFAULT, SAMPLER, MULTIVARIATE], choices=list(ARMS))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=240.0, help="after which nothing else begins")
    parser.add_argument("--keep", type=Path, default=Path("overheads.csv"))
    parser.add_argument("--folder", type=Path, default=Path("overheads"))
    given = parser.parse_args()
    given.folder.mkdir(exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kept = Kept(given.keep.resolve(), ("part", "storage", "known", "workers", "what", "round"), "value")
    end = time.monotonic() + 60 * given.minutes
    with places(given.folder.resolve(), given.storages) as there:
        for part in given.parts:
            PARTS[part](Bench(given, kept, there, end))


if __name__ == "__main__":
    main()
