"""What makes training fast: bfloat16 if a trial of it pays, memory kept for reuse."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache, partial
from itertools import pairwise
from typing import Final

import torch
from torch import nn

from archcost.nets.dtypes import TORCH
from archcost.training.spec import Precision

_GAIN: Final = 0.8  # of float32's time: less gain does not pay for the digits lost
_TRIES: Final = 3


def chosen(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the type of products: float32 or bfloat16."""
    if precision == "auto":
        return torch.bfloat16 if gains(device) else torch.float32
    return TORCH[precision]


def casting(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which convolutions and products are computed in `dtype`, and losses in float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


@cache
def gains(device: torch.device, clock: Callable[[], float] = time.perf_counter) -> bool:
    """Return whether a training step in bfloat16 takes less than 0.8 of one in float32."""
    block, x = _tried(device)
    times = {}
    for dtype in (torch.float32, torch.bfloat16):
        step = partial(_step, block, x, dtype)
        step()
        times[dtype] = min(_seconds(step, clock) for _ in range(_TRIES))
    return times[torch.bfloat16] < _GAIN * times[torch.float32]


def _tried(device: torch.device) -> tuple[nn.Module, torch.Tensor]:
    """Return a block and its input (B, C, H, W), large enough for the products to weigh more than the calls."""
    kernels, channels = (1, 3, 1), (64, 32, 32, 64)
    with torch.random.fork_rng(devices=[]):
        layers: list[nn.Module] = []
        for kernel, (given, made) in zip(kernels, pairwise(channels), strict=True):
            layers += [nn.Conv2d(given, made, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(made), nn.ReLU()]
        x = torch.rand(64, channels[0], 16, 16)
    block = nn.Sequential(*layers).to(device)
    block.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # mypy's stubs lack it
    return block, x.to(device, memory_format=torch.channels_last)


def _step(block: nn.Module, x: torch.Tensor, dtype: torch.dtype) -> None:
    with casting(dtype, x.device):
        made = block(x)
    made.float().mean().backward()
    sum(float(weight.grad.sum()) for weight in block.parameters() if weight.grad is not None)  # waits for a device
    block.zero_grad()


def _seconds(step: Callable[[], None], clock: Callable[[], float]) -> float:
    begin = clock()
    step()
    return clock() - begin


# mallopt(3): parameters and values; -1 is the largest size there is
_SETTINGS: Final = ((-1, -1), (-2, 64 * 2**20), (-4, 0))  # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX


def keep_freed() -> None:
    """Let this process keep what it frees; where the system's allocator is not glibc's, nothing happens.

    Every activation of 128 KiB and more is else a new mapping, whose pages the system clears one by one: a sixth of the
    time of a small network's training. For processes that train and end.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            for parameter, value in _SETTINGS:
                mallopt(parameter, value)
