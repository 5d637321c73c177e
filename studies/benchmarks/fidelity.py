"""Whether a study ranks networks as longer training does, and what it ended early that would have been good.

Of a finished study ten complete networks, spread from the front to the back, and the three best of those that a rung
ended are trained again with three times the study's epochs, on its data, four of them with a second seed. Printed are
Kendall's tau between the study's scores and those (with an interval by resampling; target .85), tau between the
scores at the first rung and those, and which networks were ended wrongly: those that would be on the front of all that
were trained so. Latencies are the study's. The networks are written down beside the record (FILE with .json in place of
.csv), each training when it has ended: a second call goes on where the first one ended, and needs the study's storage
no more.

    python studies/benchmarks/fidelity.py studies/fractal-fashion/study.yaml --out FILE [--storage S] [--times 3]

--share 1/2 and --share 2/2 train one half each, in two processes; without it, the first one having ended, all is shown.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Final

import torch
from kept import Kept
from sidebyside import machine, table

from archcost.config.document import load as parsed
from archcost.data.load import load
from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset
from archcost.models.load import interpret
from archcost.nets.net import build
from archcost.search import pareto, ranks
from archcost.study.records.source import address_named
from archcost.study.records.stored import Stored, find
from archcost.study.spec import load_study
from archcost.training import fit, scoring, speed
from archcost.training.spec import Fit

FIELDS: Final = ("trial", "seed", "epochs")
TARGET: Final = 0.85


@dataclass(frozen=True)
class Chosen:
    """A network that is trained again: its scores and latency in the study, by its values at each rung."""

    trial: int
    complete: bool
    """Whether no rung ended it."""
    epochs: int
    first: tuple[float, ...]
    last: tuple[float, ...]
    yaml: str


def networks(stored: Stored, complete: int, ended: int) -> list[Chosen]:
    """Return the networks to train: complete ones spread over their ranks, and the best of those that were ended."""
    seen: dict[str, Chosen] = {}
    for trial in stored.trials():
        if trial.rungs and trial.begun and trial.state in ("complete", "pruned"):
            values = [tuple(stored.restored(trial.rungs[epoch])) for epoch in sorted(trial.rungs)]
            whole, told = trial.state == "complete", trial.begun
            seen.setdefault(
                told.identity, Chosen(trial.number, whole, max(trial.rungs), values[0], values[-1], told.yaml)
            )
    whole, early = ([each for each in seen.values() if each.complete is holds] for holds in (True, False))
    return [*spread(whole, complete), *sorted_by_rank(early)[:ended]]


def written(file: Path, found: Sequence[Chosen]) -> None:
    """Write the networks down."""
    file.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n")


def read(file: Path) -> list[Chosen]:
    """Return the networks that were written down."""
    rows = json.loads(file.read_text())
    return [Chosen(**{**row, "first": tuple(row["first"]), "last": tuple(row["last"])}) for row in rows]


def sorted_by_rank(found: Sequence[Chosen]) -> list[Chosen]:
    """Return networks from the front to the back, those of one rank from the most accurate on."""
    places = pareto.ranks([each.last for each in found]) if found else ()
    return [each for _, _, each in sorted(((rank, each.last, each) for rank, each in zip(places, found, strict=True)),
                                          key=lambda row: row[:2])]  # fmt: skip


def spread(found: Sequence[Chosen], count: int) -> list[Chosen]:
    """Return so many networks, evenly from the front to the back."""
    order = sorted_by_rank(found)
    if len(order) <= count or count < 2:
        return order[:count]
    return [order[round(place * (len(order) - 1) / (count - 1))] for place in range(count)]


def trained(each: Chosen, how: Fit, data: Dataset) -> tuple[float, float]:
    """Return the error on the validation split, and the seconds that training took."""
    model = interpret(parsed(each.yaml, f"trial {each.trial}"))
    net = build(model.graph, model.recipe, seed=how.seed)
    seconds = sum(epoch.seconds for epoch in fit.epochs(fit.begin(net, data, how, threads=1)))
    error = scoring.evaluate(net, data.validation, data).error
    assert error is not None  # of images it is known
    return error, seconds


def agreement(name: str, before: Sequence[float], after: Sequence[float]) -> str:
    """Return in a line how far two orders agree."""
    ends = ranks.tau_interval(before, after)
    words = f" (95% of resamples: {ends[0]:.2f} to {ends[1]:.2f})" if ends else ""
    return f"{name}: Kendall's tau {ranks.tau(before, after):.2f}{words}, {len(before)} networks"


def shown(every: Sequence[Chosen], known: Mapping[tuple[str, ...], float], epochs: int) -> str:
    """Return the table and what follows from it, for the networks that are trained."""
    after = {
        each.trial: errors
        for each in every
        if (errors := [error for key, error in known.items() if (key[0], key[2]) == (str(each.trial), str(epochs))])
    }
    there = [each for each in every if each.trial in after]
    longer = [fmean(after[each.trial]) for each in there]
    front = set(pareto.front([(error, *each.last[1:]) for error, each in zip(longer, there, strict=True)]))
    rows = [
        (str(each.trial), "complete" if each.complete else f"ended after {each.epochs}",
         f"{100 * each.first[0]:.1f}%", f"{100 * each.last[0]:.1f}%",
         ", ".join(f"{100 * error:.1f}%" for error in after[each.trial]), f"{1e6 * each.last[1]:.0f} us",
         "yes" if place in front else "")
        for place, each in enumerate(there)
    ]  # fmt: skip
    heads = ("trial", "in the study", "first rung", "last rung", f"{epochs} epochs", "latency", "on their front")
    lines = [table(heads, rows), ""]
    pairs = [(each, error) for each, error in zip(there, longer, strict=True) if each.complete]
    if len(pairs) > 1:
        lines.append(agreement("study", [each.last[0] for each, _ in pairs], [error for _, error in pairs]))
        lines.append(agreement("first rung", [each.first[0] for each in there], longer))
    wrong = [str(each.trial) for place, each in enumerate(there) if place in front and not each.complete]
    lines.append(f"ended wrongly: {', '.join(wrong) or 'none'}, of {sum(not each.complete for each in there)}")
    return "\n".join(lines)


def main() -> None:
    """Train what is missing, first with one seed, and print what is known."""
    parser = argparse.ArgumentParser()
    parser.add_argument("study")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--storage")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--complete", type=int, default=10)
    parser.add_argument("--ended", type=int, default=3)
    parser.add_argument("--again", type=int, default=4, help="networks with a second seed")
    parser.add_argument("--share", default="1/1", metavar="PLACE/OF")
    given = parser.parse_args()
    spec, record = load_study(given.study).study, Kept(given.out, FIELDS)
    if not isinstance(spec.data, DataSpec):
        sys.exit("the data of this study come from code")
    torch.set_num_threads(1)
    speed.keep_freed()
    listed = given.out.with_suffix(".json")
    if not listed.exists():
        kept = find(address_named(given.study, given.storage))
        written(listed, networks(kept, given.complete, given.ended))
    every, epochs = read(listed), given.times * spec.fit.epochs
    again = spread([each for each in every if each.complete], given.again)
    work = [(101, each) for each in every] + [(102, each) for each in again]
    place, of = map(int, given.share.split("/"))
    data = load(spec.data, folder=Path(given.study).parent)
    for seed, each in work[place - 1 :: of]:
        key = (str(each.trial), str(seed), str(epochs))
        if key not in record.errors():
            how = spec.fit.model_copy(update={"epochs": epochs, "rungs": None, "seed": seed})
            record.add(key, *trained(each, how, data))
    print(machine())
    print(shown(every, record.errors(), epochs))


if __name__ == "__main__":
    main()
