"""How much does a latency vary from one measurement to the next? archcost beside two other protocols, in turn.

The same networks, one thread, the same seconds for each: archcost's protocol, torch.utils.benchmark's
blocked_autorange, and a loop as timm's benchmark has it (10 warm-up calls, then the mean of as many as fit). A round
measures with each of them, in random order; the variation of a protocol is the standard deviation of its rounds over
their mean. Loaded: another process keeps the other core busy.

    python studies/benchmarks/repeatability.py [--rounds 20] [--time 1.5]
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import fmean, median, stdev
from time import perf_counter

import torch
from sidebyside import machine, milliseconds, table
from torch import Tensor, nn
from torch.utils.benchmark import Timer

import archcost
from archcost.latency import runtimes, targets
from archcost.latency.runtimes import Source
from archcost.latency.samples import Plan
from archcost.latency.summary import summarise
from archcost.nets.net import build, example

NETWORKS = ("resnet-20", "fractalnet-20", "hornn-3")
LOAD = "import torch\ntorch.set_num_threads(1)\na = torch.rand(512, 512)\nwhile True: a @ a"


def by_archcost(net: nn.Module, x: Tensor, time_s: float) -> dict[str, float]:
    """Return what archcost reports: the median, and the latency in times of the calibration kernel."""
    plan = Plan(time_s=time_s, precision=1e-6)  # never reached: the time is spent, as the others spend it
    (samples,) = targets.find("cpu").measure([Source(net, (x,))], runtimes.find("eager"), plan)
    row = summarise(samples)
    assert row.relative is not None  # the cpu has a calibration kernel
    return {"archcost, median": row.median_s, "archcost, relative": row.relative}


def by_autorange(net: nn.Module, x: Tensor, time_s: float) -> dict[str, float]:
    """Return the median of torch's own timer."""
    with torch.inference_mode():
        timer = Timer("net(x)", globals={"net": net, "x": x}, num_threads=1)
        return {"blocked_autorange, median": timer.blocked_autorange(min_run_time=time_s).median}


def by_loop(net: nn.Module, x: Tensor, time_s: float) -> dict[str, float]:
    """Return the mean of a loop."""
    torch.set_num_threads(1)
    with torch.inference_mode():
        for _ in range(10):
            net(x)
        begin, calls = perf_counter(), 0
        while perf_counter() - begin < time_s:
            net(x)
            calls += 1
        return {"timm-style loop, mean": (perf_counter() - begin) / calls}


@contextmanager
def loaded(asked: bool) -> Iterator[None]:
    """Keep another core busy inside the context, where that is asked for."""
    if not asked:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", LOAD])  # noqa: S603  # our own text
    try:
        yield
    finally:
        process.kill()
        process.wait()


def rounds_of(name: str, rounds: int, time_s: float) -> dict[str, list[float]]:
    """Return every protocol's number of each round."""
    model = archcost.load(name)
    net, x = build(model.graph), example(model.graph)
    ways: list[Callable[[], dict[str, float]]] = [
        partial(way, net, x, time_s) for way in (by_archcost, by_autorange, by_loop)
    ]
    found: dict[str, list[float]] = {}
    draw = random.Random(name)
    for _ in range(rounds):
        for way in draw.sample(ways, len(ways)):
            for key, value in way().items():
                found.setdefault(key, []).append(value)
    return found


def main() -> None:
    """Print a table for the quiet machine and one for the loaded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--time", type=float, default=1.5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    for busy in (False, True):
        rows = []
        with loaded(busy):
            for name in NETWORKS:
                for key, values in sorted(rounds_of(name, asked.rounds, asked.time).items()):
                    typical = f"{median(values):.3g}" if "relative" in key else milliseconds(median(values))
                    far = max(values) / min(values) - 1
                    rows.append((name, key, typical, f"{stdev(values) / fmean(values):.2%}", f"{far:.1%}"))
        print(f"\n{'loaded' if busy else 'quiet'}, {asked.rounds} rounds of {asked.time:g} s each")
        print(table(("network", "protocol", "typical", "variation", "largest over smallest"), rows))


if __name__ == "__main__":
    main()
