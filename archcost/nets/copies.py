"""Copies of a module that run without touching the original, with data or on meta tensors.

A copy is deep, as copy.deepcopy would make it, but an ordinary module is copied attribute by attribute: six times
faster, which is most of what counting on meta takes. torch.compile'd modules are unwrapped, scripted ones refused.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.overrides import TorchFunctionMode

from archcost.errors import InputError, quoted
from archcost.nets.calls.contents import ATOMS
from archcost.nets.kept import Attribute, attributes, kept
from archcost.nets.storage import SPARSE, is_plain, memories

_REGISTERED: Final = frozenset({"_parameters", "_buffers", "_modules"})
_MET: Final = 0  # where a memo keeps the attributes that a copy met: the id of no object
_META: Final = torch.device("meta")
_DICTS: Final = frozenset({dict, OrderedDict})
_EMPTY: Final = frozenset({dict, OrderedDict, set})
_SIMPLE: Final = frozenset({tuple, set, list})
_NEVER: Final = ATOMS | {dict, OrderedDict, set, tuple, list}  # a quick no to whether a value is a tensor
_PLAIN: Final = frozenset({Tensor, nn.Parameter, nn.Buffer})
# in these modules of torch __setstate__ only adds what old checkpoints lack
_ONLY_FILL: Final = frozenset(f"torch.nn.modules.{name}" for name in ("conv", "batchnorm", "activation", "transformer"))


def parts(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the module and all its parts under their first path, as named_modules would, in a third of the time."""
    found: dict[nn.Module, str] = {}
    waiting = [("", module)]
    while waiting:
        path, part = waiting.pop()
        if part not in found:
            found[part] = path
            prefix = f"{path}." if path else ""
            waiting += [(prefix + name, child) for name, child in reversed(part._modules.items()) if child is not None]
    return [(path, part) for part, path in found.items()]


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the module inside torch.compile's wrapper; raises InputError for scripted and traced ones."""
    while isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
        module = inner
    for name, part in parts(module):
        if isinstance(part, torch.jit.ScriptModule):
            where = f" {quoted(name)}" if name else ""
            raise InputError(
                f"the scripted module{where} ({type(part).__name__}) cannot be counted: its operators run out of "
                "Python's sight; allowed: the module it was made from"
            )
    return module


def tensors(module: nn.Module) -> Iterator[Tensor]:
    """Yield parameters, buffers and plain tensor attributes, each once."""
    seen: set[int] = set()
    for _, part in parts(module):
        own = part.__dict__
        for values in (own["_parameters"].values(), own["_buffers"].values(), own.values()):
            for value in values:
                if type(value) in _NEVER:
                    continue
                if isinstance(value, Tensor) and id(value) not in seen:
                    seen.add(id(value))
                    yield value


def any_lazy(module: nn.Module) -> bool:
    """Return whether a parameter or buffer gets its shape only in the first call."""
    own = (group for _, part in parts(module) for group in (part._parameters, part._buffers))
    return any(tensor is not None and is_lazy(tensor) for group in own for tensor in group.values())


def is_lazy(tensor: Tensor) -> bool:
    """Return whether a tensor gets its shape only in the first call."""
    return type(tensor) not in _PLAIN and isinstance(tensor, UninitializedParameter | UninitializedBuffer)


class NeedsData(TypeError):  # noqa: N818  # no error: the call is counted on data
    """What a tensor takes part in depends on the values it stores, which there are none of on meta; says so."""


def on_meta(module: nn.Module, memo: dict[int, Any] | None = None) -> tuple[nn.Module, list[Tensor]]:
    """Return a copy whose tensors hold no data, and those tensors; nothing the size of the weights is allocated.

    memo: empty, and then what became of each thing, by its id. Raises NeedsData if a tensor is sparse, TypeError if it
    is of another kind that meta does not know (quantized, a subclass).
    """
    memo, shared, own = {} if memo is None else memo, _Shared(hollow=True), list(tensors(module))
    make = shared if any(type(t) is Tensor and t._is_view() for t in own) else hollow
    made = [make(t) for t in own]
    memo |= {id(t): copied for t, copied in zip(own, made, strict=True)}
    return _copied_whole(module, memo, shared), made


def real(module: nn.Module, memo: dict[int, Any] | None = None) -> nn.Module:
    """Return a copy with data of its own; what shares memory shares it there too. memo: as on_meta's."""
    memo, shared = {} if memo is None else memo, _Shared(hollow=False)
    with torch.inference_mode(False):
        memo |= {id(t): shared(t) for t in tensors(module) if type(t) in _PLAIN}
    return _copied_whole(module, memo, shared)


def others(module: nn.Module, memo: Mapping[int, Any]) -> dict[str, Tensor]:
    """Return by name what a copy holds beside parameters and buffers, and not in their memory.

    memo: of the copying; empty if the module itself runs.
    """
    met: list[Attribute] = memo[_MET] if memo else [each for _, part in parts(module) for each in attributes(part)]
    if not met:
        return {}
    every = parts(module)
    found = kept(every, met)
    own = [t for _, part in every for group in (part._parameters, part._buffers) for t in group.values()]
    places = {place.key for t in own if t is not None and not is_lazy(t) for place in memories(t)}
    found = {name: t for name, t in found.items() if places.isdisjoint(place.key for place in memories(t))}
    return {name: memo.get(id(t), t) for name, t in found.items()}


class _Shared:
    """Copies tensors; those that are views of one memory become views of one again."""

    def __init__(self, *, hollow: bool) -> None:
        self.hollow = hollow
        self.wholes: dict[object, Tensor] = {}

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return the copy, of the same class and with the same wish for a gradient."""
        if is_lazy(tensor) or not is_plain(tensor) or tensor.is_quantized or tensor.is_conj() or tensor.is_neg():
            return _like(tensor, hollow(tensor) if self.hollow else _detached(tensor))
        storage = tensor.untyped_storage()
        key, itemsize = (storage._cdata, tensor.dtype), tensor.element_size()
        if key not in self.wholes:
            flat = tensor.detach().as_strided((storage.nbytes() // itemsize,), (1,), 0)
            self.wholes[key] = torch.empty_like(flat, device=_META) if self.hollow else flat.clone()
        made = self.wholes[key].as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
        return _like(tensor, made.detach())


def _like(tensor: Tensor, made: Tensor) -> Tensor:
    if type(tensor) is nn.Parameter and type(made) is not nn.Parameter:
        return nn.Parameter(made, requires_grad=tensor.requires_grad)
    return made.requires_grad_(tensor.requires_grad and tensor.is_leaf)


def hollow(tensor: Tensor) -> Tensor:
    """Return a tensor on meta of the same shape, strides, type and wish for a gradient."""
    kind, layout = type(tensor), tensor.layout
    if kind not in _PLAIN and is_lazy(tensor):
        lazy: Tensor = type(tensor)(device="meta", dtype=tensor.dtype)  # type: ignore[call-overload]  # both take them
        return lazy
    if layout in SPARSE:
        raise NeedsData("sparse tensors: products are counted by the values that they store")
    if tensor.is_nested:
        raise NeedsData("nested tensors: counted by the lengths of their rows")
    if kind not in _PLAIN or layout is not torch.strided or tensor.is_quantized:
        raise TypeError(f"{type(tensor).__name__} ({tensor.dtype}, {layout}) is not copied to meta")
    made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=_META)
    if kind is nn.Parameter:
        return Tensor._make_subclass(nn.Parameter, made, tensor.requires_grad)  # as nn.Parameter does, in a third
    return made.requires_grad_() if tensor.requires_grad and tensor.is_leaf else made


def filled(tensor: Tensor) -> Tensor:
    """Return a copy with data of its own, and the same wish for a gradient."""
    return _detached(tensor).requires_grad_(tensor.requires_grad)


def deep(value: object, memo: dict[int, Any], make: Callable[[Tensor], Tensor]) -> object:
    """Return a deep copy of any value, in which tensors are what the memo has for them by their id, or `make` makes."""
    memo.setdefault(_MET, [])
    with torch.inference_mode(False), _Deep(memo, make):
        return _copied(value, memo)


def _detached(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()  # deepcopy refuses tensors that were computed with gradients (weight_norm's)


class _Deep(TorchFunctionMode):
    """While it is entered, tensors that copy.deepcopy meets inside other things become what `make` makes of them."""

    def __init__(self, memo: dict[int, Any], make: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.memo, self.make = memo, make

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace Tensor.__deepcopy__, leave everything else as it is."""
        if func is Tensor.__deepcopy__:
            found = self.memo.get(id(args[0]))
            if found is None:
                found = self.memo[id(args[0])] = self.make(args[0])
            return found
        return func(*args, **(kwargs or {}))


def _copied_whole(module: nn.Module, memo: dict[int, Any], make: Callable[[Tensor], Tensor]) -> nn.Module:
    memo[_MET] = []
    with torch.inference_mode(False), _Deep(memo, make):
        return _clone(module, memo)


def _clone(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    known: nn.Module | None = memo.get(id(module))
    if known is not None:
        return known
    if "_orig_mod" in module._modules:  # torch.compile's wrapper
        return _clone(unwrapped(module), memo)
    if not _ordinary(type(module)):  # type: ignore[arg-type]  # classes can be hashed
        copied = copy.deepcopy(module, memo)
        memo[_MET] += [each for _, part in parts(module) for each in attributes(part)]
        for _, part in parts(copied):
            part._compiled_call_impl = None
        return copied
    cloned: nn.Module = object.__new__(type(module))
    memo[id(module)] = cloned
    made = cloned.__dict__
    made.update(module.__dict__)  # in their order; what is no atom becomes a copy below
    for key, value in module.__dict__.items():
        kind = type(value)
        if kind in ATOMS or key == "_compiled_call_impl":
            continue
        if kind in _EMPTY and not value:  # most of a module's attributes
            made[key] = kind()
        elif kind is tuple and ATOMS.issuperset(map(type, value)):
            made[key] = value
        else:
            made[key] = _copied(value, memo)
            if key not in _REGISTERED:
                memo[_MET].append(Attribute(module, key, value))
    if made.get("_compiled_call_impl") is not None:
        made["_compiled_call_impl"] = None
    return cloned


def _copied(value: object, memo: dict[int, Any]) -> object:
    kind = type(value)
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, dict) and kind in _DICTS:
        made = memo[id(value)] = kind()
        for key, part in value.items():
            known = memo.get(id(part))
            made[key] = known if known is not None else part if type(part) in ATOMS else _copied(part, memo)
        return made
    if isinstance(value, nn.Module):
        return _clone(value, memo)
    if isinstance(value, tuple | set | list) and kind in _SIMPLE and ATOMS.issuperset(map(type, value)):
        return value if kind is tuple else memo.setdefault(id(value), value.copy())  # type: ignore[union-attr]  # no tuple
    return copy.deepcopy(value, memo)


@lru_cache(maxsize=4096)
def _ordinary(kind: type[nn.Module]) -> bool:
    """Return whether deepcopy would only copy the attributes of such a module: it has no say of its own in it."""
    return (
        not hasattr(kind, "__deepcopy__")
        and kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and kind.__getstate__ is nn.Module.__getstate__
        and (kind.__setstate__ is nn.Module.__setstate__ or kind.__setstate__.__module__ in _ONLY_FILL)
        and not any(base.__dict__.get("__slots__") for base in kind.__mro__)
    )
