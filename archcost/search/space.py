"""The space of a study: its templates, its points, and the plain trees they stand for.

A parameter is called as the key path of its domain, the place of the template first: `0.widths.by`. Dots inside keys
are written `\\.`, so that two domains never have one name.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never, final

from archcost.config.document import Value
from archcost.search.domains import Choice, Domain, Pick, Point, Scalar, points, sample, values_of

MODEL: Final = "model"
"""The parameter that chooses between templates, if there are several."""


@final
@dataclass(frozen=True, slots=True)
class Fixed:
    """A value without domains."""

    value: Value


@final
@dataclass(frozen=True, slots=True)
class Drawn:
    """A domain; `meant`: what an option stands for that is no scalar."""

    domain: Domain
    meant: tuple[tuple[Scalar, Value], ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Repeated:
    """One draw so many times, or with `each` a draw for each place."""

    part: Part
    times: Fixed | Drawn
    each: bool


@final
@dataclass(frozen=True, slots=True)
class Scaled:
    """A list of numbers times one factor."""

    numbers: Fixed | Drawn
    by: Fixed | Drawn


@final
@dataclass(frozen=True, slots=True)
class Listed:
    """A list of parts."""

    parts: tuple[Part, ...]


@final
@dataclass(frozen=True, slots=True)
class Mapped:
    """A mapping of keys to parts."""

    parts: tuple[tuple[str, Part], ...]


Part: TypeAlias = Fixed | Drawn | Repeated | Scaled | Listed | Mapped


@final
@dataclass(frozen=True, slots=True)
class Space:
    """The templates of a study; a point is one of them with a value for each of its domains."""

    templates: tuple[Part, ...]

    def draw(self, pick: Pick) -> tuple[int, Value]:
        """Return the place of a template and its tree with every domain replaced by what `pick` gives.

        Places of one repeated draw share their value: trees are to be read, not changed.
        """
        place = 0
        if len(self.templates) > 1:
            chosen = pick(MODEL, Choice(tuple(range(len(self.templates)))))
            assert isinstance(chosen, int)
            place = chosen
        return place, _drawn(self.templates[place], str(place), pick)

    def size(self) -> float:
        """Return the exact number of points, an integer of any length; infinite if a domain has no end of values."""
        return _total(_size(part) for part in self.templates)

    def grid(self) -> Iterator[Point]:
        """Return every point of the grid in order, five values for a domain of numbers; made when it is asked for."""
        return points(self.draw)

    def sample(self, chance: random.Random) -> Point:
        """Return a point drawn at random."""
        return sample(self.draw, chance)

    def tree(self, point: Point) -> tuple[int, Value]:
        """Return the place of a point's template and its plain tree."""
        return self.draw(lambda name, _: point[name])


def _drawn(part: Part, name: str, pick: Pick) -> Value:
    match part:
        case Fixed():
            return part.value
        case Drawn():
            value = pick(name, part.domain)
            return next((meant for option, meant in part.meant if option == value), value)
        case Repeated():
            times = _drawn(part.times, f"{name}.times", pick)
            assert isinstance(times, int)
            if part.each:
                return [_drawn(part.part, f"{name}.repeat.{place}", pick) for place in range(times)]
            return [_drawn(part.part, f"{name}.repeat", pick)] * times
        case Scaled():
            return multiplied(_drawn(part.numbers, f"{name}.scale", pick), _drawn(part.by, f"{name}.by", pick))
        case Listed():
            return [_drawn(each, f"{name}.{place}", pick) for place, each in enumerate(part.parts)]
        case Mapped():
            return {key: _drawn(each, f"{name}.{in_name(key)}", pick) for key, each in part.parts}
        case _:
            assert_never(part)


def multiplied(numbers: Value, factor: Value) -> Value:
    """Return a list of numbers times a factor; integers stay integers, those above 0 at least 1."""
    assert isinstance(numbers, list)
    assert isinstance(factor, int | float)
    values = [number for number in numbers if isinstance(number, int | float)]
    if all(isinstance(value, int) for value in values):
        return [max(min(1, int(value)), round(value * factor)) for value in values]
    return [value * factor for value in values]


def in_name(key: str) -> str:
    """Return a key as it stands in the name of a parameter."""
    return key.replace("\\", "\\\\").replace(".", "\\.")


def _product(sizes: Iterable[float]) -> float:
    found = list(sizes)  # an integer beyond 10^308 times infinity would be an OverflowError
    return math.inf if math.inf in found else math.prod(found)


def _total(sizes: Iterable[float]) -> float:
    found = list(sizes)
    return math.inf if math.inf in found else sum(found)


def _size(part: Part) -> float:
    match part:
        case Fixed():
            return 1
        case Drawn():
            return part.domain.size
        case Repeated() if part.each:
            one = _size(part.part)
            return _total(math.inf if one == math.inf else one**times for times in counts(part.times))
        case Repeated():
            return _product((_size(part.times), _size(part.part)))
        case Scaled():
            return _product((_size(part.numbers), _size(part.by)))
        case Listed():
            return _product(_size(each) for each in part.parts)
        case Mapped():
            return _product(_size(each) for _, each in part.parts)
        case _:
            assert_never(part)


def counts(times: Fixed | Drawn) -> list[int]:
    """Return every number of times there may be."""
    found: Sequence[object] = [times.value] if isinstance(times, Fixed) else values_of(times.domain)
    return [each for each in found if isinstance(each, int)]


def parameters(part: Part) -> int:
    """Return how many parameters the largest point has, counted without making one."""
    match part:
        case Fixed():
            return 0
        case Drawn():
            return 1
        case Repeated():
            times = max(counts(part.times)) if part.each else 1
            return parameters(part.times) + times * parameters(part.part)
        case Scaled():
            return parameters(part.numbers) + parameters(part.by)
        case Listed():
            return sum(map(parameters, part.parts))
        case Mapped():
            return sum(parameters(each) for _, each in part.parts)
        case _:
            assert_never(part)


def extent(part: Part) -> int:
    """Return how many values the largest tree has, lists and mappings counted with what they hold."""
    match part:
        case Fixed():
            return _values(part.value)
        case Drawn():
            return max((_values(meant) for _, meant in part.meant), default=1)
        case Repeated():
            return 1 + max(counts(part.times)) * extent(part.part)
        case Scaled():
            return extent(part.numbers)
        case Listed():
            return 1 + sum(map(extent, part.parts))
        case Mapped():
            return 1 + sum(extent(each) for _, each in part.parts)
        case _:
            assert_never(part)


def _values(tree: Value) -> int:
    match tree:
        case list():
            return 1 + sum(map(_values, tree))
        case dict():
            return 1 + sum(map(_values, tree.values()))
        case _:
            return 1


def names(part: Part, name: str) -> Iterator[str]:
    """Yield the name of every parameter that a template may have; `name`: its own."""
    match part:
        case Fixed():
            return
        case Drawn():
            yield name
        case Repeated():
            yield from names(part.times, f"{name}.times")
            ends = [f".{place}" for place in range(max(counts(part.times)))] if part.each else [""]
            yield from (each for end in ends for each in names(part.part, f"{name}.repeat{end}"))
        case Scaled():
            yield from names(part.numbers, f"{name}.scale")
            yield from names(part.by, f"{name}.by")
        case Listed():
            yield from (found for place, each in enumerate(part.parts) for found in names(each, f"{name}.{place}"))
        case Mapped():
            yield from (found for key, each in part.parts for found in names(each, f"{name}.{in_name(key)}"))
        case _:
            assert_never(part)
