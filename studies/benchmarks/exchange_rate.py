"""What a saved multiply-accumulate buys in measured time, by the kind of saving: the exchange rate of a device.

For each kind (reduction, groups, columns, order, span, width, depth) networks are drawn, and each is made cheaper in
steps by that kind alone; the steps of one network take turns. The rate of a step is the logarithm of the ratio of times
over that of MACs: 1 if time falls as MACs do, 0 if nothing is gained, below 0 if the network with fewer MACs takes
longer. In the table: the median over all steps, in brackets its 95% interval by a bootstrap over the drawn networks,
each with all of its steps. Below it, with intervals of the same kind: how well MACs, parameters, bytes and the time of
the roofline (of each layer what its FLOPs and its bytes take at this processor's peaks, the larger of both) put all
networks in order, and predictions too, if the way is calibrated (`archcost calibrate --threads 1`).

    python studies/benchmarks/exchange_rate.py [--ways eager onnxruntime int8] [--bases 6] [--time 0.3]
    python studies/benchmarks/exchange_rate.py --rows studies/benchmarks/exchange_rate.csv   # again, of what is kept

With --rows, ways that the file has are not measured, and the others are added to it.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import groupby, islice, pairwise
from pathlib import Path
from random import Random
from statistics import median
from typing import NamedTuple, TypeVar

import numpy as np
from sidebyside import machine, table

from archcost.config.document import Document
from archcost.errors import InputError, TargetError
from archcost.latency.measure import Place, Request, measured, places
from archcost.latency.prediction.operators import of_graph
from archcost.latency.prediction.predictor import Predictor
from archcost.latency.roofline import stock
from archcost.latency.roofline.roof import Peaks, Run, standing
from archcost.latency.samples import Plan
from archcost.latency.targets.device import this_conditions
from archcost.models.load import Model, expand
from archcost.nets.net import build
from archcost.profiling.prediction.predict import predictor
from archcost.profiling.subjects import of_net, with_layers

KINDS = ("reduction", "groups", "columns", "order", "span", "width", "depth")
Spec = dict[str, object]
T = TypeVar("T")


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
    """A network and what it took; predicted_s: NaN if nothing is calibrated."""

    way: str
    kind: str
    base: int
    macs: int
    params: int
    moved_bytes: int
    roofline_s: float
    predicted_s: float
    time_s: float


COUNTS = {"MACs": "macs", "parameters": "params", "bytes": "moved_bytes", "roofline": "roofline_s",
          "prediction": "predicted_s"}  # fmt: skip
RESAMPLES = 5000


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


class Foreseen(NamedTuple):
    """What a way allows and foretells: the peaks of one thread, and the predictor if there is one."""

    peaks: Peaks
    dtype: str
    predictor: Predictor | None

    def taken(self, way: str, kind: str, base: int, model: Model, time_s: float) -> Taken:
        """Return a network that was measured, with all that is known of it without measuring."""
        rows, size = model.cost.rows, 1 if self.dtype == "int8" else 4
        moved = [row.read_bytes(1, size) + row.written_bytes(1, size) for row in rows]
        runs = (Run(row.macs, each, self.dtype, 1.0) for row, each in zip(rows, moved, strict=True))
        roofline_s = sum(found.least_s for run in runs if (found := standing(run, self.peaks)))
        predicted_s = self.predictor.predict(of_graph(model.graph, 1)).median_s if self.predictor else math.nan
        return Taken(way, kind, base, model.cost.macs, model.cost.params, sum(moved), roofline_s, predicted_s, time_s)


def foreseen(place: Place, runtime: str, plan: Plan) -> Foreseen:
    """Return the kept peaks, measured now if there are none, and the kept calibration if there is one."""
    assert place.facts is not None
    peaks = stock.at_hand(stock.key_of(place.facts, 1, this_conditions()), place.target).kept.peaks
    try:
        return Foreseen(peaks, plan.dtype, predictor(place, runtime, plan) if plan.dtype == "float32" else None)
    except InputError as error:
        print(f"no predictions: {error}")
        return Foreseen(peaks, plan.dtype, None)


def all_taken(way: str, bases: int, time_s: float) -> list[Taken]:
    """Return what all networks take in one way; a base that does not run there is left out, and said."""
    runtime, dtype = ("onnxruntime", "int8") if way == "int8" else (way, "float32")
    (place,) = places(Request(("cpu",), (runtime,), threads=(1,)))
    plan = Plan(dtype=dtype, time_s=time_s, precision=0.001)
    known = foreseen(place, runtime, plan)
    found: list[Taken] = []
    for kind in KINDS:
        for base in range(bases):
            models = [expand(Document(kind, dict(spec), {}, {})) for spec in variants(kind, Random(base))]
            subjects = [of_net(model.graph, build(model.graph)) for model in models]
            if dtype == "int8":
                subjects = [with_layers(subject, ()) for subject in subjects]
            try:
                samples = measured(subjects, place, runtime, plan, lambda _: nullcontext())
            except TargetError as error:
                print(f"left out, {way}: {kind} {base}: {error}")
                continue
            times_s = [median([median(burst.samples_s) for burst in each.bursts]) for each in samples]
            pairs = zip(models, times_s, strict=True)
            found += [known.taken(way, kind, base, model, time_s) for model, time_s in pairs]
    return found


def steps(taken: list[Taken], kind: str) -> list[Step]:
    """Return the steps of a kind by which MACs fall by at least 3%."""
    found = []
    of_kind = [each for each in taken if each.kind == kind]
    for dear, cheap in pairwise(of_kind):
        fewer = math.log(dear.macs / cheap.macs)
        if dear.base == cheap.base and fewer > 0.03:
            found.append(Step(dear.base, fewer, math.log(dear.time_s / cheap.time_s)))
    return found


def bounds(values: Sequence[float]) -> str:
    """Return the middle 95% of what resampling gave."""
    low, high = np.quantile([value for value in values if math.isfinite(value)], (0.025, 0.975))
    return f"{low:.2f} to {high:.2f}"


def resampled(groups: Sequence[T]) -> Iterator[list[T]]:
    """Yield as many groups as there are, drawn with replacement, again and again."""
    draw = Random(0)
    for _ in range(RESAMPLES):
        yield draw.choices(groups, k=len(groups))


def rate(found: list[Step]) -> str:
    """Return the median rate with its interval over the drawn networks."""
    if not found:
        return "none"
    by_base = [[step.rate for step in found if step.base == base] for base in sorted({step.base for step in found})]
    medians = [median([each for base in drawn for each in base]) for drawn in resampled(by_base)]
    return f"{median([step.rate for step in found]):.2f} ({bounds(medians)})"


def rank(taken: Sequence[Taken], count: str) -> float:
    """Return the rank correlation of a count with what networks took."""
    pairs = [[getattr(each, count) for each in taken], [each.time_s for each in taken]]
    one, other = (np.argsort(np.argsort(values)) for values in pairs)
    return float(np.corrcoef(one, other)[0, 1])


def order(taken: list[Taken]) -> list[str]:
    """Return the rank correlations of what is known without measuring, each with its interval."""
    found = []
    groups = [list(group) for _, group in groupby(taken, lambda each: (each.kind, each.base))]
    flat = [[each for group in drawn for each in group] for drawn in islice(resampled(groups), RESAMPLES // 5)]
    for count in COUNTS.values():
        if any(math.isnan(getattr(each, count)) for each in taken):
            found.append("not known")
        else:
            found.append(f"{rank(taken, count):.3f} ({bounds([rank(each, count) for each in flat])})")
    return found


def kept(file: Path | None) -> list[Taken]:
    """Return the rows of a file, none if there is none."""
    if file is None or not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    types = (str, str, int, int, int, int, float, float, float)
    return [Taken(*(kind(row[key]) for key, kind in zip(Taken._fields, types, strict=True))) for row in rows]


def keep(file: Path, taken: Sequence[Taken]) -> None:
    """Write rows."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(Taken._fields)
        writer.writerows([f"{value:.4g}" if isinstance(value, float) else value for value in each] for each in taken)


def main() -> None:
    """Print the tables."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--ways", nargs="+", default=["eager", "onnxruntime", "int8"])
    asked.add_argument("--bases", type=int, default=6)
    asked.add_argument("--time", type=float, default=0.3, help="seconds for each network")
    asked.add_argument("--rows", type=Path, help="CSV of what was taken, read and added to")
    given = asked.parse_args()
    print(machine())
    known = kept(given.rows)
    taken = {way: [each for each in known if each.way == way] for way in given.ways}
    for way in (way for way in given.ways if not taken[way]):
        taken[way] = all_taken(way, given.bases, given.time)
        known += taken[way]
        if given.rows:
            keep(given.rows, known)
    rows = [(kind, *(rate(steps(found, kind)) for found in taken.values())) for kind in KINDS]
    print(table(("saving", *(f"{way}, {len(found)} networks" for way, found in taken.items())), rows))
    print(table(("rank correlation with time", *taken), zip(COUNTS, *map(order, taken.values()), strict=True)))


if __name__ == "__main__":
    main()
