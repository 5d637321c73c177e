"""What a module owns: parameters (trained, shared, tied, lazy, unread) and buffers.

A parameter is counted once: where it stands in several parts (shared), and where several parameters are the same memory
(tied). Frozen ones count too, and are shown apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from archcost.nets import copies


@dataclass(frozen=True, slots=True)
class Weights:
    """Scalars of a module's parameters and buffers; `own`: of each part by path, counted where they stand first.

    shared, tied, lazy, unread: scalars among params that stand in several parts, that several parameters hold, whose
    shape the call decided, that the call did not read. unread_names: their parameters. size_bytes: of all, as typed,
    packed integer weights with them.
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
    own: Mapping[str, tuple[int, int]]

    @property
    def trainable(self) -> int:
        """Parameters that training changes."""
        return self.params - self.frozen

    def cast_bytes(self, itemsize: int, own_itemsize: int) -> int:
        """Return the bytes of all with its floating values at another size."""
        return self.size_bytes + self.floating * (itemsize - own_itemsize)

    def to_dict(self) -> dict[str, int]:
        """Return the scalars as JSON holds them."""
        names = ("params", "trainable", "frozen", "shared", "tied", "lazy", "unread", "buffers")
        return {name: getattr(self, name) for name in names}


def weights_of(module: nn.Module, used: Collection[int], given: nn.Module) -> Weights:
    """Return what a module owns; `used`: positions, in the order of copies.tensors, of what a call read.

    `given` is the module before lazy parameters got their shapes, else the same: what is tied is known there.
    """
    read = {id(tensor) for i, tensor in enumerate(copies.tensors(module)) if i in used}
    places = list(_places(module))
    before = {_named(path, name): tensor for path, name, tensor, _ in (places if given is module else _places(given))}
    times: dict[int, int] = {}
    for _, parameter in module.named_parameters(remove_duplicate=False):
        times[id(parameter)] = times.get(id(parameter), 0) + 1
    sums = dict.fromkeys(
        ("params", "frozen", "shared", "tied", "lazy", "unread", "buffers", "size_bytes", "floating"), 0
    )
    own: dict[str, tuple[int, int]] = {}
    unread: list[str] = []
    objects: set[int] = set()
    memory: set[object] = set()
    for path, name, tensor, is_parameter in places:
        if id(tensor) in objects:
            continue
        objects.add(id(tensor))
        size, full = tensor.numel(), _named(path, name)
        if is_parameter and (place := _memory(before[full])) is not None:
            if place in memory:
                sums["tied"] += size
                continue
            memory.add(place)
        params, buffers = own.get(path, (0, 0))
        own[path] = (params + size, buffers) if is_parameter else (params, buffers + size)
        sums["size_bytes"] += size * tensor.element_size()
        sums["floating"] += size if tensor.is_floating_point() else 0
        sums["params" if is_parameter else "buffers"] += size
        if is_parameter:
            sums["frozen"] += 0 if tensor.requires_grad else size
            sums["shared"] += size if times[id(tensor)] > 1 else 0
            sums["lazy"] += size if copies.is_lazy(before[full]) else 0
            if id(tensor) not in read:
                sums["unread"] += size
                unread.append(full)
    sums["size_bytes"] += sum(t.numel() * t.element_size() for _, part in copies.parts(module) for t in _packed(part))
    return Weights(**sums, unread_names=tuple(unread), own=own)


def _named(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _places(module: nn.Module) -> Iterator[tuple[str, str, Tensor, bool]]:
    """Yield every place of a parameter or buffer: path, name, tensor, whether it is a parameter."""
    for path, part in copies.parts(module):
        for tensors, is_parameter in ((part._parameters, True), (part._buffers, False)):
            for name, tensor in tensors.items():
                if tensor is not None:
                    yield path, name, tensor, is_parameter


def _memory(tensor: Tensor) -> object | None:
    """Return what two tensors share that are the same memory; None if there is none to share."""
    if copies.is_lazy(tensor) or not tensor.numel():
        return None
    storage = tensor.untyped_storage()
    return storage._cdata, tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def _packed(part: nn.Module) -> Iterator[Tensor]:
    """Yield a quantised layer's weight, which is no parameter and no buffer."""
    unpack = getattr(part, "_weight_bias", None)
    if callable(unpack):
        yield from (tensor for tensor in unpack() if isinstance(tensor, Tensor))
