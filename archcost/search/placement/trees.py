"""Where a plain tree lies in a space: the points that have it, or the keys that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeAlias, assert_never, final

from archcost.config.document import Value
from archcost.config.writer import flow
from archcost.errors import Path, shorten
from archcost.search.domains import Choice, Domain, Point, Real, Scalar, Whole, contains
from archcost.search.placement.factors import tried
from archcost.search.space import (
    MODEL,
    Drawn,
    Fixed,
    Listed,
    Mapped,
    Part,
    Repeated,
    Scaled,
    Space,
    in_name,
    multiplied,
)

Alike: TypeAlias = Callable[[Value, Value], bool]
"""Whether a template's value can stand for a tree's."""

_MOST: Final = 256
"""Ways in which one key may be drawn that are looked at: there is more than one only if values are ambiguous."""


@final
@dataclass(frozen=True, slots=True)
class Misfit:
    """A key of a tree that a template cannot have: its path, what is there, what the template allows in words."""

    path: Path
    given: Value
    allowed: str


@final
@dataclass(frozen=True, slots=True)
class _Walk:  # a tree on its way through a template, and where it did not fit
    alike: Alike
    whole: bool  # whether a mapping has the template's keys and no others
    misfits: list[Misfit] = field(default_factory=list)

    def refuse(self, path: Path, given: Value, allowed: str) -> None:
        self.misfits.append(Misfit(path, given, allowed))


def equal(one: Value, other: Value) -> bool:
    """Return whether two trees are the same; 1 and 1.0 are, 1 and true are not."""
    match one, other:
        case list(), list():
            return len(one) == len(other) and all(map(equal, one, other))
        case dict(), dict():
            return one.keys() == other.keys() and all(equal(each, other[key]) for key, each in one.items())
        case _:
            return isinstance(one, bool) == isinstance(other, bool) and one == other


def similar(option: Value, value: Value) -> bool:
    """Return whether a template's value may be a value of which all defaults are written out.

    null may be any default, a mapping may lack keys, and one number may be a list of it.
    """
    match option, value:
        case None, _:
            return True
        case dict(), dict():
            return all(key in value and similar(each, value[key]) for key, each in option.items())
        case list(), list():
            return len(option) == len(value) and all(map(similar, option, value))
        case list(), int() | float():
            return all(equal(each, value) for each in option)
        case int() | float(), list():
            return all(equal(option, each) for each in value)
        case _:
            return equal(option, value)


def fitting(space: Space, place: int, tree: Value, *, spelled: bool) -> tuple[Iterator[Point], tuple[Misfit, ...]]:
    """Return the points of a template that may have a tree, most likely first, and the keys that do not fit it.

    There are no points if there is such a key. spelled: the tree has all its defaults written out, and the template may
    lack them, so that which of the points have the tree is for the caller to find out; else all of them have it.
    """
    walk = _Walk(similar if spelled else equal, whole=not spelled)
    found = list(islice(_fits(space.templates[place], str(place), tree, (), walk), _MOST))
    chosen: Point = {MODEL: place} if len(space.templates) > 1 else {}
    return (_ordered(space, {**chosen, **each}) for each in found), tuple(walk.misfits) if not found else ()


def _ordered(space: Space, found: Point) -> Point:
    """Return a point with its parameters in the order in which they are drawn."""
    point: Point = {}

    def pick(name: str, _: Domain) -> Scalar:
        point[name] = found[name]
        return found[name]

    space.draw(pick)
    return point


def _fits(part: Part, name: str, value: Value, path: Path, walk: _Walk) -> Iterator[Point]:
    """Yield the values that the parameters of a part have if it stands for a value."""
    match part:
        case Fixed(value=dict() as plain):
            inner = Mapped(tuple((key, Fixed(each)) for key, each in plain.items()))
            yield from _mapped(inner, name, value, path, walk)
        case Fixed():
            if walk.alike(part.value, value):
                yield {}
            else:
                walk.refuse(path, value, _plain(part.value))
        case Drawn():
            yield from _drawn(part, name, value, path, walk)
        case Repeated():
            yield from _repeated(part, name, value, path, walk)
        case Scaled():
            yield from _scaled(part, name, value, path, walk)
        case Listed():
            if isinstance(value, list) and len(value) == len(part.parts):
                each = [(inner, f"{name}.{i}", value[i], (*path, i)) for i, inner in enumerate(part.parts)]
                yield from _together(each, walk)
            else:
                walk.refuse(path, value, _words(part))
        case Mapped():
            yield from _mapped(part, name, value, path, walk)
        case _:
            assert_never(part)


def _together(parts: Sequence[tuple[Part, str, Value, Path]], walk: _Walk) -> Iterator[Point]:
    """Yield what parts have together; all of them are looked at, so that every key that does not fit is found."""
    each = [list(islice(_fits(*part, walk), _MOST)) for part in parts]
    return _product(each) if all(each) else iter(())


def _product(each: Sequence[Sequence[Point]]) -> Iterator[Point]:
    if not each:
        yield {}
        return
    for rest in _product(each[:-1]):
        for last in each[-1]:
            yield {**rest, **last}


def _mapped(part: Mapped, name: str, value: Value, path: Path, walk: _Walk) -> Iterator[Point]:
    if not isinstance(value, dict):
        walk.refuse(path, value, _words(part))
        return
    keys = dict(part.parts)
    known = {key: inner for key, inner in keys.items() if key in value}
    for key in keys.keys() - known.keys():
        walk.refuse((*path, key), None, _words(keys[key]))
    others = sorted(value.keys() - keys.keys()) if walk.whole else []
    for key in others:
        walk.refuse((*path, key), value[key], "nothing: the template has no such key")
    each = [(inner, f"{name}.{in_name(key)}", value[key], (*path, key)) for key, inner in known.items()]
    points = _together(each, walk)
    if not others and len(known) == len(keys):
        yield from points


def _drawn(part: Drawn, name: str, value: Value, path: Path, walk: _Walk) -> Iterator[Point]:
    found = list(_values(part, value, walk.alike))
    yield from ({name: each} for each in found)
    if not found:
        walk.refuse(path, value, _words(part))


def _values(part: Drawn, value: Value, alike: Alike) -> Iterator[Scalar]:
    """Yield the values of a domain that may stand for a value: the same one first, null last."""
    if isinstance(part.domain, Choice):
        meant = dict(part.meant)
        there = [(each, meant.get(each, each)) for each in part.domain.options if alike(meant.get(each, each), value)]
        there.sort(key=lambda pair: (pair[1] is None, not equal(pair[1], value), type(pair[1]) is not type(value)))
        yield from (option for option, _ in there)
        return
    if isinstance(value, list) and value and alike(value[0], value):
        value = value[0]
    number = _number(part.domain, value)
    if number is not None and contains(part.domain, number):
        yield number


def _number(domain: Whole | Real, value: Value) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(domain, Real):
        return float(value)
    return int(value) if value == int(value) else value


def _repeated(part: Repeated, name: str, value: Value, path: Path, walk: _Walk) -> Iterator[Point]:
    if not isinstance(value, list) or not value:
        walk.refuse(path, value, _words(part))
        return
    before = len(walk.misfits)
    times = list(_fits(part.times, f"{name}.times", len(value), path, walk))
    if not times or (not part.each and not all(equal(value[0], each) for each in value)):
        del walk.misfits[before:]
        walk.refuse(path, value, _words(part))
        return
    places = [(f"{name}.repeat.{i}", i) for i in range(len(value))] if part.each else [(f"{name}.repeat", 0)]
    inner = _together([(part.part, below, value[i], (*path, i)) for below, i in places], walk)
    yield from ({**times[0], **each} for each in inner)


def _scaled(part: Scaled, name: str, value: Value, path: Path, walk: _Walk) -> Iterator[Point]:
    found = [
        {**chosen, **by}
        for chosen, numbers in _lists(part.numbers, f"{name}.scale")
        for by, factor in _by(part.by, f"{name}.by", numbers, value)
        if equal(multiplied(numbers, factor), value)
    ]
    yield from found
    if not found:
        walk.refuse(path, value, _words(part))


def _by(by: Fixed | Drawn, name: str, numbers: Value, value: Value) -> Iterator[tuple[Point, Value]]:
    if isinstance(by, Fixed):
        yield {}, by.value
    else:
        for factor in tried(numbers, value, by.domain):
            yield {name: factor}, factor


def _lists(numbers: Fixed | Drawn, name: str) -> Iterator[tuple[Point, Value]]:
    if isinstance(numbers, Fixed):
        yield {}, numbers.value
        return
    meant = dict(numbers.meant)
    for option in numbers.domain.options if isinstance(numbers.domain, Choice) else ():
        yield {name: option}, meant.get(option, option)


def _plain(value: Value) -> str:
    return shorten(flow(value), 80)


def _domain(part: Drawn) -> str:
    match part.domain:
        case Choice(options):
            meant = dict(part.meant)
            return shorten(" or ".join(_plain(meant.get(each, each)) for each in options), 160)
        case Whole() as domain:
            steps = f" in steps of {domain.step}" if domain.step > 1 else ""
            return f"an integer from {domain.low} to {domain.last}{steps}"
        case Real(low, high):
            return f"a number from {low:g} to {high:g}"
        case _:
            assert_never(part.domain)


def _words(part: Part) -> str:
    """Return what a part allows, in words."""
    match part:
        case Fixed():
            return _plain(part.value)
        case Drawn():
            return _domain(part)
        case Repeated():
            one = "each" if part.each else "all the same"
            return f"a list of {_words(part.times)}, {one} {_words(part.part)}"
        case Scaled():
            return f"{_words(part.numbers)} times {_words(part.by)}"
        case Listed():
            return f"[{', '.join(map(_words, part.parts))}]"
        case Mapped():
            return f"{{{', '.join(f'{key}: {_words(each)}' for key, each in part.parts)}}}"
        case _:
            assert_never(part)
