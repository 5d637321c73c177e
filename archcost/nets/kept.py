"""Tensors that a module keeps beside parameters and buffers: in attributes, lists, objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

_TORCHS: Final = frozenset(vars(nn.Module()))  # what every module has: parameters, buffers, parts, hooks, ...
_NOTHING_IN: Final = frozenset(
    {int, float, str, bool, bytes, complex, type(None), type, torch.dtype, torch.device, torch.Size}
    | {torch.memory_format, FunctionType, BuiltinFunctionType, MethodType, ModuleType, torch.ScriptObject}
)
_LISTS: Final = (list, tuple, set, frozenset, deque)


class Attribute(NamedTuple):
    """An attribute of a part that may hold tensors."""

    part: nn.Module
    name: str
    value: object


def attributes(part: nn.Module) -> list[Attribute]:
    """Return those attributes of a part that may hold tensors and that torch's modules do not all have."""
    return [
        Attribute(part, name, value)
        for name, value in vars(part).items()
        if name not in _TORCHS and type(value) not in _NOTHING_IN
    ]


def kept(parts: list[tuple[str, nn.Module]], among: Iterable[Attribute]) -> dict[str, Tensor]:
    """Return by name the tensors in attributes that are no parameters and no buffers of the parts, each once.

    parts: by path, as copies.parts gives them. A name is that of Python: `block.tables[0]`, `cache['key'].values`.
    """
    own = [tensor for _, part in parts for group in (part._parameters, part._buffers) for tensor in group.values()]
    seen = {id(tensor) for tensor in own} | {id(part) for _, part in parts}
    paths = {part: path for path, part in parts}
    found: dict[str, Tensor] = {}
    for part, name, value in among:
        path = paths.get(part, "")
        if name not in _TORCHS:
            found.update(_inside(f"{path}.{name}" if path else name, value, seen))
    return found


def _inside(name: str, value: object, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """Yield what is in a value, as deep as it is; without recursion, since a list of lists may be long."""
    waiting = [(name, value)]
    while waiting:
        name, value = waiting.pop()
        if type(value) in _NOTHING_IN or isinstance(value, type) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            yield name, value
        else:
            waiting += reversed(list(_held(name, value)))


def _held(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        yield from ((f"{name}[{key!r}]", part) for key, part in value.items() if type(part) not in _NOTHING_IN)
    elif isinstance(value, _LISTS):
        yield from ((f"{name}[{i}]", part) for i, part in enumerate(value) if type(part) not in _NOTHING_IN)
    elif isinstance(value, partial):
        yield from ((f"{name}.args", value.args), (f"{name}.keywords", value.keywords))
    elif isinstance(value, nn.Module):  # in a list of its own, where it is no part
        groups = (value._parameters, value._buffers, value._modules, vars(value))
        yield from ((f"{name}.{key}", part) for group in groups for key, part in group.items() if key not in _TORCHS)
    else:
        slots = [slot for kind in type(value).__mro__ for slot in _slots(kind)]
        yield from ((f"{name}.{slot}", getattr(value, slot)) for slot in slots if hasattr(value, slot))
        yield from ((f"{name}.{key}", part) for key, part in getattr(value, "__dict__", {}).items())


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
