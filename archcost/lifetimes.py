"""How many bytes are alive as a call runs: every storage from the operator that makes it to the last who holds it.

Values live as long on meta tensors as on real ones, since Python and autograd hold them alike; only what a kernel takes
for itself while it runs is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable

from torch import Tensor, UntypedStorage


class Lifetimes:
    """The bytes alive now and at most; storages of `weights` are apart, they are there before and after.

    `now_bytes` begins with `inputs`: whoever calls the module holds them. used: positions of the weights that were
    read.
    """

    def __init__(self, weights: Iterable[tuple[int, Tensor]], inputs: Iterable[Tensor]) -> None:
        self.now_bytes = self.peak_bytes = 0
        self._alive: dict[int, int] = {}
        self._refs: dict[weakref.ref[UntypedStorage], int] = {}
        self.weights = {tensor.untyped_storage()._cdata: position for position, tensor in weights}
        self.used: set[int] = set()
        for tensor in inputs:
            self.born(tensor)
        self.inputs_bytes = self.now_bytes

    def born(self, tensor: Tensor) -> None:
        """Count a tensor's storage until it dies, unless it is known already."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive or key in self.weights:
            return
        size_bytes = storage.nbytes()
        self._alive[key] = size_bytes
        self._refs[weakref.ref(storage, self._died)] = key
        self.now_bytes += size_bytes
        self.peak_bytes = max(self.peak_bytes, self.now_bytes)

    def is_weight(self, tensor: Tensor) -> bool:
        """Return whether a tensor that is read lies in a weight's storage, and remember it."""
        position = self.weights.get(tensor.untyped_storage()._cdata)
        if position is None:
            return False
        self.used.add(position)
        return True

    def _died(self, reference: weakref.ref[UntypedStorage]) -> None:
        self.now_bytes -= self._alive.pop(self._refs.pop(reference))
