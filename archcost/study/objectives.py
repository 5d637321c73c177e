"""What a study can minimise: quantities, their units, and how they are kept and shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, TypeAlias

from archcost.units import data_size, duration, percent, scaled

Goal: TypeAlias = Literal["min", "max"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One thing to minimise; log: kept as its natural logarithm, so that half of it counts as much everywhere.

    learnt: it comes from training, and only from data of one of `kinds`; else from counting or measuring. goal: max of
    a metric of the user's own that is to be large; it is kept as its negative.
    """

    name: str
    unit: str
    log: bool
    kinds: tuple[str, ...]
    words: Callable[[float], str]
    goal: Goal = "min"

    @property
    def learnt(self) -> bool:
        """Whether training gives it."""
        return bool(self.kinds)

    def stored(self, value: float) -> float:
        """Return a value as the storage holds it: smaller is better."""
        if not self.log:
            return value if self.goal == "min" else -value
        return math.log(value) if value > 0 else -math.inf  # NaN too: what is not finite never enters

    def restored(self, stored: float) -> float:
        """Return the value that was stored; a share stays one, whatever a drawn value says."""
        if self.unit == "share":
            return min(1.0, max(0.0, stored))
        if self.goal == "max":
            return -stored
        return math.exp(stored) if self.log else stored

    def beyond(self, stored: float, share: float) -> float:
        """Return the stored value that is worse than another one by a share of it."""
        return stored + (math.log1p(share) if self.log else share * abs(stored))


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
"""Every quantity that may be an objective, by name, but metrics of the user's own."""

RESERVED: Final = frozenset(
    {*QUANTITIES, "loss", "count", "trial", "number", "column", "way", "state", "reason", "origin", "family", "digest",
     "latency_s", "memory_bytes", "confirmed", "seeds", "test", "probability", "stable", "why", "seconds", "repeats",
     "on_front"}
)  # fmt: skip
"""Names that no metric of the user's own may have: tables have columns of these."""

_METRICS: Final[dict[str, Goal]] = {"min:": "min", "max:": "max"}
_KINDS: Final = ("image", "sequence", "text")


def of_metric(name: str, goal: Goal) -> str:
    """Return the name under which a study keeps an objective that is a metric of the user's own: max:f1."""
    return f"{goal}:{name}"


def is_quantity(name: str) -> bool:
    """Return whether a study may keep an objective under a name."""
    return name in QUANTITIES or any(name.startswith(begin) and name != begin for begin in _METRICS)


@cache
def quantity_of(name: str) -> Quantity:
    """Return the quantity of an objective by the name a study keeps it under; raises KeyError if there is none."""
    for begin, goal in _METRICS.items():
        if name.startswith(begin) and (metric := name.removeprefix(begin)):
            return Quantity(metric, "", False, _KINDS, _number, goal)
    return QUANTITIES[name]


def first_learnt(objectives: Iterable[tuple[str, int | None]]) -> str | None:
    """Return the first objective that is learnt, of names with the places of their latencies."""
    return next((name for name, _ in objectives if quantity_of(name).learnt), None)


def worst(name: str, classes: int) -> float | None:
    """Return what guessing gives, the natural end of a learnt quantity; None for the others.

    error: 1 - 1/K of K classes; perplexity: K of K words; bpc: log2(K) of K characters.
    """
    return {"error": 1 - 1 / classes, "perplexity": float(classes), "bpc": math.log2(max(classes, 2))}.get(name)
