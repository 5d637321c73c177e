"""Whether a device gains by bfloat16: tried once in a process, on a small convolution's training step."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from typing import Final

import torch
from torch import nn

from archcost.fitspec import Precision

_GAIN: Final = 0.8  # of float32's time: less gain does not pay for the digits lost
_TRIES: Final = 3


def chosen(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the type of products: float32 or bfloat16."""
    if precision == "auto":
        return torch.bfloat16 if gains(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def casting(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which convolutions and products are computed in `dtype`, and losses in float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


@cache
def gains(device: torch.device, clock: Callable[[], float] = time.perf_counter) -> bool:
    """Return whether a training step in bfloat16 takes less than 0.8 of one in float32."""
    with torch.random.fork_rng(devices=[]):
        layer = nn.Conv2d(32, 32, 3, padding=1).to(device)
        x = torch.rand(16, 32, 8, 8).to(device, memory_format=torch.channels_last)
    times = {}
    for dtype in (torch.float32, torch.bfloat16):
        step = partial(_step, layer, x, dtype)
        step()
        times[dtype] = min(_seconds(step, clock) for _ in range(_TRIES))
    return times[torch.bfloat16] < _GAIN * times[torch.float32]


def _step(layer: nn.Conv2d, x: torch.Tensor, dtype: torch.dtype) -> None:
    with casting(dtype, x.device):
        made = layer(x)
    made.float().mean().backward()
    float(layer.weight.grad.sum()) if layer.weight.grad is not None else None  # waits for a device of its own
    layer.zero_grad()


def _seconds(step: Callable[[], None], clock: Callable[[], float]) -> float:
    begin = clock()
    step()
    return clock() - begin
