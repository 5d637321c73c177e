"""Which of a module's weights have 8 bits at int8: what products and look-ups read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torch import nn

from archcost.counting.dispatch import Calls
from archcost.nets import copies, storage

_READING: Final = frozenset("convolution conv1d conv2d conv3d addmm mm bmm baddbmm linear matmul embedding".split())
"""Operators that become ONNX's Conv, Gemm, MatMul and Gather."""

_WHOLE: Final = (nn.LSTM, nn.GRU)  # each becomes one operator of ONNX, which stays in float32


def quantised(module: nn.Module, calls: Calls) -> int:
    """Return how many of a module's floating values have 8 bits: of parameters with two dimensions or more.

    They are those of a part that such an operator runs in; of a part that is not called, in the part around it. What
    is shared or tied counts once.
    """
    reading = {path: False for path, _ in calls.tallies}
    for path, op in calls.tallies:
        reading[path] |= op in _READING
    found: dict[object, int] = {}
    for path, part in copies.parts(module):
        if isinstance(part, _WHOLE) or not _around(path, reading):
            continue
        for tensor in part._parameters.values():
            if tensor is not None and tensor.dim() > 1 and tensor.is_floating_point():
                found |= {place.key: place.floating for place in storage.memories(tensor)}
    return sum(found.values())


def _around(path: str, reading: Mapping[str, bool]) -> bool:
    """Return whether a part, or if it runs no operator the nearest part around it that does, reads weights so."""
    while path not in reading and path:
        path = path.rpartition(".")[0]
    return reading.get(path, False)
