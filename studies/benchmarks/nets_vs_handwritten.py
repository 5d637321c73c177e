"""Does a network run from its graph cost what a hand-written module costs? Target: within 3%, same outputs to 1e-6.

ResNet-50 at 224 x 224 and FractalNet-20 at 32 x 32 against the twins of twins.py with the same weights; batch 1,
inference mode, one thread.

    python studies/benchmarks/nets_vs_handwritten.py
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from sidebyside import interleaved, machine, milliseconds, table
from torch import Tensor, nn
from twins import FractalNet, ResNet, copy_by_name, copy_in_order

import archcost
from archcost.nets.net import build, example

TARGET = 1.03
HEADS = ("network", "from its graph", "hand-written", "ratio (rounds)", "largest difference", "target: at most 1.03")


def pairs() -> Iterator[tuple[str, nn.Module, nn.Module, Tensor]]:
    """Yield name, network, twin with the same weights, and input."""
    for name, twin in (("resnet-50", ResNet()), ("fractalnet-20", FractalNet())):
        model = archcost.load(name)
        net = build(model.graph, model.recipe)
        copy_in_order(net, twin) if isinstance(twin, ResNet) else copy_by_name(net, twin)
        yield name, net, twin.eval(), example(model.graph)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    rows = []
    for name, net, twin, x in pairs():
        with torch.inference_mode():
            difference = (net(x) - twin(x)).abs().max().item()
            times = interleaved([lambda net=net, x=x: net(x), lambda twin=twin, x=x: twin(x)], rounds=12, calls=8)
        ratio = times.ratio(0, 1)
        verdict = "met" if ratio.value <= TARGET and difference <= 1e-6 else "missed"
        ours, theirs = (milliseconds(times.median_s(side)) for side in (0, 1))
        rows.append((name, ours, theirs, ratio, f"{difference:.1g}", verdict))
    print(machine())
    print(table(HEADS, rows))


if __name__ == "__main__":
    main()
