"""Points as vectors, whose squared distance is how far apart two points are.

Each parameter adds its part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from archcost.search.domains import Choice, Domain, Point, Scalar
from archcost.search.gaussian_process import Array

FINE: Final = 10
"""Values of an ordered parameter beyond which it counts as fine."""


@final
@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter over all points: ordered, low to high, or with options that are equal or not.

    fine: ordered, with so many values that one is little more than its neighbour.
    """

    name: str
    options: tuple[Scalar, ...] = ()
    log: bool = False
    low: float = 0.0
    high: float = 0.0
    fine: bool = False

    @property
    def width(self) -> int:
        """How many features it has: one for each option, or the place in the order and whether there is one."""
        return len(self.options) or 2

    def features(self, value: Scalar) -> tuple[float, ...]:
        """Return the features of a value: two options are at a squared distance of 1, as are the ends of an order."""
        if self.options:
            return tuple(_HALF if _same(option, value) else 0.0 for option in self.options)
        assert isinstance(value, int | float)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low) - 0.5, 0.0
        return (value - self.low) / (self.high - self.low) - 0.5, 0.0

    @property
    def absent(self) -> tuple[float, ...]:
        """The features of a point without the parameter."""
        return (0.0,) * len(self.options) if self.options else (0.0, 1.0)


_HALF = math.sqrt(0.5)


def _same(one: Scalar, other: Scalar) -> bool:
    return type(one) is type(other) and one == other


def axes(domains: Iterable[Mapping[str, Domain]]) -> tuple[Axis, ...]:
    """Return the parameters that points have, by the domains of each point; one with a single value is left out."""
    found: dict[str, list[Domain]] = {}
    for each in domains:
        for name, domain in each.items():
            if domain not in (held := found.setdefault(name, [])):
                held.append(domain)
    return tuple(axis for name, held in found.items() for axis in _axis(name, held))


def _axis(name: str, domains: Sequence[Domain]) -> Iterable[Axis]:
    ordered = [domain for domain in domains if not isinstance(domain, Choice)]
    if len(ordered) < len(domains):
        named = {(type(o), o): o for domain in domains if isinstance(domain, Choice) for o in domain.options}
        if len(named) > 1:
            yield Axis(name, options=tuple(named.values()))
        return
    low, high = min(domain.low for domain in ordered), max(domain.high for domain in ordered)
    if low < high:
        fine = any(domain.size > FINE for domain in ordered)
        yield Axis(name, log=all(domain.log for domain in ordered), low=low, high=high, fine=fine)


def features(points: Sequence[Point], along: Sequence[Axis]) -> Array:
    """Return the features of points, (n, q), parameter after parameter."""
    columns = [np.empty((len(points), 0))]
    for axis in along:
        values = [(type(point[axis.name]), point[axis.name]) if axis.name in point else None for point in points]
        distinct = {value: place for place, value in enumerate(dict.fromkeys(values))}
        made = [axis.absent if value is None else axis.features(value[1]) for value in distinct]
        columns.append(np.array(made).reshape(-1, axis.width)[[distinct[value] for value in values]])
    return np.concatenate(columns, axis=1)
