"""What any object holds, as deep as it is: values, tensors, and all at one moment."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from archcost.nets.storage import size_bytes

ATOMS: Final = frozenset(
    {int, float, str, bool, bytes, complex, type(None), type, FunctionType, BuiltinFunctionType, torch.dtype}
    | {torch.device, torch.memory_format, torch.Size}
)
"""Classes of values that hold nothing and never change."""

_CLOSED: Final = (type, FunctionType, BuiltinFunctionType, MethodType, ModuleType)
_SEQUENCES: Final = (tuple, list, set, frozenset, deque)
_BUILT_IN: Final = frozenset({tuple, list, set, frozenset, deque, dict, OrderedDict})


def inside(value: object) -> Iterable[object]:
    """Return what is directly in a value: a container's items, a mapping's values, else an object's attributes.

    Classes and functions are closed: what they hold is theirs.
    """
    if type(value) in ATOMS or isinstance(value, Tensor):
        return ()
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, _SEQUENCES):
        return value
    return () if isinstance(value, _CLOSED) else attributes(value)


def attributes(value: object) -> Iterator[object]:
    """Yield the values of an object's attributes, those in slots too; no property is asked."""
    own = getattr(value, "__dict__", None)
    if isinstance(own, dict):
        yield from own.values()
    for kind in type(value).__mro__:
        names = kind.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            hidden = name.startswith("__") and not name.endswith("__")
            kept = getattr(value, f"_{kind.__name__.lstrip('_')}{name}" if hidden else name, None)
            if kept is not None and name not in ("__dict__", "__weakref__"):
                yield kept


def walk(value: object, *, modules: bool = False) -> Iterator[object]:
    """Yield a value and all in it, depth first and in order; what is there twice once, but for tensors.

    modules: whether torch modules in it are entered; else they are yielded alone.
    """
    waiting, seen = [value], {}
    while waiting:
        part = waiting.pop()
        if type(part) in ATOMS or isinstance(part, Tensor):
            yield part
        elif id(part) not in seen:
            seen[id(part)] = part  # kept: the id of what has died may come again
            yield part
            if modules or not isinstance(part, nn.Module):
                waiting += reversed(list(inside(part)))


def tensors_in(value: object) -> list[Tensor]:
    """Return the tensors in a value of any kind, as deep as they are, but for those of torch modules in it."""
    if isinstance(value, Tensor):
        return [value]
    return [part for part in walk(value) if isinstance(part, Tensor)]


def has_objects(value: object) -> bool:
    """Return whether a value holds an object of a class of its own, whose methods may change what it holds."""
    return any(_is_object(part) for part in walk(value))


def _is_object(value: object) -> bool:
    kind = type(value)
    if kind in ATOMS or kind in _BUILT_IN or isinstance(value, (Tensor, int, float, str, bytes, *_CLOSED)):
        return False
    return not (isinstance(value, tuple) and hasattr(value, "_fields"))


@dataclass(frozen=True, slots=True)
class Held:
    """What something holds, as deep as it is.

    size_bytes: of its tensors; shapes: theirs, in order; values: its numbers, texts and the lengths of its containers,
    and how often each tensor was written to; identities: which tensors they are.
    """

    size_bytes: int
    shapes: tuple[tuple[int, ...], ...]
    values: tuple[object, ...]
    identities: tuple[int, ...]


def held(value: object) -> Held:
    """Return what a module, or any other value, holds now."""
    held_bytes = 0
    shapes: list[tuple[int, ...]] = []
    values: list[object] = []
    identities: list[int] = []
    for part in walk(value, modules=True):
        if isinstance(part, Tensor):
            lazy = isinstance(part, UninitializedParameter | UninitializedBuffer)
            held_bytes += 0 if lazy else size_bytes(part)
            shapes.append(() if lazy or part.is_nested else tuple(part.shape))
            identities.append(id(part))
            values.append(None if part.is_inference() else part._version)
        elif type(part) in ATOMS:
            values.append(part)
        elif isinstance(part, Sized):
            values.append(_length(part))
    return Held(held_bytes, tuple(shapes), tuple(values), tuple(identities))


def _length(value: Sized) -> int:
    try:
        return len(value)
    except Exception:  # of another's class: it has none that can be compared
        return -1
