"""How many bytes are alive as a call runs, from the birth of each storage to its death.

Values live as long on meta tensors as on real ones, since Python and autograd hold them alike; only what a kernel takes
for itself while it runs is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable

from torch import Tensor, UntypedStorage, strided

from archcost.nets.storage import dense_parts, is_plain


class Lifetimes:
    """The bytes alive now and at most, weights apart: they are there before and after.

    `now_bytes` begins with `inputs`: whoever calls the module holds them.
    """

    def __init__(self, inputs: Iterable[Tensor]) -> None:
        self.now_bytes = self.peak_bytes = 0
        self._alive: dict[int, int] = {}
        self._refs: dict[weakref.ref[UntypedStorage], int] = {}
        for tensor in inputs:
            self.born(tensor)
        self._before = set(self._alive)

    @property
    def made_bytes(self) -> int:
        """What is alive now and was not before the call: inputs, and what the module holds, are apart."""
        return self.now_bytes - sum(self._alive.get(key, 0) for key in self._before)

    def held(self, tensor: Tensor) -> int:
        """Count a tensor that was there from the beginning and is read only now; return its bytes, 0 if it is known."""
        known = set(self._alive)
        peak_bytes, now_bytes = self.peak_bytes, self.now_bytes
        self.born(tensor)
        size_bytes = self.now_bytes - now_bytes
        self.peak_bytes = peak_bytes + size_bytes
        self._before |= self._alive.keys() - known
        return size_bytes

    def born(self, tensor: Tensor) -> None:
        """Count the storage of a tensor that was made until it dies, unless it is known already."""
        if (type(tensor) is not Tensor or tensor.layout is not strided or tensor.is_nested) and not is_plain(tensor):
            for part in dense_parts(tensor):  # it has no storage of its own: its parts have theirs
                self.born(part)
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        size_bytes = storage.nbytes()
        self._alive[key] = size_bytes
        self._refs[weakref.ref(storage, self._died)] = key
        self.now_bytes += size_bytes
        self.peak_bytes = max(self.peak_bytes, self.now_bytes)

    def _died(self, reference: weakref.ref[UntypedStorage]) -> None:
        key = self._refs.pop(reference)
        self._before.discard(key)
        self.now_bytes -= self._alive.pop(key)
