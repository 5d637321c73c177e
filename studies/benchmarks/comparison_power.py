"""Whether a comparison calls noise a difference, and finds a true one, and whether known durations are recovered.

100 comparisons of a network with itself: at most 5 may call a difference. 100 comparisons of 200 matrix products with
210: at least 90 must find the 5%. Kernels that spin for a known time: recovered within 5%. One thread, eager.

    python studies/benchmarks/comparison_power.py [--comparisons 100] [--time 1.0]
"""

from __future__ import annotations

import argparse
from time import perf_counter

import torch
from sidebyside import machine, milliseconds, table
from torch import Tensor, nn

import archcost
from archcost.latency import runtimes, targets
from archcost.latency.runtimes import Source
from archcost.latency.samples import Plan
from archcost.latency.summary import ratio, summarise
from archcost.nets.net import build, example

EAGER, CPU = runtimes.find("eager"), targets.find("cpu")
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


def found(sources: list[Source], comparisons: int, time_s: float) -> tuple[int, list[float], int]:
    """Return how many comparisons call a difference, every ratio, and how many reached their precision."""
    differ, ratios, precise = 0, [], 0
    for seed in range(comparisons):
        plan = Plan(time_s=time_s, seed=seed)
        each = ratio(*CPU.measure(sources, EAGER, plan))
        differ += each.differ is True
        precise += each.half_width <= plan.precision
        ratios.append(each.ratio)
    return differ, sorted(ratios), precise


def spun(duration_s: float, time_s: float) -> float:
    """Return the measured median of a kernel that spins for so long."""
    (samples,) = CPU.measure([Source(Spinning(duration_s), (torch.ones(1),))], EAGER, Plan(time_s=3 * time_s))
    return summarise(samples).median_s


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=100)
    parser.add_argument("--time", type=float, default=1.0, help="seconds for each network of a comparison")
    asked = parser.parse_args()
    model = archcost.load("resnet-20")
    net = Source(build(model.graph), (example(model.graph),))
    x = torch.eye(96) * 0.999
    n = asked.comparisons
    cases = (
        ("ResNet-20 with itself", [net, net], f"at most {n * 5 // 100}", lambda calls: calls <= n * 5 // 100),
        ("200 products with 210", [Source(Products(k), (x,)) for k in (200, 210)], f"at least {n * 9 // 10}",
         lambda calls: calls >= n * 9 // 10),
    )  # fmt: skip
    rows = []
    for name, sources, target, holds in cases:
        differ, ratios, precise = found(sources, n, asked.time)
        spread = f"{ratios[n // 2]:.3f} ({ratios[0]:.3f}-{ratios[-1]:.3f})"
        rows.append((name, n, differ, spread, precise, f"{target}: {'met' if holds(differ) else 'missed'}"))
    torch.set_num_threads(1)
    print(machine())
    print(table(("compared", "times", "called a difference", "ratio", "within +-2%", "target"), rows))
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
