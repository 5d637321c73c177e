"""Whether a comparison calls noise a difference, and finds a true one, and whether known durations are recovered.

100 comparisons of a network with itself: at most 5 may call a difference. 100 comparisons of 200 matrix products with
210: at least 90 must find the 5%. Both medians of the turns are compared with those of each network alone, measured
between the comparisons: within 3%. In eager also kernels that spin for a known time: recovered within 5%.

    python studies/benchmarks/comparison_power.py [--comparisons 100] [--time 1.0] [--runtime eager] [--threads 1]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import torch
from sidebyside import machine, milliseconds, table
from torch import Tensor, nn

import archcost
from archcost.latency import runtimes, targets
from archcost.latency.runtimes import OnnxFile, Runtime, Source
from archcost.latency.samples import Plan
from archcost.latency.summary import ratio, summarise
from archcost.nets.call import Call
from archcost.nets.export.torch_export import onnx_file
from archcost.nets.net import build, example

EAGER, CPU = runtimes.find("eager"), targets.find("cpu")
ALONE = 10  # comparisons between two measurements of each network alone
NEAR = 0.03
DURATIONS_S = (0.0001, 0.001, 0.01, 0.1)


class Products(nn.Module):
    """A chain of so many products of 96 x 96 matrices."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        """x: (96, 96) -> (96, 96)."""
        y = x
        for _ in range(self.count):
            y = torch.mm(x, y)
        return y


class Spinning(nn.Module):
    """A kernel of known duration: it reads the clock until the time is over."""

    def __init__(self, duration_s: float) -> None:
        super().__init__()
        self.duration_s = duration_s

    def forward(self, x: Tensor) -> Tensor:
        """x: anything, returned as it is."""
        end = perf_counter() + self.duration_s
        while perf_counter() < end:
            pass
        return x


class Found(NamedTuple):
    """What comparisons gave: how many call a difference, every ratio, how many reached their precision.

    off: by how much the median of each network's turns differs from its median alone.
    """

    differ: int
    ratios: list[float]
    precise: int
    off: list[float]


def found(sources: list[Source], runtime: Runtime, comparisons: int, plan: Plan) -> Found:
    """Return what so many comparisons gave, and now and then each network alone."""
    differ, ratios, precise = 0, [], 0
    turns: list[list[float]] = [[] for _ in sources]
    alone: list[list[float]] = [[] for _ in sources]
    for seed in range(comparisons):
        both = CPU.measure(sources, runtime, replace(plan, seed=seed))
        each = ratio(*both)
        differ += each.differ is True
        precise += each.half_width <= plan.precision
        ratios.append(each.ratio)
        for place, samples in enumerate(both):
            turns[place].append(median(samples.samples_s))
        if seed % ALONE == ALONE - 1:
            for place, source in enumerate(sources):
                (samples,) = CPU.measure([source], runtime, plan)
                alone[place].append(median(samples.samples_s))
    off = [median(by) / median(one) - 1 for by, one in zip(turns, alone, strict=True) if one]
    return Found(differ, sorted(ratios), precise, off)


def sources_of(module: nn.Module, x: Tensor, runtime: str, folder: Path) -> Source:
    """Return how a network is measured: exported once, and not for every comparison, if the runtime reads files."""
    if runtime == "eager":
        return Source(module, (x,))
    with torch.inference_mode(False), onnx_file(Call(module.eval(), (x,))) as path:
        kept = folder / f"{len(list(folder.iterdir()))}.onnx"
        kept.write_bytes(path.read_bytes())
    return Source(OnnxFile(kept, {"input": x.numpy()}), cast=False)


def spun(duration_s: float, time_s: float) -> float:
    """Return the measured median of a kernel that spins for so long."""
    (samples,) = CPU.measure([Source(Spinning(duration_s), (torch.ones(1),))], EAGER, Plan(time_s=3 * time_s))
    return summarise(samples).median_s


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=100)
    parser.add_argument("--time", type=float, default=1.0, help="seconds for each network of a comparison")
    parser.add_argument("--runtime", default="eager", choices=("eager", "onnxruntime", "openvino"))
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    print(machine())
    with TemporaryDirectory() as folder:
        compared(asked, Path(folder))
    if asked.runtime == "eager":
        recovered(asked)


def compared(asked: argparse.Namespace, folder: Path) -> None:
    """Print what comparisons of a network with itself, and of two that differ by 5%, gave."""
    model = archcost.load("resnet-20")
    runtime, n = runtimes.find(asked.runtime), asked.comparisons
    net = sources_of(build(model.graph), example(model.graph), asked.runtime, folder)
    x = torch.eye(96) * 0.999
    cases = (
        ("ResNet-20 with itself", [net, net], f"at most {n * 5 // 100}", lambda calls: calls <= n * 5 // 100),
        ("200 products with 210", [sources_of(Products(k), x, asked.runtime, folder) for k in (200, 210)],
         f"at least {n * 9 // 10}", lambda calls: calls >= n * 9 // 10),
    )  # fmt: skip
    rows = []
    for name, sources, target, holds in cases:
        begin = perf_counter()
        gave = found(sources, runtime, n, Plan(time_s=asked.time, threads=asked.threads))
        spread = f"{gave.ratios[n // 2]:.3f} ({gave.ratios[0]:.3f}-{gave.ratios[-1]:.3f})"
        off = " and ".join(f"{each:+.1%}" for each in gave.off)
        near = "met" if all(abs(each) <= NEAR for each in gave.off) else "missed"
        verdict = f"{target}: {'met' if holds(gave.differ) else 'missed'}"
        rows.append((name, n, gave.differ, spread, gave.precise, verdict, f"{off}: {near}",
                     f"{perf_counter() - begin:.0f} s"))  # fmt: skip
    heads = ("compared", "times", "called a difference", "ratio", "within +-2%", "target",
             "turns over alone, target 3%", "took")  # fmt: skip
    print(f"{asked.runtime}, {asked.threads} thread(s), {asked.time:g} s for each network")
    print(table(heads, rows))


def recovered(asked: argparse.Namespace) -> None:
    """Print what was measured of kernels that spin for a known time."""
    torch.set_num_threads(1)
    print()
    rows, call_s = [], spun(0, asked.time)
    for duration_s in DURATIONS_S:
        measured_s = spun(duration_s, asked.time)
        off = measured_s / (duration_s + call_s) - 1
        verdict = "met" if abs(off) <= 0.05 else "missed"
        rows.append((milliseconds(duration_s), milliseconds(measured_s), f"{off:+.2%}", verdict))
    print(f"A call that does nothing: {milliseconds(call_s)}; it is part of what is known of the others.")
    print(table(("spun", "measured", "off by", "target: within 5%"), rows))


if __name__ == "__main__":
    main()
