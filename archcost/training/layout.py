"""Channels that lie together in memory (channels_last), which is quicker to train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from archcost.nets.net import Net

_BLOCK: Final = 16  # channels that the kernels of AVX-512 take together


def is_wide(net: nn.Module) -> bool:
    """Return whether an example's channels may lie together: in a network of ours, with `safe` around its training.

    Not in a module of the user's own, whose code may look at them in order.
    """
    return isinstance(net, Net)


@contextmanager
def safe(net: nn.Module) -> Iterator[None]:
    """Keep the convolutions of a network from writing past what torch allocated, inside; they give what they gave.

    torch 2.13 on a processor does so where channels lie together, in the gradient of a convolution of 1x1 with a stride
    that takes fewer than 16 channels (https://github.com/uxlfoundation/oneDNN/issues/6035). Such a one is given the
    places alone that it looks at, and no stride. Nothing happens to a network that is not wide.
    """
    changed = [part for part in net.modules() if isinstance(part, nn.Conv2d) and _skips(part)] if is_wide(net) else []
    for part in changed:
        part.forward = partial(_without_stride, part)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for part in changed:
            del part.forward


def _skips(conv: nn.Conv2d) -> bool:
    pointwise = conv.kernel_size == (1, 1) and conv.padding == (0, 0) and conv.stride != (1, 1)
    return pointwise and conv.weight.device.type == "cpu" and conv.in_channels // conv.groups < _BLOCK


def _without_stride(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """x: (B, C, H, W) -> (B, O, H', W'), as the convolution gives it."""
    down, across = conv.stride
    seen = x[:, :, ::down, ::across].contiguous(memory_format=torch.channels_last)
    return functional.conv2d(seen, conv.weight, conv.bias, groups=conv.groups)
