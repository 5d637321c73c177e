"""How long a study would take: a few mini-batches of a typical network are trained, and the rest is multiplication."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from archcost import fit, nets
from archcost.data import Dataset
from archcost.data.splits import as_rows
from archcost.estimates import median
from archcost.read import Model
from archcost.setting import Setting
from archcost.units import counted_words, duration

_LONGEST_S: Final = 3.0
_FIRST: Final = 2  # mini-batches that are not timed: they allocate
_MOST: Final = 20


class _Enough(Exception):  # noqa: N818  # no error: a training that has been looked at for long enough
    pass


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Seconds that one training of a typical network takes, that its measurements take, and a whole study."""

    training_s: float
    measuring_s: float
    search_s: float
    confirm_s: float


def foresee(setting: Setting, model: Model, dataset: Dataset, workers: int) -> Foreseen:
    """Return what a study takes whose networks are like `model`, without what rungs save; trains it for a moment."""
    training_s = _training_s(setting, model, dataset)
    networks = 1 + len(setting.columns(model))
    measuring_s = sum(way.time_s for way in setting.ways) * networks
    confirm = setting.confirm
    again_s = confirm.members * (-(-confirm.seeds // workers) * training_s + sum(way.time_s for way in setting.ways))
    trials = setting.study.search.trials
    # a device is measured by one at a time, while the others wait between mini-batches
    return Foreseen(training_s, measuring_s, trials * (training_s / workers + measuring_s), again_s)


def _training_s(setting: Setting, model: Model, dataset: Dataset) -> float:
    if dataset.kind == "image" and model.graph.steps is not None:
        dataset = as_rows(dataset)
    begun = time.monotonic()
    ends: list[float] = []
    total = 1

    def told(_: int, count: int, __: float) -> None:
        nonlocal total
        total = count
        ends.append(time.monotonic())
        if len(ends) >= _MOST or (len(ends) > _FIRST and ends[-1] - begun > _LONGEST_S):
            raise _Enough

    fitting = fit.begin(nets.build(model.graph, model.recipe), dataset, setting.study.fit, threads=1)
    try:
        for _ in fit.epochs(fitting, told=told):
            pass
    except _Enough:
        pass
    spans = [after - before for before, after in zip(ends[_FIRST - 1 :], ends[_FIRST:], strict=False)]
    return total * median(spans or [ends[-1] - begun])


def lines(setting: Setting, found: Foreseen, workers: int) -> Iterator[str]:
    """Yield what was foreseen in words, within 80 columns."""
    trials = counted_words(setting.study.search.trials, "trial")
    whole = found.search_s + found.confirm_s
    limit = setting.study.search.time
    yield f"time         about {_span(whole)} with {counted_words(workers, 'worker')}, if no trial ended at a rung"
    each = f"{_span(found.training_s)} training and {_span(found.measuring_s)} measuring"
    yield f"  {trials} of {each}: {_span(found.search_s)}"
    again = setting.confirm.members * setting.confirm.seeds
    yield f"  confirming with {counted_words(again, 'training')}: {_span(found.confirm_s)}"
    if limit is not None and limit < whole:
        yield f"  the study's own limit is {_span(limit)}: fewer trials than that"


def _span(seconds: float) -> str:
    if seconds < 100:
        return duration(seconds)
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
