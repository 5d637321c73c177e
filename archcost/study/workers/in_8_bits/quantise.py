"""What a trained network is quantised for, as a job says it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantise:
    """What a trained network is quantised for: ways by number, each with its runtime.

    seed: of the choice of training examples that it is calibrated on; layers: of each way, those that stay in float32
    of the whole network and of its columns, none of a way that is not there.
    """

    ways: tuple[tuple[int, str], ...]
    seed: int
    layers: tuple[tuple[int, tuple[tuple[str, ...], ...]], ...] = ()

    def float_layers(self, way: int, place: int) -> frozenset[str]:
        """Return the layers that stay in float32; place: of the whole network 0, its columns follow."""
        known = dict(self.layers).get(way, ())
        return frozenset(known[place]) if place < len(known) else frozenset()
