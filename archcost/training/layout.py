"""Channels that lie together in memory (channels_last), which is quicker to train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from archcost.graph.ops import Conv
from archcost.nets.net import Net

_LEAST: Final = 8
_BLOCK: Final = 16  # channels that the kernels of AVX-512 take together


def is_wide(net: nn.Module) -> bool:
    """Return whether an example's channels may lie together: in a network of ours, `filled` where that is needed.

    Not in a module of the user's own, whose code may look at them in order, nor with a convolution of several groups
    that makes fewer than 8 channels.
    """
    return isinstance(net, Net) and all(
        node.op.out >= _LEAST or node.op.groups == 1 for node in net.graph.nodes if isinstance(node.op, Conv)
    )


@contextmanager
def filled(net: nn.Module) -> Iterator[None]:
    """Let the convolutions of a network fill the blocks of channels that torch's kernels write, inside.

    torch 2.13 on a processor writes past what it allocated where channels lie together and a convolution makes fewer
    than 8, or is 1x1 with a stride and takes fewer than 16 (https://github.com/uxlfoundation/oneDNN/issues/6035). The
    first is given kernels of zeros besides, whose channels are dropped; the second is given the places alone that it
    looks at. Both give what they gave before. Nothing happens to a network that is not wide.
    """
    changed = list(_unfilled(net)) if is_wide(net) else []
    for part in changed:
        part.forward = partial(_filling, part)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for part in changed:
            del part.forward


def _unfilled(net: nn.Module) -> Iterator[nn.Conv2d]:
    for part in net.modules():
        if isinstance(part, nn.Conv2d) and (part.out_channels < _LEAST or _skips(part)):
            yield part


def _skips(conv: nn.Conv2d) -> bool:
    pointwise = conv.kernel_size == (1, 1) and conv.padding == (0, 0) and conv.stride != (1, 1)
    return pointwise and conv.in_channels // conv.groups < _BLOCK


def _filling(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """x: (B, C, H, W) -> (B, O, H', W'), as the convolution gives it."""
    stride = conv.stride
    if _skips(conv):
        x = x[:, :, :: stride[0], :: stride[1]].contiguous(memory_format=torch.channels_last)
        stride = (1, 1)
    missing = max(_LEAST - conv.out_channels, 0)
    weight, bias = conv.weight, conv.bias
    if missing:
        weight = functional.pad(weight, (0, 0, 0, 0, 0, 0, 0, missing))
        bias = None if bias is None else functional.pad(bias, (0, missing))
    made = functional.conv2d(x, weight, bias, stride, conv.padding, conv.dilation, conv.groups)
    return made[:, : conv.out_channels].contiguous(memory_format=torch.channels_last) if missing else made
