"""The inputs that a network's activations get their ranges from: drawn, or examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from archcost.nets.call import Call
from archcost.nets.calls.contents import tensors_in

Arrays: TypeAlias = Mapping[str, Any]
"""The inputs of one run, arrays of numpy's, by the names that the file has for them."""

DRAWN: Final = 8


def drawn(call: Call, names: Sequence[str], count: int = DRAWN, seed: int = 0) -> Iterator[Arrays]:
    """Yield the arrays of a call, then others like them: normal with the same mean and spread, integers shuffled.

    The call itself is the first, so that what is compared and timed is within the ranges.
    """
    generator = torch.Generator().manual_seed(seed)
    given = [tensor.detach().cpu() for tensor in tensors_in((call.args, call.kwargs))]
    for place in range(count):
        like = given if place == 0 else [_like(tensor, generator) for tensor in given]
        yield dict(zip(names, (tensor.numpy() for tensor in like), strict=True))


def _like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    if not tensor.is_floating_point():
        order = torch.randperm(tensor.numel(), generator=generator)
        return tensor.flatten()[order].reshape(tensor.shape)
    spread, mean = torch.std_mean(tensor, correction=0)
    return torch.randn(tensor.shape, generator=generator) * spread + mean
