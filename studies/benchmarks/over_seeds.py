"""The networks of one study that was run once for each seed: means over seeds, with intervals.

The studies are of one file, run with `--set fit.seed=0 --storage seed-0.db` and so on. Networks are told apart by
their YAML. The interval is Student's of 95%, of as many seeds, of a perplexity of its logarithm; latencies are
the median over the studies.

--columns adds each column of a fractal network alone. --by NAME says for each two values of a parameter what the
second adds to the first objective: in each seed the mean over all pairs of networks that differ in nothing else, then
the mean over seeds with its interval.

    python studies/benchmarks/over_seeds.py seed-0.db seed-1.db seed-2.db [--columns] [--by columns drop_path.local]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import fmean, median, stdev

from sidebyside import table

from archcost.study.objectives import quantity_of
from archcost.study.records.database.addresses import address
from archcost.study.records.part import achieved
from archcost.study.records.stored import Stored, find, worded
from archcost.study.records.trials import Trial

STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571}
"""The 97.5% point of Student's distribution, by the number of seeds."""


@dataclass
class Network:
    """What the studies gave of one network: for each of them the objectives as they are stored."""

    name: str
    params: int
    values: list[list[float]] = field(default_factory=list)


def drawn(trial: Trial) -> str:
    """Return what was drawn of a network, without the number of its template."""
    parts = (f"{name.split('.', 1)[-1]}={value}" for name, value in trial.point.items() if name != "model")
    return " ".join(parts)


def gathered(studies: list[Stored], *, columns: bool) -> list[Network]:
    """Return every network that is complete in one of the studies, in the order of the first objective."""
    found: dict[tuple[str, int], Network] = {}
    for study in studies:
        for trial in study.trials():
            if trial.state == "complete" and trial.begun and trial.ended and trial.ended.repeats is None:
                for part in trial.ended.parts if columns else trial.ended.parts[:1]:
                    alone = f", column {part.column} alone" if part.column else ""
                    name = f"{trial.begun.family} {drawn(trial)}{alone}"
                    each = found.setdefault((trial.begun.yaml, part.column), Network(name, part.params))
                    each.values.append(list(achieved(part, study.objectives)))
    return sorted(found.values(), key=lambda each: fmean(values[0] for values in each.values))


def differences(study: Stored, name: str) -> dict[tuple[str, str], float]:
    """Return what each value of a parameter adds to the first objective of another, the mean over all pairs."""
    found: dict[tuple[str, str], list[float]] = {}
    whole = [each for each in study.trials() if each.state == "complete" and each.begun]
    for one, other in product(whole, whole):
        mine, others = ({key.split(".", 1)[-1]: value for key, value in each.point.items()} for each in (one, other))
        differ = {key for key in mine.keys() | others.keys() if mine.get(key) != others.get(key)}
        if differ == {name} and str(mine[name]) < str(others[name]):
            assert one.begun is not None
            assert other.begun is not None
            if one.begun.yaml != other.begun.yaml:  # else they are the same network
                found.setdefault((str(mine[name]), str(others[name])), []).append(other.values[0] - one.values[0])
    return {pair: fmean(each) for pair, each in found.items()}


def alone(study: Stored) -> dict[tuple[str, str], float]:
    """Return what each column alone adds to the first objective of the whole network that it was trained in."""
    found: dict[tuple[str, str], list[float]] = {}
    for trial in study.trials():
        if trial.state == "complete" and trial.ended and trial.ended.repeats is None and len(trial.ended.parts) > 1:
            whole, *parts = (achieved(part, study.objectives)[0] for part in trial.ended.parts)
            for column, value in enumerate(parts, 1):
                found.setdefault((f"all {len(parts)}", f"column {column}"), []).append(value - whole)
    return {pair: fmean(each) for pair, each in found.items()}


def added(by_seed: Sequence[dict[tuple[str, str], float]]) -> Iterator[tuple[str, str, str, str]]:
    """Yield the rows of what is added, with intervals over seeds."""
    for pair in sorted({pair for each in by_seed for pair in each}):
        every = [each[pair] for each in by_seed if pair in each]
        mean = fmean(every)
        half = STUDENT[len(every)] * stdev(every) / math.sqrt(len(every)) if len(every) in STUDENT else math.inf
        yield (*pair, f"{100 * mean:+.2f}", f"{100 * (mean - half):+.2f} to {100 * (mean + half):+.2f}")


def cell(study: Stored, values: list[list[float]], place: int) -> str:
    """Return the mean of an objective that is learnt with its interval, the median of any other."""
    each = [one[place] for one in values]
    shown = [*values[0]]
    if not quantity_of(study.objectives[place][0]).learnt:
        shown[place] = median(each)
        return worded(study, shown)[place]
    shown[place] = fmean(each)
    words = worded(study, shown)[place]
    if len(each) not in STUDENT:
        return f"{words} (no interval of {len(each)})"
    half = STUDENT[len(each)] * stdev(each) / math.sqrt(len(each))
    ends = []
    for end in (-half, half):
        shown[place] = fmean(each) + end
        ends.append(worded(study, shown)[place])
    return f"{words} ({ends[0]} to {ends[1]})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("storages", nargs="+")
    parser.add_argument("--columns", action="store_true")
    parser.add_argument("--by", nargs="+", default=[])
    given = parser.parse_args()
    studies = [find(address(each, Path.cwd())) for each in given.storages]
    heads = ("network", "seeds", "parameters", *studies[0].labels)
    rows = [
        (each.name, str(len(each.values)), f"{each.params:,}",
         *(cell(studies[0], each.values, place) for place in range(len(studies[0].objectives))))
        for each in gathered(studies, columns=given.columns)
    ]  # fmt: skip
    print(table(heads, rows))
    heads = ("from", "to", "points of the first objective", "over seeds")
    for name in given.by:
        print(f"\n{name}\n{table(heads, list(added([differences(each, name) for each in studies])))}")
    if given.columns:
        print(f"\ncolumns alone\n{table(heads, list(added([alone(each) for each in studies])))}")


if __name__ == "__main__":
    main()
