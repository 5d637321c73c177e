"""How long a study would take: a typical network is trained for a moment in a child, and the rest is multiplication."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from archcost import children, handing
from archcost.data import Dataset
from archcost.errors import TargetError, visible
from archcost.jobs import Done, Failed, Foresee, Foreseen
from archcost.read import Model
from archcost.setting import Setting
from archcost.units import counted_words, duration

_PATIENCE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds that one training of a typical network takes, its measurements, all trials, and confirming."""

    training_s: float
    measuring_s: float
    search_s: float
    confirm_s: float


def foresee(setting: Setting, model: Model, dataset: Dataset, workers: int) -> Span:
    """Return what a study takes whose networks are like `model`, without what rungs save.

    Raises TargetError where it cannot be trained.
    """
    training_s = _training_s(setting, model, dataset)
    each_s = sum(way.plan.time_s for way in setting.ways)
    measuring_s = each_s * (1 + len(setting.columns(model)))
    confirm = setting.confirm
    again_s = confirm.members * (-(-confirm.seeds // workers) * training_s + each_s)
    # a device is measured by one at a time, while the others wait between mini-batches
    return Span(training_s, measuring_s, setting.method.trials * (training_s / workers + measuring_s), again_s)


def _training_s(setting: Setting, model: Model, dataset: Dataset) -> float:
    with tempfile.TemporaryDirectory(prefix="archcost-") as name:
        folder = Path(name)
        handing.write(dataset, folder / "data.pt")
        for event in children.told(Foresee(setting.job(model, folder, Path(), 1)), _PATIENCE_S):
            if isinstance(event, Foreseen):
                return event.training_s
            if isinstance(event, Failed | Done):
                why = visible(event.reason) if isinstance(event, Failed) else "it gave no time"
                raise TargetError(f"a typical network of the study cannot be trained: {why}")
    raise AssertionError("a child's last event is Done or Failed")


def lines(setting: Setting, found: Span, workers: int) -> Iterator[str]:
    """Yield what was foreseen in words, within 80 columns."""
    trials = counted_words(setting.method.trials, "trial")
    whole, limit = found.search_s + found.confirm_s, setting.study.search.time
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
