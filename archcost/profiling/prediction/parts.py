"""What a part of a torch module takes in Python beyond its operator."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Final

from archcost.errors import TargetError
from archcost.latency.measure import Request, measured
from archcost.latency.prediction.predictor import Predictor
from archcost.profiling.prediction.bench import Bench
from archcost.profiling.subjects import of_module

_BLOCKS: Final = 30  # of a convolution, a norm and an activation
_CHANNELS: Final = 16
_SIDE: Final = 8  # of images so small that most of the time is Python's
_TIME_S: Final = 0.5


def module_call_s(bench: Bench, predictor: Predictor) -> float:
    """Return the seconds of a call of a part beyond what is predicted of its operator, 0 if it cannot be measured."""
    if not bench.place.target.local:
        return 0.0
    import torch  # loaded where something is measured
    from torch import nn

    from archcost.profiling import modules
    from archcost.profiling.prediction.modules import of_module as operators_of

    plan = bench.plan
    layers = [
        part
        for _ in range(_BLOCKS)
        for part in (nn.Conv2d(_CHANNELS, _CHANNELS, 1, bias=False), nn.BatchNorm2d(_CHANNELS), nn.ReLU())
    ]
    x = torch.rand(plan.batch, _CHANNELS, _SIDE, _SIDE)
    module, own = modules.counted(modules.given(nn.Sequential(*layers).eval(), x, Request()), Request(latency=False))
    subject = of_module(module, own)
    try:
        (samples,) = measured(
            [subject], bench.place, "eager", replace(plan, batch=1, time_s=_TIME_S), lambda _: nullcontext()
        )
    except TargetError:
        return 0.0
    found = predictor.predict(operators_of(module, 1, own))
    return max(0.0, samples.median_s - found.median_s) / len(layers)
