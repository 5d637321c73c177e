"""What a study can minimise: quantities, their units, and how they are kept and shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from archcost.units import data_size, duration, percent, scaled


@dataclass(frozen=True, slots=True)
class Quantity:
    """One thing to minimise; log: kept as its natural logarithm, so that half of it counts as much everywhere.

    learnt: it comes from training, and only from data of one of `kinds`; else from counting or measuring.
    """

    name: str
    unit: str
    log: bool
    kinds: tuple[str, ...]
    words: Callable[[float], str]

    @property
    def learnt(self) -> bool:
        """Whether training gives it."""
        return bool(self.kinds)

    def stored(self, value: float) -> float:
        """Return a value as the storage holds it: smaller is better."""
        if not self.log:
            return value
        return math.log(value) if value > 0 else -math.inf  # NaN too: what is not finite never enters

    def restored(self, stored: float) -> float:
        """Return the value that was stored; a share stays one, whatever a drawn value says."""
        if self.unit == "share":
            return min(1.0, max(0.0, stored))
        return math.exp(stored) if self.log else stored


def _number(value: float) -> str:
    return f"{value:.4g}"


QUANTITIES: Final[dict[str, Quantity]] = {
    each.name: each
    for each in (
        Quantity("error", "share", False, ("image", "sequence"), percent),
        Quantity("perplexity", "", True, ("text",), _number),
        Quantity("bpc", "bits", False, ("text",), _number),
        Quantity("latency", "s", True, (), duration),
        Quantity("params", "scalars", True, (), lambda value: scaled(round(value))),
        Quantity("macs", "MACs", True, (), lambda value: scaled(round(value))),
        Quantity("memory", "bytes", True, (), lambda value: data_size(round(value))),
    )
}
"""Every quantity that may be an objective, by name."""


def worst(name: str, classes: int) -> float | None:
    """Return what guessing gives, the natural end of a learnt quantity; None for the others.

    error: 1 - 1/K of K classes; perplexity: K of K words; bpc: log2(K) of K characters.
    """
    return {"error": 1 - 1 / classes, "perplexity": float(classes), "bpc": math.log2(max(classes, 2))}.get(name)
