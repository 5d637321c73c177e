"""A call of a torch module: its arguments, and the memory that a copy of them takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from torch import nn

from archcost.errors import shorten
from archcost.nets import copies
from archcost.nets.calls.contents import tensors_in
from archcost.nets.storage import size_bytes
from archcost.units import data_size

_PARTS: Final = 10  # of the free memory, which a copy of the arguments may take one of


@dataclass(frozen=True, slots=True)
class Call:
    """A module and the arguments of one call of it."""

    module: nn.Module
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)


def reason(error: BaseException) -> str:
    """Return what an exception says, in one line."""
    return shorten(f"{type(error).__name__}: {' '.join(str(error)[:2000].split())}", 200)


def weights_bytes(module: nn.Module) -> int:
    """Return the bytes of a module's parameters and buffers, each once."""
    return sum(size_bytes(tensor) for tensor in copies.tensors(module))


def crowding(call: Call, free_bytes: int | None) -> str:
    """Return why a copy of a call's arguments will not be made, '' if it will: it is no large part of what is free."""
    copied_bytes = sum(size_bytes(tensor) for tensor in tensors_in((call.args, call.kwargs)))
    if free_bytes is None or copied_bytes <= free_bytes / _PARTS:
        return ""
    return (
        f"a copy of the arguments takes {data_size(copied_bytes)}, more than a tenth of the {data_size(free_bytes)} of "
        "memory that are free: a call may change them, so that each runs on a copy of its own"
    )
