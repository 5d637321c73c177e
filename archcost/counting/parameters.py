"""What a module owns: parameters (trained, shared, tied, lazy, unread) and buffers.

A parameter is counted once: where it stands in several parts (shared), and where several parameters are the same memory
(tied). Frozen ones count too, and are shown apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from archcost.nets import copies, storage


@dataclass(frozen=True, slots=True)
class Weights:
    """Scalars of a module's parameters and buffers; `own`: of each part by path, counted where they stand first.

    shared, tied, lazy, unread: scalars among params that stand in several parts, that several parameters hold, whose
    shape the call decided, that the call did not read. unread_names: their parameters. Of a sparse one the stored
    values are counted; absent: the zeros that sparse parameters do not store. size_bytes: the memory of all, as typed,
    each piece once, however many are views of it; packed weights with it. floating: the floating values in it. kept:
    bytes by name of tensors that the call read and that are no parameters and no buffers; in no other number here.
    """

    params: int
    frozen: int
    shared: int
    tied: int
    lazy: int
    unread: int
    unread_names: tuple[str, ...]
    buffers: int
    size_bytes: int
    floating: int
    absent: int
    own: Mapping[str, tuple[int, int]]
    kept: Mapping[str, int]

    @property
    def trainable(self) -> int:
        """Parameters that training changes."""
        return self.params - self.frozen

    def cast_bytes(self, itemsize: int, own_itemsize: int) -> int:
        """Return the bytes of all with its floating values at another size."""
        return self.size_bytes + self.floating * (itemsize - own_itemsize)

    def to_dict(self) -> dict[str, object]:
        """Return the scalars as JSON holds them."""
        names = ("params", "trainable", "frozen", "shared", "tied", "lazy", "unread", "buffers")
        return {**{name: getattr(self, name) for name in names}, "kept_bytes": dict(self.kept)}


def weights_of(module: nn.Module, used: Collection[int], given: nn.Module, kept: Mapping[str, int]) -> Weights:
    """Return what a module owns; `used`: positions, in the order of copies.tensors, of what a call read.

    kept: bytes of what else of the module's it read, by name. `given` is the module before lazy parameters got their
    shapes, else the same: what is tied is known there.
    """
    read = {id(tensor) for i, tensor in enumerate(copies.tensors(module)) if i in used}
    places = list(_places(module))
    before = {_named(path, name): tensor for path, name, tensor, _ in (places if given is module else _places(given))}
    times = _times(module)
    sums = dict.fromkeys(("params", "frozen", "shared", "tied", "lazy", "unread", "buffers", "absent"), 0)
    own: dict[str, tuple[int, int]] = {}
    unread: list[str] = []
    objects: set[int] = set()
    wholes: dict[int, list[Tensor]] = {}
    for path, name, tensor, is_parameter in places:
        if id(tensor) in objects:
            continue
        objects.add(id(tensor))
        size, full = storage.values_of(tensor).numel(), _named(path, name)
        if is_parameter:
            alike = wholes.setdefault(_whole(before[full]), [])
            if any(_memory(other) == _memory(before[full]) for other in alike):
                sums["tied"] += size
                continue
            alike.append(before[full])
        params, buffers = own.get(path, (0, 0))
        own[path] = (params + size, buffers) if is_parameter else (params, buffers + size)
        sums["params" if is_parameter else "buffers"] += size
        if is_parameter:
            sums["absent"] += tensor.numel() - size
            sums["frozen"] += 0 if tensor.requires_grad else size
            sums["shared"] += size if times[id(tensor)] > 1 else 0
            sums["lazy"] += size if copies.is_lazy(before[full]) else 0
            if id(tensor) not in read:
                sums["unread"] += size
                unread.append(full)
    size_bytes, floating = _memory_of(module, [tensor for _, _, tensor, _ in places])
    return Weights(
        **sums, size_bytes=size_bytes, floating=floating, unread_names=tuple(unread), own=own, kept=dict(kept)
    )


def _memory_of(module: nn.Module, tensors: Iterable[Tensor]) -> tuple[int, int]:
    """Return the bytes of tensors and of packed weights, and the floating values in them, each piece of memory once."""
    found = {place.key: place for tensor in tensors for place in storage.memories(tensor)}
    found |= {place.key: place for place in storage.packed(part for _, part in copies.parts(module))}
    return sum(place.size_bytes for place in found.values()), sum(place.floating for place in found.values())


def _named(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _places(module: nn.Module) -> Iterator[tuple[str, str, Tensor, bool]]:
    """Yield every place of a parameter or buffer: path, name, tensor, whether it is a parameter."""
    for path, part in copies.parts(module):
        for tensors, is_parameter in ((part._parameters, True), (part._buffers, False)):
            for name, tensor in tensors.items():
                if tensor is not None:
                    yield path, name, tensor, is_parameter


def _times(module: nn.Module) -> Mapping[int, int]:
    """Return by its id how often a parameter stands in the module, those of a part that stands in two places twice."""
    return Counter(map(id, (parameter for _, parameter in module.named_parameters(remove_duplicate=False))))


def _whole(tensor: Tensor) -> int:
    """Return the memory that a tensor is a view of, equal for all that may share some; its own id if there is none."""
    if copies.is_lazy(tensor) or not tensor.numel():
        return id(tensor)
    parts = storage.dense_parts(tensor)
    return int(parts[0].untyped_storage()._cdata) if parts else id(tensor)


def _memory(tensor: Tensor) -> object:
    """Return what is equal for two tensors that are the same values in memory; both have some."""
    parts = [tensor] if storage.is_plain(tensor) else storage.dense_parts(tensor)
    if not parts:
        return id(tensor)
    return tuple((p.untyped_storage()._cdata, p.storage_offset(), tuple(p.shape), p.stride()) for p in parts)
