"""What a tensor of any layout is kept in: dense tensors below it, and the memory of each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

_BY_ROWS: Final = frozenset({torch.sparse_csr, torch.sparse_bsr})
_BY_COLUMNS: Final = frozenset({torch.sparse_csc, torch.sparse_bsc})
SPARSE: Final = frozenset({torch.sparse_coo, *_BY_ROWS, *_BY_COLUMNS})
_PACKERS: Final = ("__torch__.torch.classes.quantized.", "__torch__.torch.classes.rnn.")
# a quick no for nearly all attributes of modules
_PLAIN_VALUES: Final = frozenset({bool, int, float, str, type(None), tuple, dict, OrderedDict, set})
_HALVES: Final = "quantized_fp16"  # what the state of a recurrent layer of float16 begins with


class Memory(NamedTuple):
    """A piece of memory: `key` is equal for tensors that are in the same piece."""

    key: object
    size_bytes: int
    dtype: torch.dtype

    @property
    def floating(self) -> int:
        """The floating values in it, which a cast of the module makes wider or narrower."""
        return self.size_bytes // self.dtype.itemsize if self.dtype.is_floating_point else 0


@lru_cache(maxsize=4096)
def is_wrapper(kind: type) -> bool:
    """Return whether tensors of such a class consist of other tensors, and say themselves of which."""
    return hasattr(kind, "__tensor_flatten__")


def is_plain(tensor: Tensor) -> bool:
    """Return whether a tensor has strides and memory of its own, and sizes."""
    return tensor.layout is torch.strided and not tensor.is_nested and not is_wrapper(type(tensor))


def dense_parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """Return the dense tensors that a tensor is kept in: itself, or indices and values; none if torch hides them."""
    if is_wrapper(type(tensor)):
        names, _ = tensor.__tensor_flatten__()  # type: ignore[attr-defined]  # as asked
        return tuple(part for name in names for part in dense_parts(getattr(tensor, name)))
    if tensor.layout is torch.sparse_coo:
        return tensor._indices(), tensor._values()
    if tensor.layout in _BY_ROWS:
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in _BY_COLUMNS:
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    if tensor.layout is not torch.strided:
        return ()
    return (tensor.values(),) if tensor.is_nested else (tensor,)


def values_of(tensor: Tensor) -> Tensor:
    """Return the tensor of a sparse tensor's values, in blocks if it has blocks; of others the tensor itself."""
    if tensor.layout is torch.sparse_coo:
        return tensor._values()
    return tensor.values() if tensor.layout in SPARSE else tensor


def memories(tensor: Tensor) -> Iterator[Memory]:
    """Yield the pieces of memory of a tensor; a view's is the whole that it is a view of.

    Of indices and values only what they are themselves: torch cuts those of rows and columns from one tensor.
    """
    if is_plain(tensor):
        whole = tensor.untyped_storage()
        yield Memory(whole._cdata, whole.nbytes(), tensor.dtype)
        return
    for part in dense_parts(tensor):
        whole, size = part.untyped_storage(), part.numel() * part.element_size()
        key = whole._cdata if size == whole.nbytes() else (whole._cdata, part.storage_offset(), size)
        yield Memory(key, size, part.dtype)
    if not dense_parts(tensor):
        yield Memory(id(tensor), tensor.numel() * tensor.element_size(), tensor.dtype)


def size_bytes(tensor: Tensor) -> int:
    """Return the bytes of a tensor's own values, with the indices of those that are stored."""
    if is_plain(tensor):
        return tensor.numel() * tensor.element_size()
    parts = dense_parts(tensor) or (tensor,)
    return sum(part.numel() * part.element_size() for part in parts)


def packed(parts: Iterable[nn.Module]) -> Iterator[Memory]:
    """Yield the memory of weights that quantised layers keep packed, which are no parameters and no buffers.

    Each packing once, with its biases. What was packed as float16 is unpacked as float32, and is half of that.
    """
    seen: set[int] = set()
    for part in parts:
        for value in vars(part).values():
            if type(value) in _PLAIN_VALUES:
                continue
            if isinstance(value, torch.ScriptObject) and id(value) not in seen and _packs(value):
                seen.add(id(value))
                yield from _unpacked(value, halves=getattr(part, "dtype", None) is torch.float16)


def _packs(value: torch.ScriptObject) -> bool:
    return str(value._type()).startswith(_PACKERS)


def _unpacked(value: torch.ScriptObject, *, halves: bool) -> Iterator[Memory]:
    """Yield what is in the state of one packing; a bias that a recurrent layer holds and packs again is the same."""
    found = list(_state(value.__getstate__(), halves))
    seen: set[int] = set()
    for tensor, is_half in found:
        storage = tensor.untyped_storage()
        if storage._cdata in seen:
            continue
        seen.add(storage._cdata)
        if is_half and tensor.dim() > 1:
            yield Memory(object(), storage.nbytes() // 2, torch.float16)
        else:  # a weight is unpacked to fresh memory; a bias is what the packing holds
            yield Memory(object() if tensor.is_quantized else storage._cdata, storage.nbytes(), tensor.dtype)


def _state(value: Any, halves: bool) -> Iterator[tuple[Tensor, bool]]:
    match value:
        case Tensor() if value.is_quantized or value.is_floating_point():  # whole numbers are a convolution's strides
            yield value, halves
        case torch.ScriptObject():
            yield from _state(value.__getstate__(), halves)
        case [str() as kind, *parts]:
            yield from _states(parts, halves or kind == _HALVES)
        case tuple() | list():
            yield from _states(value, halves)
        case _:
            return


def _states(values: Iterable[Any], halves: bool) -> Iterator[tuple[Tensor, bool]]:
    for value in values:
        yield from _state(value, halves)
