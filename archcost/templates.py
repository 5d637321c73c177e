"""Templates: trees of plain values in which domains stand, found by their shape; a draw turns one into plain values."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, assert_never, final

from archcost.document import MAX_INTEGER, Document, Value
from archcost.domains import Choice, Domain, Pick, Point, Real, Scalar, Whole
from archcost.errors import InputError, Mistake, Path, dotted, one_of, quoted
from archcost.spec import located, shown

KINDS: Final = ("int", "float", "choice", "repeat", "scale")
"""The key that makes a mapping a domain, or a rule that has one in it."""

_BESIDE: Final = {
    "int": {"step", "log"},
    "float": {"log"},
    "choice": set(),
    "repeat": {"times", "each"},
    "scale": {"by"},
}
_MOST_TIMES: Final = 1000
_MOST: Final = 1000  # parameters of a study: a sampler's time grows with them
MODEL: Final = "model"
"""The parameter that chooses between templates, where there are several."""


@final
@dataclass(frozen=True, slots=True)
class Fixed:
    """A value without domains."""

    value: Value


@final
@dataclass(frozen=True, slots=True)
class Drawn:
    """A domain, called as its key path; `values`: what an option stands for that is no scalar."""

    name: str
    domain: Domain
    values: tuple[tuple[Scalar, Value], ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Repeated:
    """One draw so many times, or with `each` a draw for each place, called as the rule with its place."""

    part: Callable[[str], Part]
    name: str
    times: Fixed | Drawn
    each: bool


@final
@dataclass(frozen=True, slots=True)
class Scaled:
    """Numbers times one factor, rounded to integers where all of them are."""

    values: tuple[float, ...]
    by: Part


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


@dataclass(frozen=True, slots=True)
class Space:
    """The templates of a study; a point is one of them with a value for each of its domains."""

    templates: tuple[Part, ...]

    def draw(self, pick: Pick) -> tuple[int, Value]:
        """Return the place of a template and its tree with every domain replaced by what `pick` gives."""
        place = 0
        if len(self.templates) > 1:
            chosen = pick(MODEL, Choice(tuple(range(len(self.templates)))))
            assert isinstance(chosen, int)
            place = chosen
        return place, _drawn(self.templates[place], pick)

    def size(self) -> float:
        """Return the exact number of points, infinite where a domain has no end of values."""
        return sum(_size(part) for part in self.templates)

    def grid(self) -> Iterator[Point]:
        """Yield every point of the grid in order, five values for a domain of numbers."""
        digits: list[int] = []
        while True:
            point, sizes = self._at(digits)
            yield point
            digits += [0] * (len(sizes) - len(digits))
            while digits and digits[-1] + 1 == sizes[len(digits) - 1]:
                digits.pop()
            if not digits:
                return
            digits[-1] += 1

    def _at(self, digits: Sequence[int]) -> tuple[Point, list[int]]:
        point: Point = {}
        sizes: list[int] = []

        def pick(name: str, domain: Domain) -> Scalar:
            values = domain.grid()
            place = digits[len(sizes)] if len(sizes) < len(digits) else 0
            sizes.append(len(values))
            point[name] = values[place]
            return values[place]

        self.draw(pick)
        return point, sizes

    def sample(self, chance: random.Random) -> Point:
        """Return a point drawn at random."""
        point: Point = {}

        def pick(name: str, domain: Domain) -> Scalar:
            point[name] = at_random(domain, chance)
            return point[name]

        self.draw(pick)
        return point

    def tree(self, point: Point) -> tuple[int, Value]:
        """Return the template and the plain tree of a point."""
        return self.draw(lambda name, _: point[name])


def at_random(domain: Domain, chance: random.Random) -> Scalar:
    """Return a value of a domain, each as often; of a log domain each factor as often."""
    match domain:
        case Choice():
            return chance.choice(domain.options)
        case Real():
            if domain.log:
                return min(
                    domain.high, max(domain.low, math.exp(chance.uniform(math.log(domain.low), math.log(domain.high))))
                )
            return chance.uniform(domain.low, domain.high)
        case Whole():
            if domain.log:
                drawn = math.exp(chance.uniform(math.log(domain.low - 0.5), math.log(domain.high + 0.5)))
                return min(domain.high, max(domain.low, round(drawn)))
            return domain.low + domain.step * chance.randrange(domain.size)
        case _:
            assert_never(domain)


def _drawn(part: Part, pick: Pick) -> Value:
    match part:
        case Fixed():
            return part.value
        case Drawn():
            value = pick(part.name, part.domain)
            return next((meant for option, meant in part.values if option == value), value)
        case Repeated():
            times = _drawn(part.times, pick)
            assert isinstance(times, int)
            if part.each:
                return [_drawn(part.part(f"{part.name}.{place}"), pick) for place in range(times)]
            return [_drawn(part.part(part.name), pick)] * times
        case Scaled():
            factor = _drawn(part.by, pick)
            assert isinstance(factor, int | float)
            whole = all(isinstance(value, int) for value in part.values)
            return [max(1, round(value * factor)) if whole else value * factor for value in part.values]
        case Listed():
            return [_drawn(each, pick) for each in part.parts]
        case Mapped():
            return {key: _drawn(each, pick) for key, each in part.parts}
        case _:
            assert_never(part)


def _size(part: Part) -> float:
    match part:
        case Fixed():
            return 1
        case Drawn():
            return part.domain.size
        case Repeated():
            one = _size(part.part(part.name))
            if not part.each:
                return one * _size(part.times)
            times = [part.times.value] if isinstance(part.times, Fixed) else part.times.domain.grid()
            return sum(one ** int(n) if one < math.inf else math.inf for n in times if isinstance(n, int))
        case Scaled():
            return _size(part.by)
        case Listed():
            return math.prod(_size(each) for each in part.parts)
        case Mapped():
            return math.prod(_size(each) for _, each in part.parts)
        case _:
            assert_never(part)


def space(source: Document, path: Path = ("models",)) -> Space:
    """Return the templates that stand in a list at `path`; raises InputError with every mistake, with its place."""
    tree = source.tree
    for key in path:
        tree = tree[key] if isinstance(tree, dict) else None  # type: ignore[index]  # keys of mappings are text
    if not isinstance(tree, list) or not tree:
        raise InputError(located(source, Mistake(f"given {shown(tree)}; allowed: a list of templates", path)))
    mistakes: list[Mistake] = []
    parts = tuple(_part(each, (*path, place), str(place), mistakes) for place, each in enumerate(tree))
    names = [name for part in parts for name in _names(part)]
    if len(names) > _MOST:
        mistakes.append(Mistake(f"{len(names)} domains; allowed: {_MOST}", path))
    if mistakes:
        raise InputError(*(located(source, mistake) for mistake in mistakes))
    return Space(parts)


def _names(part: Part) -> Iterator[str]:
    match part:
        case Drawn():
            yield part.name
        case Repeated():
            yield from _names(part.times)
            most = part.times.value if isinstance(part.times, Fixed) else max(map(_number, part.times.domain.grid()))
            inner = len(list(_names(part.part(part.name))))
            yield from (part.name for _ in range(inner * (int(_number(most)) if part.each else 1)))
        case Scaled():
            yield from _names(part.by)
        case Listed():
            yield from (name for each in part.parts for name in _names(each))
        case Mapped():
            yield from (name for _, each in part.parts for name in _names(each))
        case Fixed():
            return


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0


def _part(tree: Value, path: Path, name: str, mistakes: list[Mistake]) -> Part:
    if isinstance(tree, list):
        return Listed(tuple(_part(each, (*path, i), f"{name}.{i}", mistakes) for i, each in enumerate(tree)))
    if not isinstance(tree, dict):
        return Fixed(tree)
    kinds = [kind for kind in KINDS if kind in tree]
    if not kinds:
        return Mapped(tuple((key, _part(each, (*path, key), f"{name}.{key}", mistakes)) for key, each in tree.items()))
    kind = kinds[0]
    if wrong := [key for key in tree if key != kind and key not in _BESIDE[kind]]:
        allowed = one_of(sorted(_BESIDE[kind]))
        mistakes.extend(
            Mistake(f"does not go with {quoted(kind)}; allowed beside it: {allowed}", (*path, key)) for key in wrong
        )
        return Fixed(None)
    if kind == "repeat":
        return _repeated(tree, path, name, mistakes)
    if kind == "scale":
        return _scaled(tree, path, name, mistakes)
    if kind == "choice":
        return _choice(tree["choice"], (*path, kind), name, mistakes)
    return _range(kind, tree, path, name, mistakes)


def _range(kind: str, tree: dict[str, Value], path: Path, name: str, mistakes: list[Mistake]) -> Part:
    ends, step, log = tree[kind], tree.get("step", 1), tree.get("log", False)
    types = (int,) if kind == "int" else (int, float)
    good = (
        isinstance(ends, list)
        and len(ends) == 2
        and all(isinstance(e, types) and not isinstance(e, bool) for e in ends)
    )
    before = len(mistakes)
    if not good:
        numbers = "integers" if kind == "int" else "numbers"
        mistakes.append(
            Mistake(f"given {shown(ends)}; allowed: two {numbers}, the lowest and the highest", (*path, kind))
        )
    if not isinstance(step, int) or isinstance(step, bool) or step < 1:
        mistakes.append(Mistake(f"given {shown(step)}; allowed: an integer of at least 1", (*path, "step")))
    if not isinstance(log, bool):
        mistakes.append(Mistake(f"given {shown(log)}; allowed: true or false", (*path, "log")))
    if log is True and step != 1:
        mistakes.append(Mistake("does not go with 'step'", (*path, "log")))
    if len(mistakes) > before:
        return Fixed(None)
    assert isinstance(ends, list)
    low, high = ends
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    if low > high:
        mistakes.append(Mistake(f"an empty domain: {low} is more than {high}", (*path, kind)))
    elif log and low <= 0:
        mistakes.append(Mistake(f"given {low}; allowed: more than 0 with 'log'", (*path, kind, 0)))
    elif max(abs(low), abs(high)) > MAX_INTEGER:
        mistakes.append(Mistake("allowed: numbers up to 2^53", (*path, kind)))
    if len(mistakes) > before:
        return Fixed(None)
    if kind == "int":
        assert isinstance(low, int)
        assert isinstance(high, int)
        assert isinstance(step, int)
        return Drawn(name, Whole(low, low + (high - low) // step * step, step, log is True))
    return Drawn(name, Real(float(low), float(high), log is True))


def _choice(options: Value, path: Path, name: str, mistakes: list[Mistake]) -> Part:
    if not isinstance(options, list) or not options:
        what = "an empty domain" if options == [] else f"given {shown(options)}"
        mistakes.append(Mistake(f"{what}; allowed: a list of values", path))
        return Fixed(None)
    labels = [
        each if not isinstance(each, list | dict) else json.dumps(each, separators=(",", ":")) for each in options
    ]
    seen: list[tuple[type, Scalar]] = []
    for place, label in enumerate(labels):
        if (type(label), label) in seen:
            mistakes.append(Mistake("this value stands here twice", (*path, place)))
        seen.append((type(label), label))
        if _has_domain(options[place]):
            mistakes.append(Mistake("a domain inside a choice; allowed: plain values", (*path, place)))
    values = tuple((label, each) for label, each in zip(labels, options, strict=True) if isinstance(each, list | dict))
    return Drawn(name, Choice(tuple(labels)), values)


def _has_domain(tree: Value) -> bool:
    if isinstance(tree, dict):
        return any(kind in tree for kind in KINDS) or any(map(_has_domain, tree.values()))
    return isinstance(tree, list) and any(map(_has_domain, tree))


def _repeated(tree: dict[str, Value], path: Path, name: str, mistakes: list[Mistake]) -> Part:
    each, times = tree.get("each", False), tree.get("times")
    if not isinstance(each, bool):
        mistakes.append(Mistake(f"given {shown(each)}; allowed: true or false", (*path, "each")))
    inner = _part(times, (*path, "times"), f"{name}.times", mistakes) if "times" in tree else Fixed(None)
    if not isinstance(inner, Drawn | Fixed) or not _counts(inner):
        given = "missing" if "times" not in tree else f"given {shown(times)}"
        mistakes.append(Mistake(f"{given}; allowed: 1 to {_MOST_TIMES}, or a domain of them", (*path, "times")))
        return Fixed(None)
    _part(tree["repeat"], (*path, "repeat"), name, mistakes)  # its mistakes, once
    part = partial(_quiet_part, tree["repeat"], (*path, "repeat"))
    return Repeated(part, f"{name}.repeat", inner, each is True)


def _quiet_part(tree: Value, path: Path, name: str) -> Part:
    return _part(tree, path, name, [])


def _counts(times: Drawn | Fixed) -> bool:
    if isinstance(times, Drawn) and isinstance(times.domain, Whole):
        return times.domain.low >= 1 and times.domain.high <= _MOST_TIMES
    values: Sequence[object] = [times.value] if isinstance(times, Fixed) else times.domain.grid()
    return all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= _MOST_TIMES for n in values)


def _scaled(tree: dict[str, Value], path: Path, name: str, mistakes: list[Mistake]) -> Part:
    values = tree["scale"]
    if (
        not isinstance(values, list)
        or not values
        or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    ):
        mistakes.append(Mistake(f"given {shown(values)}; allowed: a list of numbers", (*path, "scale")))
        return Fixed(None)
    if "by" not in tree:
        mistakes.append(Mistake("missing; allowed: a number or a domain of numbers", (*path, "by")))
        return Fixed(None)
    by = _part(tree["by"], (*path, "by"), f"{name}.by", mistakes)
    if not _numbers(by):
        mistakes.append(Mistake("allowed: a number above 0 or a domain of such numbers", (*path, "by")))
        return Fixed(None)
    return Scaled(tuple(v for v in values if isinstance(v, int | float)), by)


def _numbers(by: Part) -> bool:
    match by:
        case Fixed():
            values: Sequence[object] = [by.value]
        case Drawn(domain=Whole() | Real() as domain):
            values = [domain.low]
        case Drawn():
            values = by.domain.grid()
        case _:
            return False
    return all(isinstance(v, int | float) and not isinstance(v, bool) and v > 0 for v in values)


def names_of(path: Path) -> str:
    """Return what a domain at a key path of the templates is called."""
    return dotted(path)
