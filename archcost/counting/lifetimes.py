"""How many bytes are alive as a call runs, from the birth of each storage to its death.

Values live as long on meta tensors as on real ones, since Python and autograd hold them alike; only what a kernel takes
for itself while it runs is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable

from torch import Tensor, UntypedStorage, strided


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
        self.inputs_bytes = self.now_bytes

    def born(self, tensor: Tensor) -> None:
        """Count the storage of a tensor that was made until it dies, unless it is known already."""
        if tensor.layout is not strided or tensor.is_nested:
            return  # no storage of its own: its parts have theirs
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
        self.now_bytes -= self._alive.pop(self._refs.pop(reference))
