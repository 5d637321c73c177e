"""How many bytes are alive as a graph runs, each value from its maker to its last reader."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from archcost.counting.files.onnx.rules import costs
from archcost.counting.files.onnx.rules.steps import Value


@dataclass(slots=True)
class Alive:
    """The storages that are alive, weights apart; `peak_bytes`: the most at once.

    A storage is alive as long as a name of its is: a view has its first input's.
    """

    peak_bytes: int = 0
    _now: int = 0
    _next: int = 0
    _held: dict[int, tuple[int, int]] = field(default_factory=dict)

    def born(self, value: Value) -> Value:
        """Return a value in a storage of its own, which one name has."""
        size = costs.bytes_of(value)
        self._next += 1
        self._held[self._next] = (1, size)
        self._now += size
        return replace(value, owner=self._next)

    def again(self, value: Value) -> Value:
        """Return a value that one more name has."""
        if value.owner in self._held:
            names, size = self._held[value.owner]
            self._held[value.owner] = (names + 1, size)
        return value

    def dies(self, value: Value) -> None:
        """Forget one name of a value."""
        if value.owner not in self._held:
            return
        names, size = self._held.pop(value.owner)
        if names > 1:
            self._held[value.owner] = (names - 1, size)
        else:
            self._now -= size

    def note(self) -> None:
        """Look at how much is alive now."""
        self.peak_bytes = max(self.peak_bytes, self._now)
