"""How many measurements a study needs that predicts latencies, and whether it finds the same front.

Two studies of the digits, with one sampler and seed: one measures every network before it is trained, the other
predicts what it takes, and measures those that may be on the front. The device has to be calibrated: eager, one thread.
Random points are the same in both, so that their fronts can be compared network by network: what the second one found
is judged by the latencies that the first one measured. Target: 5 times fewer measurements, the same front.

    archcost calibrate --threads 1
    python studies/benchmarks/predicted_study.py [--trials 40] [--sampler random] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from sidebyside import table

import archcost
from archcost.search import pareto
from archcost.study.records import confirmed
from archcost.study.records.database.addresses import address
from archcost.study.records.stored import Stored, find

TARGET = 5


def study(folder: Path, given: argparse.Namespace, *, predict: bool) -> dict[str, Any]:
    """Return a study of bottleneck and fractal networks, none of which is confirmed."""
    latency = {"latency": "min", "threads": 1, "time": "1s", **({"predict": True} if predict else {})}
    return {
        "name": "predicted" if predict else "measured",
        "models": [
            {
                "family": "bottleneck",
                "block": {"choice": ["basic", "bottleneck"]},
                "depths": {"repeat": {"int": [1, 3]}, "times": 2},
                "widths": {"scale": [8, 16], "by": {"choice": [1, 2, 3, 4]}},
            },
            {
                "family": "fractal",
                "columns": {"int": [1, 3]},
                "widths": {"scale": [8, 16], "by": {"choice": [1, 2, 4]}},
                "drop_path": {"local": 0.15, "global": 0.5},
            },
        ],
        "data": {"name": "digits"},
        "objectives": [{"error": "min"}, latency],
        "fit": {"epochs": 9, "batch": 64, "rungs": [1, 3, 9], "precision": "float32"},
        "search": {"sampler": given.sampler, "trials": given.trials, "seed": given.seed},
        "confirm": {"members": 0},
        "storage": str(folder / f"{'predicted' if predict else 'measured'}.db"),
    }


def measured(stored: Stored) -> tuple[int, int]:
    """Return how many networks, columns included, were measured in trials, and how many afterwards."""
    parts = [part for trial in stored.trials() if trial.ended and trial.ended.repeats is None
             for part in trial.ended.parts]  # fmt: skip
    again = [each for each in confirmed.everything(stored.study).values() if each.samples]
    return sum(len(part.samples) for part in parts), len(again)


def points(stored: Stored) -> dict[str, tuple[float, ...]]:
    """Return the stored values of every measured network of complete trials, by graph."""
    return {each.part.digest: each.values for each in stored.candidates()}


def ran(folder: Path, given: argparse.Namespace, *, predict: bool) -> Stored:
    """Return a study that has run."""
    said = study(folder, given, predict=predict)
    archcost.Study(said).run(workers=1)
    return find(address(said["storage"], folder))


def main() -> None:
    """Run both, and print what they measured and found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        whole, few = (ran(Path(made), given, predict=predict) for predict in (False, True))
    rows = [
        [each.name, *map(str, (*measured(each), len(each.awaited()), len(each.front().members)))]
        for each in (whole, few)
    ]
    print(table(["study", "measured in trials", "afterwards", "predicted only", "on the front"], rows))
    first, second = sum(measured(whole)), sum(measured(few))
    words = "met" if first >= TARGET * second else "missed"
    print(f"\n{first / second:.1f} times fewer measurements (target {TARGET}: {words})")
    compared(whole, few)
    print(json.dumps({"trials": given.trials, "sampler": given.sampler, "seed": given.seed}))


def compared(whole: Stored, few: Stored) -> None:
    """Print how much of the first study's front the second one found."""
    known, members = points(whole), [each.part.digest for each in whole.front().members]
    front = few.front().members
    found = [each.part.digest for each in front]
    reference = tuple(max(values[place] for values in known.values()) for place in range(2))
    ours, theirs = (
        pareto.hypervolume([known[each] for each in which if each in known], reference) for which in (members, found)
    )
    own = pareto.hypervolume([each.values for each in front], reference)
    here, there = set(members), set(found)
    print(f"{len(here & there)} of {len(here)} members found, {len(there - here)} others")
    print(f"hypervolume of what was found, by what the first one measured: {theirs / ours:.4f} of its own")
    print(f"by its own measurements: {own / ours:.4f}")


if __name__ == "__main__":
    main()
