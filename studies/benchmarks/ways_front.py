"""What ways to run do to a study's front: its hypervolume with all ways, against that of eager float32 alone.

One study on Fashion-MNIST (6,000 training images; all of the validation split), residual and fractal networks. The
ways are eager float32, ONNX Runtime float32 and ONNX Runtime int8, one thread, batch 1. Every training is one and the
same for all ways, and every hypervolume is from the same reference point: error by its share, latency by its logarithm.
The front of a way alone is what the study would have found of the same trainings without the other ways. Fronts are
those of the search, one seed a network, unless --confirm is given.

    python studies/benchmarks/ways_front.py [--trials 24] [--epochs 6] [--confirm 0] [--folder FOLDER]

With --folder the study stays there, and goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sidebyside import machine, table

from archcost.study.records.database.addresses import address
from archcost.study.records.front import Candidate, Front
from archcost.study.records.stored import Stored, find
from archcost.units import duration, percent

WAYS = [{"runtime": "eager"}, {"runtime": "onnxruntime"}, {"runtime": "onnxruntime", "dtype": "int8"}]
MODELS: list[dict[str, Any]] = [
    {"family": "bottleneck", "block": "basic", "depths": {"repeat": {"int": [1, 3]}, "times": 3},
     "widths": {"scale": [8, 16, 32], "by": {"choice": [1, 2, 3]}}},
    {"family": "fractal", "columns": {"int": [1, 3]}, "widths": {"scale": [16, 32], "by": {"choice": [1, 2, 3]}},
     "drop_path": {"global": 0.5}},
]  # fmt: skip


def study(trials: int, epochs: int, confirm: int) -> dict[str, Any]:
    """Return the study as its file holds it."""
    return {
        "name": "ways",
        "models": MODELS,
        "data": {"name": "fashion-mnist", "examples": 6000},
        "objectives": [{"error": "min"}, {"latency": "min", "threads": 1, "ways": WAYS}],
        "fit": {"epochs": epochs},
        "search": {"trials": trials},
        "confirm": {"members": confirm},
    }


def ran(folder: Path, wanted: dict[str, Any]) -> Stored:
    """Run the study in a folder, or go on with it, one trial at a time; return what is stored."""
    (folder / "study.yaml").write_text(json.dumps(wanted), "utf-8")
    command = (sys.executable, "-m", "archcost", "study", "run", "study.yaml", "--workers", "1")
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # our own words
    return find(address("study.db", folder))


def row(name: str, now: Front, alone: float) -> tuple[object, ...]:
    """Return a front as a row: members, hypervolume, in times of eager's, and its ends."""
    best, fastest = now.members[0], min(now.members, key=lambda each: each.values[1])
    volume = now.hypervolume or 0.0
    return name, len(now.members), f"{volume:.4g}", f"{volume / alone:.3g}", words(best), words(fastest)


def words(each: Candidate) -> str:
    """Return what a network reaches, in which time."""
    assert each.part.score is not None
    assert each.part.score.error is not None
    return f"{percent(each.part.score.error)}, {duration(each.latencies()[0].median_s)}"


def change(stored: Stored) -> tuple[float, float, int]:
    """Return by how much int8 moved the errors of networks, in the mean and at most, and of how many that is known."""
    errors: dict[str, dict[str, float]] = {}
    for each in stored.candidates():
        if each.part.score and each.part.score.error is not None:
            errors.setdefault(each.network, {})[each.way.words] = each.part.score.error
    both = [of["onnxruntime int8"] - of["eager float32"] for of in errors.values() if len(of) == len(WAYS)]
    return sum(both) / len(both), max(both, key=abs), len(both)


def main() -> None:
    """Run the study and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--confirm", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        stored = ran(folder, study(given.trials, given.epochs, given.confirm))
        ways = stored.by_way()
        alone = ways[0][1].hypervolume
        if alone is None:
            raise SystemExit("no trial is complete")
        rows = [row(way.words, now, alone) for way, now in ways] + [row("all together", stored.front(), alone)]
    heads = ("front of", "members", "hypervolume", "times eager's", "best error", "fastest")
    print(table(heads, rows))
    mean, most, count = change(stored)
    print(
        f"\nint8 moved the validation error of {count} networks by {100 * mean:+.2f} points, at most {100 * most:+.2f}"
    )
    for name, why in stored.absent():
        print(f"no point {name}: {why.text}")
    print(machine())


if __name__ == "__main__":
    main()
