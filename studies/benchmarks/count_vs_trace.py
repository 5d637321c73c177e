"""How much cheaper is counting a graph than building the module and tracing it? Target: 1000 times, FractalNet C = 4.

From the spec to the graph to exact counts, against building the initialised module and fvcore's trace of it, in one
run; both give parameters and MACs. Then the time per node as networks grow, which should stay flat. One thread; what
torch's import has left in memory is kept out of garbage collection.

    python studies/benchmarks/count_vs_trace.py
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from statistics import median

import torch
from sidebyside import interleaved, machine, milliseconds, table
from torch import nn
from twins import FractalNet

from archcost.graph.cost import count
from archcost.models.families.bottleneck import Bottleneck
from archcost.models.families.fractal import Fractal
from archcost.models.families.parts import Network
from archcost.nets.net import build

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fvcore's import warns of what torch has deprecated
    from fvcore.nn import FlopCountAnalysis, parameter_count

TARGET = 1000
WIDTHS = (64, 128, 256, 512, 512)
MACS = ("conv", "linear")


def fractal(columns: int, blocks: int) -> Fractal:
    """Return a spec whose widths are FractalNet's, on the smallest image that five pools leave something of."""
    return Fractal(family="fractal", input=(3, 32, 32), classes=10, columns=columns, widths=WIDTHS[:blocks])


def counted(spec: Network) -> tuple[int, int]:
    """Return parameters and MACs from the spec alone."""
    cost = count(spec.expand()[0])
    return cost.params, cost.macs


def built() -> nn.Module:
    """Return the module archcost builds, initialised."""
    return build(*fractal(4, 5).expand())


def written() -> nn.Module:
    """Return the hand-written module, initialised as the paper says."""
    net = FractalNet(4).eval()
    for part in net.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(part.weight)
    return net


def traced(make: Callable[[], nn.Module]) -> tuple[int, int]:
    """Return parameters and MACs as fvcore sees them on a module that is built for it."""
    net = make()
    with torch.no_grad():
        analysis = FlopCountAnalysis(net, torch.randn(1, 3, 32, 32))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        by_operator = analysis.by_operator()
    return parameter_count(net)[""], int(sum(by_operator[op] for op in MACS))


def growing() -> Iterator[tuple[str, Network]]:
    """Yield networks of more and more nodes."""
    for columns in range(1, 9):
        for blocks in (1, 5):
            yield f"fractal, C = {columns}, B = {blocks}", fractal(columns, blocks)
    depths, widths = (111, 111, 111), (64, 128, 256)
    yield (
        "ResNet-1001",
        Bottleneck(family="bottleneck", input=(3, 32, 32), classes=10, depths=depths, widths=widths, order="pre"),
    )


def versus() -> str:
    """Return the table of counting against tracing."""
    spec = fractal(4, 5)
    assert counted(spec) == traced(built) == traced(written)
    sides = [lambda: counted(spec), lambda: traced(built), lambda: traced(written)]
    times = interleaved(sides, rounds=9, calls=(25, 1, 1), warmup=1)
    heads = ("FractalNet, C = 4, B = 5", "counted", "built and traced", "times cheaper (rounds)", f"target: {TARGET}")
    rows = []
    for side, name in ((1, "against archcost's own module"), (2, "against a hand-written module")):
        ratio = times.ratio(side, 0)
        ours, theirs = (milliseconds(times.median_s(i)) for i in (0, side))
        rows.append((name, ours, theirs, ratio, "met" if ratio.value >= TARGET else "missed"))
    return table(heads, rows)


def growth() -> str:
    """Return the table of times per node, all networks in every round, the small ones more often."""
    networks = [(name, spec, len(spec.expand()[0].nodes)) for name, spec in growing()]
    sides = [lambda spec=spec: counted(spec) for _, spec, _ in networks]
    calls = [max(1, 2_000 // nodes) for _, _, nodes in networks]
    times = interleaved(sides, rounds=12, calls=calls, warmup=1)
    rows, large = [], []
    for side, (name, _, nodes) in enumerate(networks):
        seconds = times.median_s(side)
        rows.append((name, nodes, milliseconds(seconds), milliseconds(seconds / nodes)))
        large += [seconds / nodes] if nodes >= 100 else []
    spread = max(large) / min(large)
    middle = milliseconds(median(large))
    line = f"From 100 nodes on, the time per node differs by a factor of {spread:.2f} (median {middle})."
    return table(("network", "nodes", "counted", "per node"), rows) + "\n\n" + line


def main() -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    # a full collection would walk all that torch has loaded, which a process that only counts never loads
    gc.collect()
    gc.freeze()
    print(machine())
    print(versus())
    print()
    print(growth())


if __name__ == "__main__":
    main()
