"""What does `archcost.profile` cost without its witnesses? Target: at most a quarter of its time with them.

Neither measures a latency nor writes a page. In a warm process, calls by turns; then the first call of a process, each
in a process of its own that has loaded torch and archcost's modules before.

    python studies/benchmarks/witness_cost.py
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from foreign_nets import mobilenet
from sidebyside import interleaved, machine, milliseconds, table

import archcost
from archcost.nets import build

TARGET = 1 / 4
ROUNDS, PROCESSES = 15, 7

FIRST = """
import sys
from time import perf_counter
import torch
from foreign_nets import mobilenet
import archcost
torch.set_num_threads(1)
network, image = mobilenet(), torch.randn(1, 3, 224, 224)
archcost.profile
begin = perf_counter()
archcost.profile(network, image, latency=False, witness=sys.argv[1] == "with")
print(perf_counter() - begin)
"""


def sources() -> dict[str, tuple[object, object]]:
    """Return what is profiled: a name, and a source with its inputs."""
    model = archcost.load("resnet-50")
    large, small = torch.randn(1, 3, 224, 224), torch.randn(1, 3, 32, 32)
    tiny = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(7200, 10))
    return {
        "resnet-50, by its name": ("resnet-50", None),
        "resnet-50, a Model": (model, None),
        "ResNet-50, a torch module": (build(model.graph, model.recipe), large),
        "MobileNet, a torch module": (mobilenet(), large),
        "MobileNet, 32 x 32": (mobilenet(), small),
        "two layers": (tiny, small),
    }


def profiled(source: object, inputs: object, witness: bool) -> archcost.Profile:
    """Return a profile without latency."""
    return archcost.profile(source, inputs, latency=False, witness=witness)  # type: ignore[arg-type]


def row(name: str, without_s: float, with_s: float, spread: str) -> tuple[str, ...]:
    """Return a row of either table."""
    verdict = "met" if without_s <= TARGET * with_s else "missed"
    return name, milliseconds(without_s), milliseconds(with_s), spread, verdict


HEADS = ("network", "without witnesses", "with", "ratio (rounds)", "target: 0.25")


def warm() -> str:
    """Return the table of calls in this process, by turns."""
    rows = []
    for name, (source, inputs) in sources().items():
        sides: list[Callable[[], object]] = [partial(profiled, source, inputs, witness) for witness in (False, True)]
        times = interleaved(sides, rounds=ROUNDS, calls=1, warmup=2)
        rows.append(row(name, times.median_s(0), times.median_s(1), str(times.ratio(0, 1))))
    return table(HEADS, rows)


def first(kind: str) -> float:
    """Return the seconds of the first profile of a process."""
    command = [sys.executable, "-c", FIRST, kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)  # noqa: S603  # our own line
    return float(done.stdout)


def cold() -> str:
    """Return the table of first calls, the two kinds by turns."""
    pairs = [(first("without"), first("with")) for _ in range(PROCESSES)]
    without_s, with_s = (median(side) for side in zip(*pairs, strict=True))
    ratios = sorted(a / b for a, b in pairs)
    spread = f"{without_s / with_s:.3g} ({ratios[0]:.3g}-{ratios[-1]:.3g})"
    return table(HEADS, [row("MobileNet, the first of a process", without_s, with_s, spread)])


def main() -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    print(machine())
    print(warm())
    print()
    print(cold())


if __name__ == "__main__":
    main()
