"""A call of a torch module: its arguments, and the tensors in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass

from torch import Tensor, nn

from archcost.errors import shorten
from archcost.nets import copies
from archcost.nets.storage import size_bytes


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


def tensors_in(value: object) -> list[Tensor]:
    """Return the tensors in tuples, lists, dicts and dataclasses, as deep as they stand."""
    match value:
        case Tensor():
            return [value]
        case Mapping():
            return [t for part in value.values() for t in tensors_in(part)]
        case tuple() | list() | set():
            return [t for part in value for t in tensors_in(part)]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return [t for f in fields(value) for t in tensors_in(getattr(value, f.name))]
        case _:
            return []
