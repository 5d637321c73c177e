"""Does an interval hold in another run? Profiles in processes of their own, beside torch's timer and timm's loop.

A round runs each protocol once in a new process, in random order, on resnet-20 with one thread: archcost in eager and
in ONNX Runtime as `archcost profile` measures by default; torch.utils.benchmark's blocked_autorange, whose statement is
the range of the middle half of its measurements; and a loop as timm's benchmark has it, ten times, whose statement is
its mean with its standard deviation. archcost states `repeat_s`. Held: of all ordered pairs of runs, in how many the
other's median (or mean) lies within what the one states. Beside them what archcost's copies in one run say of the next:
the standard deviation of the copies' medians within a run, and that of the runs' medians.

    python studies/benchmarks/repeated_runs.py [--rounds 20]
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from itertools import permutations
from statistics import fmean, median, stdev
from time import perf_counter
from typing import NamedTuple

import torch
from sidebyside import machine, milliseconds, table
from torch import Tensor, nn
from torch.utils.benchmark import Timer

import archcost
from archcost.nets.net import build, example

PROTOCOLS = ("archcost, eager", "archcost, onnxruntime", "blocked_autorange", "timm's loop")
TARGET_STABLE, TARGET_HELD = 0.9, 0.9
TIME_S = 1.5  # of blocked_autorange and of the loop: about as long as archcost takes
REPEATS = 10


class Run(NamedTuple):
    """What one process states: the middle and its interval; stable: what archcost says of it; copies: their medians."""

    middle_s: float
    interval_s: tuple[float, float] | None
    took_s: float
    stable: bool = True
    copies_s: tuple[float, ...] = ()


def by_archcost(runtime: str) -> Run:
    """Return a default measurement."""
    begin = perf_counter()
    (row,) = (found := archcost.profile("resnet-20", runtime=runtime, threads=1, witness=False)).latencies
    each: dict[tuple[int, int], list[float]] = {}
    for burst in found.samples[0].bursts:
        each.setdefault((burst.process, burst.copy), []).extend(burst.samples_s)
    took_s = perf_counter() - begin
    return Run(row.median_s, row.repeat_s, took_s, row.stable, tuple(map(median, each.values())))


def by_autorange() -> Run:
    """Return the median of torch's own timer, and its quartiles."""
    net, x = network()
    begin = perf_counter()
    with torch.inference_mode():
        gave = Timer("net(x)", globals={"net": net, "x": x}, num_threads=1).blocked_autorange(min_run_time=TIME_S)
    return Run(gave.median, (gave._p25, gave._p75), perf_counter() - begin)  # `iqr` is their difference


def by_loop() -> Run:
    """Return the mean of repeated loops, and their standard deviation to both sides."""
    net, x = network()
    torch.set_num_threads(1)
    begin, means = perf_counter(), []
    with torch.inference_mode():
        for _ in range(10):
            net(x)
        for _ in range(REPEATS):
            start, calls = perf_counter(), 0
            while perf_counter() - start < TIME_S / REPEATS:
                net(x)
                calls += 1
            means.append((perf_counter() - start) / calls)
    middle, apart = fmean(means), stdev(means)
    return Run(middle, (middle - apart, middle + apart), perf_counter() - begin)


def network() -> tuple[nn.Module, Tensor]:
    """Return the network and an input."""
    model = archcost.load("resnet-20")
    return build(model.graph).eval(), example(model.graph)


def run(protocol: str) -> Run:
    """Return what a protocol states in a new process."""
    done = subprocess.run([sys.executable, __file__, "--one", protocol], capture_output=True, text=True, check=True)  # noqa: S603  # our own text
    gave = json.loads(done.stdout.splitlines()[-1])
    return Run(**{**gave, "interval_s": gave["interval_s"] and tuple(gave["interval_s"])})


def one(protocol: str) -> Run:
    """Return what a protocol states in this process."""
    match protocol:
        case "blocked_autorange":
            return by_autorange()
        case "timm's loop":
            return by_loop()
        case _:
            return by_archcost(protocol.rpartition(" ")[2])


def row(protocol: str, runs: list[Run]) -> tuple[object, ...]:
    """Return a protocol's row of the table."""
    middles = [each.middle_s for each in runs]
    pairs = [(a.interval_s, b.middle_s) for a, b in permutations(runs, 2)]
    held = fmean(bounds is not None and bounds[0] <= other <= bounds[1] for bounds, other in pairs)
    half = [(high - low) / 2 / each.middle_s for each in runs for low, high in [each.interval_s or (0, 0)]]
    ours = protocol.startswith("archcost")
    stable = fmean(each.stable for each in runs)
    within = fmean(stdev(each.copies_s) / median(each.copies_s) for each in runs) if ours else 0.0
    told = "met" if held >= TARGET_HELD and stable >= TARGET_STABLE else "missed"
    return (
        *(protocol, milliseconds(median(middles)), f"{max(middles) / min(middles) - 1:.1%}"),
        *(f"{stable:.0%}" if ours else "-", f"{median(half):.1%}", f"{held:.0%}"),
        *(f"{within:.1%}" if ours else "-", f"{stdev(middles) / fmean(middles):.1%}"),
        *(f"{median(each.took_s for each in runs):.1f} s", told if ours else "-"),
    )


def main() -> None:
    """Print a row for each protocol."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--one", choices=PROTOCOLS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(asked.one)._asdict()))
        return
    found: dict[str, list[Run]] = {each: [] for each in PROTOCOLS}
    draw = random.Random(0)
    begin = perf_counter()
    for _ in range(asked.rounds):
        for each in draw.sample(PROTOCOLS, len(PROTOCOLS)):
            found[each].append(run(each))
    print(machine())
    print(f"{asked.rounds} rounds in {perf_counter() - begin:.0f} s; target: stable in 90%, held in 90%")
    heads = ("protocol", "typical", "largest over smallest", "stable", "half interval", "held", "copies in a run",
             "runs", "took", "target")  # fmt: skip
    print(table(heads, [row(protocol, runs) for protocol, runs in found.items()]))


if __name__ == "__main__":
    main()
