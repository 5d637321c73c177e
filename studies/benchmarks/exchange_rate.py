"""What a saved multiply-accumulate buys in measured time, by the kind of saving: the exchange rate of a device.

For each kind (reduction, groups, columns, order, span, width, depth) networks are drawn, and each is made cheaper in
steps by that kind alone; the steps of one network take turns. The rate of a step is the logarithm of the ratio of times
over that of MACs: 1 if time falls as MACs do, 0 if nothing is gained, below 0 if the network with fewer MACs takes
longer. In the table: the median over all steps, in brackets the distribution-free 99% interval of the median of the
bases' own medians, with fewer than eight bases their range. Below it: how well MACs, parameters and bytes alone put all
networks in order.

    python studies/benchmarks/exchange_rate.py [--ways eager onnxruntime int8] [--bases 6] [--time 0.3]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from itertools import pairwise
from random import Random
from statistics import median
from typing import NamedTuple

import numpy as np
from sidebyside import machine, table

from archcost.config.document import Document
from archcost.errors import TargetError
from archcost.latency.measure import Request, measured, places
from archcost.latency.samples import Plan
from archcost.latency.statistics import interval
from archcost.models.load import Model, expand
from archcost.nets.net import build
from archcost.profiling.subjects import of_net, with_layers

KINDS = ("reduction", "groups", "columns", "order", "span", "width", "depth")
Spec = dict[str, object]


class Step(NamedTuple):
    """Two networks of a base, the cheaper one second: the logarithms of the ratios of MACs and of times."""

    base: int
    macs: float
    time: float

    @property
    def rate(self) -> float:
        """The time that a saved share of the MACs saves, as a share."""
        return self.time / self.macs


class Taken(NamedTuple):
    """A network and what it took."""

    kind: str
    base: int
    model: Model
    time_s: float


def image(family: str) -> Spec:
    """Return what all networks on images have."""
    return {"family": family, "input": [3, 32, 32], "classes": 10}


def residual(draw: Random, **changed: object) -> Spec:
    """Return a bottleneck network of three stages."""
    width = draw.choice((32, 48, 64, 96))
    depths = [draw.randint(1, 3) for _ in range(3)]
    spec = {**image("bottleneck"), "depths": depths, "widths": [width * 2**stage for stage in range(3)]}
    return {**spec, "stem": {"channels": draw.choice((16, 32))}, "reduction": 2, **changed}


def variants(kind: str, draw: Random) -> Iterator[Spec]:
    """Yield a drawn network in steps of one kind, the dearest first."""
    if kind in ("reduction", "groups"):
        base = residual(draw)
        yield from ({**base, kind: value} for value in (1, 2, 4, 8))
    elif kind == "width":
        base = residual(draw)
        for share in (1.0, 0.75, 0.5, 0.25):
            yield {**base, "widths": [round(share * width / 8) * 8 for width in base["widths"]]}
    elif kind == "depth":
        base = residual(draw)
        yield from ({**base, "depths": [blocks] * 3} for blocks in (4, 3, 2, 1))
    elif kind == "columns":
        first, blocks = draw.choice((16, 24, 32)), draw.choice((2, 3))
        widths = [first * 2**block for block in range(blocks)]
        yield from ({**image("fractal"), "widths": widths, "columns": count} for count in (4, 3, 2, 1))
    elif kind == "order":
        hidden, steps = draw.choice((64, 128, 256, 400)), draw.choice((8, 16, 28))
        base = {"family": "hornn", "input": {"steps": steps, "features": 28}, "classes": 10, "hidden": hidden}
        yield from ({**base, "order": order} for order in (4, 3, 2, 1))
    else:
        width = draw.choice((64, 96, 128, 192))
        layers = [{"kernel": 3, "widths": [width] * 3, "pool": "max"}, {"kernel": 3, "widths": [width, width, 10]}]
        base = {**image("nin"), "layers": layers}
        sparse = [{**layers[0], "sparse": [0, 1, 1]}, {**layers[1], "sparse": [0, 1, 0]}]
        yield base
        yield from ({**base, "layers": sparse, "span": span} for span in (32, 16, 8))


def all_taken(way: str, bases: int, time_s: float) -> list[Taken]:
    """Return what all networks take in one way; a base that does not run there is left out, and said."""
    runtime, dtype = ("onnxruntime", "int8") if way == "int8" else (way, "float32")
    (place,) = places(Request(("cpu",), (runtime,), threads=(1,)))
    found: list[Taken] = []
    for kind in KINDS:
        for base in range(bases):
            models = [expand(Document(kind, dict(spec), {}, {})) for spec in variants(kind, Random(base))]
            subjects = [of_net(model.graph, build(model.graph)) for model in models]
            if dtype == "int8":
                subjects = [with_layers(subject, ()) for subject in subjects]
            plan = Plan(dtype=dtype, time_s=time_s, precision=0.001)
            try:
                samples = measured(subjects, place, runtime, plan, lambda _: nullcontext())
            except TargetError as error:
                print(f"left out, {way}: {kind} {base}: {error}")
                continue
            times_s = [median([median(burst.samples_s) for burst in each.bursts]) for each in samples]
            found += [Taken(kind, base, *pair) for pair in zip(models, times_s, strict=True)]
    return found


def steps(taken: list[Taken], kind: str) -> list[Step]:
    """Return the steps of a kind by which MACs fall by at least 3%."""
    found = []
    of_kind = [each for each in taken if each.kind == kind]
    for dear, cheap in pairwise(of_kind):
        fewer = math.log(dear.model.cost.macs / cheap.model.cost.macs)
        if dear.base == cheap.base and fewer > 0.03:
            found.append(Step(dear.base, fewer, math.log(dear.time_s / cheap.time_s)))
    return found


def rate(found: list[Step]) -> str:
    """Return the median rate with the interval of the bases' own medians."""
    if not found:
        return "none"
    own = [median([step.rate for step in found if step.base == base]) for base in {step.base for step in found}]
    bounds = interval(own)
    low, high = bounds or (min(own), max(own))
    return f"{median([step.rate for step in found]):.2f} ({low:.2f} to {high:.2f})"


def order(taken: list[Taken]) -> list[tuple[str, ...]]:
    """Return the rank correlations of counts with what networks took."""
    times_s = [each.time_s for each in taken]
    counts: Mapping[str, list[int]] = {
        "MACs": [each.model.cost.macs for each in taken],
        "parameters": [each.model.cost.params for each in taken],
        "bytes": [sum(r.read_bytes(1, 4) + r.written_bytes(1, 4) for r in each.model.cost.rows) for each in taken],
    }
    ranks = {name: np.argsort(np.argsort(values)) for name, values in {**counts, "time": times_s}.items()}
    return [(name, f"{np.corrcoef(ranks[name], ranks['time'])[0, 1]:.3f}") for name in counts]


def main() -> None:
    """Print the tables."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--ways", nargs="+", default=["eager", "onnxruntime", "int8"])
    asked.add_argument("--bases", type=int, default=6)
    asked.add_argument("--time", type=float, default=0.3, help="seconds for each network")
    given = asked.parse_args()
    print(machine())
    taken = {way: all_taken(way, given.bases, given.time) for way in given.ways}
    rows = [(kind, *(rate(steps(found, kind)) for found in taken.values())) for kind in KINDS]
    print(table(("saving", *(f"{way}, {len(found)} networks" for way, found in taken.items())), rows))
    for way, found in taken.items():
        print(f"{way}: rank correlation with time: {', '.join(' '.join(row) for row in order(found))}")


if __name__ == "__main__":
    main()
