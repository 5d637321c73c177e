"""Is a sparse layer (Convolution in Convolution) faster than the dense one it replaces? Multiplications: no more than
counted, by torch's own FlopCounterMode.

192 -> 160 channels at 32 x 32, spans of 8 and 32 channels, windows of 1 x 1 and 3 x 3, against the dense convolution
of the same shape; batch 1, inference mode, one thread.

    python studies/benchmarks/cic_vs_dense.py
"""

from __future__ import annotations

import torch
from sidebyside import interleaved, machine, milliseconds, table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from twins import masked_dense, window_starts

from archcost.graph.cost import count
from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import Conv, Input, Window
from archcost.nets.net import build, example

CHANNELS, OUTS, SIDE = 192, 160, 32
HEADS = (
    "window",
    "span",
    "MACs dense",
    "MACs sparse",
    "multiplications run",
    "dense",
    "sparse",
    "sparse / dense (rounds)",
    "largest difference",
)


def layer(span: int, window: int) -> Graph:
    """Return one sparse layer as a network."""
    b = Builder()
    x = b.add("window", Window(OUTS, span), b.add("input", Input((CHANNELS, SIDE, SIDE))))
    b.add("conv", Conv(OUTS, window, padding=window // 2, groups=OUTS, bias=True), x)
    return b.graph()


def executed(net: nn.Module, x: Tensor) -> int:
    """Return the multiplications torch sees run; it counts two operations for each."""
    with FlopCounterMode(display=False) as counter:
        net(x)
    return int(counter.get_total_flops()) // 2


def row(span: int, window: int) -> tuple[object, ...]:
    """Return one line of the table."""
    graph = layer(span, window)
    net, x = build(graph), example(graph)
    sparse = net.get_submodule("layers.conv")
    assert isinstance(sparse, nn.Conv2d)
    masked = masked_dense(sparse, window_starts(CHANNELS, OUTS, span), CHANNELS)
    dense = nn.Conv2d(CHANNELS, OUTS, window, padding=window // 2)
    with torch.inference_mode():
        difference = (net(x) - masked(x)).abs().max().item()
        run = executed(net, x)
        times = interleaved([lambda: net(x), lambda: dense(x)], rounds=8, calls=10)
    macs = count(graph).macs
    verdict = "as counted" if run == macs else f"{'MORE' if run > macs else 'fewer'} than counted"
    full = CHANNELS * OUTS * window**2 * SIDE**2
    ours, theirs = (milliseconds(times.median_s(side)) for side in (0, 1))
    kind = f"{window} x {window}"
    return kind, span, f"{full:,}", f"{macs:,}", verdict, theirs, ours, times.ratio(0, 1), f"{difference:.1g}"


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    rows = [row(span, window) for window in (1, 3) for span in (8, 32)]
    print(machine())
    print(table(HEADS, rows))


if __name__ == "__main__":
    main()
