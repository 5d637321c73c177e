"""A calibration of the fake target, as it would be kept after a moment's measuring."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from archcost.latency.measure import Request, places
from archcost.latency.prediction import kept
from archcost.latency.prediction.predictor import Calibration
from archcost.latency.prediction.whole import HeldOut
from archcost.profiling.prediction import calibrate
from archcost.profiling.prediction.bench import Bench

_TICKS = 30  # of a clock that goes on by one whenever it is read: nine times operators, then 20 networks


def calibrated(folder: Path, apart: float = 1.1, target: str = "fake", ticks: int = _TICKS) -> Calibration:
    """Calibrate a target on one thread into a cache folder; nine in ten then lie within the factor `apart`."""
    request = Request((target,), ("eager",), threads=(1,))
    (place,) = places(request)
    (plan,) = place.plans(request, "float32")
    clock = count()
    bench = Bench(place, plan, nullcontext, lambda: float(next(clock)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.setattr(calibrate, "_AT_ONCE", 40)
        patch.setattr(calibrate, "_NETWORKS_AT_ONCE", 1)
        found = calibrate.learn(bench, "eager", calibrate.key_of(place, "eager", plan), ticks)
        found = replace(found, held_out=HeldOut(20, apart, 0.9, 0.9, 0.05, 0.99))
        kept.keep(found)
    return found
