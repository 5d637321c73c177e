"""The networks of one study that was run once for each seed: means over seeds, with intervals.

The studies are of one file, run with `--set fit.seed=0 --storage seed-0.db` and so on. Networks are told apart by
their YAML. The interval is Student's of 95%, of as many seeds, of a perplexity of its logarithm; latencies are
the median over the studies.

    python studies/benchmarks/over_seeds.py seed-0.db seed-1.db seed-2.db
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median, stdev

from sidebyside import table

from archcost.study.objectives import quantity_of
from archcost.study.records.database.addresses import address
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


def gathered(studies: list[Stored]) -> list[Network]:
    """Return every network that is complete in one of the studies, in the order of the first objective."""
    found: dict[str, Network] = {}
    for study in studies:
        for trial in study.trials():
            if trial.state == "complete" and trial.begun and trial.ended and trial.ended.repeats is None:
                part = trial.ended.parts[0]
                each = found.setdefault(trial.begun.yaml, Network(f"{trial.begun.family} {drawn(trial)}", part.params))
                each.values.append(list(trial.values))
    return sorted(found.values(), key=lambda each: fmean(values[0] for values in each.values))


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
    given = parser.parse_args()
    studies = [find(address(each, Path.cwd())) for each in given.storages]
    heads = ("network", "seeds", "parameters", *studies[0].labels)
    rows = [
        (each.name, str(len(each.values)), f"{each.params:,}",
         *(cell(studies[0], each.values, place) for place in range(len(studies[0].objectives))))
        for each in gathered(studies)
    ]  # fmt: skip
    print(table(heads, rows))


if __name__ == "__main__":
    main()
