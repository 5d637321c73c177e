"""A layer that became slower: whether `compare --layers` names it, and none of the others.

In each run a layer of a small network, another one each time, takes longer in the second network: it spins for a share
of the whole network's time, does its product twice, or has a larger kernel (the one of these that ONNX Runtime can
have). Told are the runs in which it is named, in which it is the first, in which its interval holds what was put in (of
those that spin), and in which others are named too (target: named in 95 of 100).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from time import perf_counter
from typing import NamedTuple

import torch
from sidebyside import table
from torch import Tensor, nn

import archcost

LAYERS, CHANNELS, SIDE = 10, 16, 24
WAYS = {"eager": ("spins", "twice", "kernel"), "onnxruntime": ("kernel",)}
TARGET = 0.95


class Spinning(nn.Conv2d):
    """A convolution that takes a known time longer."""

    span_s = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W)."""
        y = super().forward(x)
        end = perf_counter() + self.span_s
        while perf_counter() < end:
            pass
        return y


class Twice(nn.Conv2d):
    """A convolution that is computed twice."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W)."""
        super().forward(x)
        return super().forward(x)


def network(slowed: int | None, how: str, span_s: float) -> nn.Sequential:
    """Return convolutions and activations, one of which is slowed."""
    torch.manual_seed(0)
    kinds = {"spins": Spinning, "twice": Twice, "kernel": nn.Conv2d}
    parts: list[nn.Module] = []
    for place in range(LAYERS):
        kind, side = (kinds[how], 5 if how == "kernel" else 3) if place == slowed else (nn.Conv2d, 3)
        parts += [kind(CHANNELS, CHANNELS, side, padding=side // 2), nn.ReLU()]
        if isinstance(parts[-2], Spinning):
            parts[-2].span_s = span_s
    return nn.Sequential(*parts).eval()


class Outcome(NamedTuple):
    """One run: how the layer was slowed, how many layers were named beside it, whether its interval holds the truth."""

    how: str
    rounds: int
    named: bool
    first: bool
    others: int
    held: bool | None


def run(number: int, asked: argparse.Namespace, x: Tensor, whole_s: float) -> Outcome:
    """Return what one comparison says of a layer that is slower, or of none at a share of 0."""
    ways = WAYS[asked.runtime]
    how, slowed = ways[number % len(ways)], None if asked.share == 0 else number // len(ways) % LAYERS
    span_s = asked.share * whole_s
    networks = network(None, how, 0.0), network(slowed, how, span_s)
    options = {"runtime": asked.runtime, "threads": 1, "time": asked.time}
    found = archcost.compare(*networks, inputs=x, layers=True, **options)
    (times,) = found.against[0].layer_times or ()
    name = "" if slowed is None else str(2 * slowed)
    names = [layer.name for layer in times.named]
    bounds = next((layer.interval_s for layer in times.layers if layer.name == name), None)
    held = bounds[0] <= span_s <= bounds[1] if bounds and how == "spins" else None
    return Outcome(how, times.rounds, name in names, names[:1] == [name], len(set(names) - {name}), held)


def rows(outcomes: list[Outcome], share: float) -> Iterator[tuple[object, ...]]:
    """Yield a row for each way in which a layer was slowed, and one for all."""
    for how in (*dict.fromkeys(each.how for each in outcomes), "all"):
        own = [each for each in outcomes if how in (each.how, "all")]
        named = sum(each.named for each in own)
        held = [each.held for each in own if each.held is not None]
        others = f"{sum(each.others > 0 for each in own)} ({sum(each.others for each in own)} layers)"
        first, met = sum(each.first for each in own), "met" if named >= TARGET * len(own) else "missed"
        met = "-" if share == 0 else met  # there is none to name
        yield how, len(own), named, first, f"{sum(held)} of {len(held)}", others, met


def main() -> None:
    """Print the table, and the runs in which the layer was not named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="how many comparisons")
    parser.add_argument("--begin", type=int, default=0, help="the number of the first, to go on")
    parser.add_argument("--time", type=float, default=0.6, help="seconds for each measurement")
    parser.add_argument("--share", type=float, default=0.1, help="of the whole, for which a layer spins; 0: none")
    parser.add_argument("--runtime", default="eager", choices=WAYS)
    parser.add_argument("--longest", type=float, default=float("inf"), help="seconds after which no run begins")
    asked = parser.parse_args()
    x, begun = torch.randn(1, CHANNELS, SIDE, SIDE), perf_counter()
    whole_s = archcost.measure(network(None, "kernel", 0.0), x, threads=1, time=0.5).median_s
    outcomes: list[Outcome] = []
    for number in range(asked.begin, asked.begin + asked.runs):
        if perf_counter() - begun > asked.longest:
            break
        outcomes.append(run(number, asked, x, whole_s))
        if not outcomes[-1].first or outcomes[-1].others:
            print(number, outcomes[-1], flush=True)
    print(f"runs {asked.begin} to {asked.begin + len(outcomes) - 1}, {1e6 * whole_s:.0f} us a call\n")
    heads = ("slowed", "runs", "named", "first", "interval holds it", "others named", "target: 95%")
    print(table(heads, rows(outcomes, asked.share)))


if __name__ == "__main__":
    main()
