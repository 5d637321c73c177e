"""What does stepping only the recurrent cycle gain over a loop over time? Target: 3 times at batch 1, 1.5 at batch 20.

T = 35, H = 400, N = 3, V = 10,000, a readout every step; the loop of twins.py with the same weights looks up, runs N
matrix products and reads out inside the loop. Inference mode, one thread.

    python studies/benchmarks/hornn_vs_naive.py
"""

from __future__ import annotations

import torch
from sidebyside import interleaved, machine, milliseconds, table
from twins import NaiveHORNN, Recurrent, copy_hornn

import archcost
from archcost.nets.net import build, example

TARGETS = {1: 3.0, 20: 1.5}
POOLINGS = ("none", "fofe", "max", "gated")
HEADS = ("pooling", "batch", "from its graph", "naive loop", "times faster (rounds)", "largest difference", "target")


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    rows = []
    for pooling in POOLINGS:
        model = archcost.load("hornn-3", ["input.steps=35", f"pooling={pooling}"])
        net = build(model.graph, model.recipe)
        twin = NaiveHORNN(Recurrent(10_000, 400, 3, 10_000, pooling)).eval()
        copy_hornn(net, twin)
        for batch, target in TARGETS.items():
            x = example(model.graph, batch)
            sides = [lambda net=net, x=x: net(x), lambda twin=twin, x=x: twin(x)]
            with torch.inference_mode():
                difference = (net(x) - twin(x)).abs().max().item()
                times = interleaved(sides, rounds=8, calls=5)
            ratio = times.ratio(1, 0)
            met = "met" if ratio.value >= target and difference <= 1e-5 else "missed"
            ours, theirs = (milliseconds(times.median_s(side)) for side in (0, 1))
            name = "sum" if pooling == "none" else pooling
            rows.append((name, batch, ours, theirs, ratio, f"{difference:.1g}", f"at least {target:g}: {met}"))
    print(machine())
    print(table(HEADS, rows))


if __name__ == "__main__":
    main()
