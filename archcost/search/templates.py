"""Templates: trees of plain values with domains in them.

Domains are found by their shape; all mistakes are reported at once, each with its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar, assert_never, final

from archcost.config.document import MAX_MISTAKES, MAX_VALUES, Document, Value
from archcost.config.validation import conform, located, reading_order, shown
from archcost.errors import InputError, Mistake, Path
from archcost.search.domains import Choice, Real, Whole, values_of
from archcost.search.rules import MOST_TIMES, RULES, OneOf, RealRange, Repeat, Rule, Scale, WholeRange, kind_of, label
from archcost.search.space import Drawn, Fixed, Listed, Mapped, Part, Repeated, Scaled, Space, extent, names, parameters
from archcost.units import counted_words, grouped

MOST_PARAMETERS: Final = 1000  # of a study: a sampler's time grows with them
LONGEST_NAME: Final = 512  # of a parameter, in characters: what a database keeps

R = TypeVar("R", bound=Rule)
_ARGUMENTS: Final = "args"  # of code: a mapping of names to values, whatever the names are (scale, choice, ...)
_DEPTH: Final = 3  # of a template's key: models, place, key
_NOTHING: Final = Fixed(None)  # stands where a mistake is


@final
@dataclass(frozen=True, slots=True)
class _Walk:  # a document on its way to a space, and what was wrong so far
    source: Document
    mistakes: list[Mistake] = field(default_factory=list)

    def refuse(self, message: str, path: Path) -> None:
        self.mistakes.append(located(self.source, Mistake(message, path)))

    def rule(self, tree: dict[str, Value], path: Path, model: type[R]) -> R | None:
        """Return the rule a mapping is, None if it is wrong."""
        lists = [(key, each) for key, each in tree.items() if isinstance(each, list)]
        inner: list[Path] = [
            (),
            *((key,) for key in tree),
            *((key, i) for key, each in lists for i in range(len(each))),
        ]
        values, keys = self.source.values, self.source.keys
        part = Document(
            self.source.file,
            tree,
            {each: values[path + each] for each in inner if path + each in values},
            {each: keys[path + each] for each in inner if path + each in keys},
        )
        try:
            return conform(part, model)
        except InputError as error:
            self.mistakes.extend(replace(mistake, path=path + mistake.path) for mistake in error.mistakes)
            return None


def space(source: Document, path: Path = ("models",)) -> Space:
    """Return the templates that stand in a list at `path`; raises InputError with up to 20 mistakes, each placed."""
    tree = source.tree
    for key in path:
        tree = tree.get(str(key)) if isinstance(tree, dict) else None
    if not isinstance(tree, list) or not tree:
        raise InputError(located(source, Mistake(f"given {shown(tree)}; allowed: a list of templates", path)))
    walk = _Walk(source)
    parts = tuple(_template(walk, each, (*path, place)) for place, each in enumerate(tree))
    if not walk.mistakes:
        _refuse_giants(walk, parts, path)
    if walk.mistakes:
        found = sorted(walk.mistakes, key=reading_order)
        if (more := len(found) - MAX_MISTAKES) > 0:
            found[MAX_MISTAKES:] = [Mistake(f"and {counted_words(more, 'mistake')} more", path, found[-more - 1].place)]
        raise InputError(*found)
    return Space(parts)


def _template(walk: _Walk, tree: Value, path: Path) -> Part:
    if kind_of(tree) is None:
        return _part(walk, tree, path)
    walk.refuse("a rule in place of a template; allowed: a mapping with 'family', one for each template", path)
    return _NOTHING


def _refuse_giants(walk: _Walk, parts: tuple[Part, ...], path: Path) -> None:
    many = sum(map(parameters, parts))
    if many > MOST_PARAMETERS:
        walk.refuse(f"{_words(many)} parameters in all; allowed: {grouped(MOST_PARAMETERS)}", path)
    for place, part in enumerate(parts):
        values = extent(part)
        if values > MAX_VALUES:
            allowed = f"allowed: {grouped(MAX_VALUES)}"
            walk.refuse(f"networks of up to {_words(values)} values; {allowed}", (*path, place))
        elif many <= MOST_PARAMETERS and (long := max(map(len, names(part, str(place))), default=0)) > LONGEST_NAME:
            message = f"a domain's key path has {long} characters; allowed: {LONGEST_NAME}"
            walk.refuse(message, (*path, place))


def _words(count: int) -> str:
    return grouped(count) if count < 10**15 else "more than 10^15"


def _part(walk: _Walk, tree: Value, path: Path) -> Part:
    if isinstance(tree, list):
        parts = tuple(_part(walk, each, (*path, place)) for place, each in enumerate(tree))
        return Fixed(tree) if all(isinstance(each, Fixed) for each in parts) else Listed(parts)
    if not isinstance(tree, dict):
        return Fixed(tree)
    kind = None if path[-1] == _ARGUMENTS and len(path) == _DEPTH else kind_of(tree)
    if kind is None:
        pairs = tuple((key, _part(walk, each, (*path, key))) for key, each in tree.items())
        return Fixed(tree) if all(isinstance(each, Fixed) for _, each in pairs) else Mapped(pairs)
    rule = walk.rule(tree, path, RULES[kind])
    match rule:
        case None:
            for key in {"repeat", "times", "scale", "by"} & tree.keys():
                _part(walk, tree[key], (*path, key))  # what is wrong further in is told too
            return _NOTHING
        case WholeRange():
            low, high = rule.ends
            return Drawn(Whole(low, low + (high - low) // rule.step * rule.step, rule.step, rule.log))
        case RealRange():
            least, most = rule.ends
            return Drawn(Real(least, most, rule.log))
        case OneOf():
            return _choice(tree["choice"])
        case Repeat():
            return _repeated(walk, tree, path, rule.each)
        case Scale():
            return _scaled(walk, tree, path)
        case _:
            assert_never(rule)


def _choice(options: Value) -> Drawn:
    assert isinstance(options, list)
    meant = tuple((label(each), each) for each in options if isinstance(each, list | dict))
    return Drawn(Choice(tuple(map(label, options))), meant)


def _repeated(walk: _Walk, tree: dict[str, Value], path: Path, each: bool) -> Part:
    allowed = f"an integer from 1 to {grouped(MOST_TIMES)}, or a domain of them"
    part = _part(walk, tree["repeat"], (*path, "repeat"))
    times = _ruled(walk, tree, (*path, "times"), _is_count, allowed)
    return Repeated(part, times, each) if times else _NOTHING


def _scaled(walk: _Walk, tree: dict[str, Value], path: Path) -> Part:
    numbers = _ruled(walk, tree, (*path, "scale"), _is_numbers, "a list of numbers of at least 0, or a choice of them")
    by = _ruled(walk, tree, (*path, "by"), _is_factor, "a number above 0, or a domain of such numbers")
    return Scaled(numbers, by) if numbers and by else _NOTHING


def _ruled(
    walk: _Walk, tree: dict[str, Value], path: Path, good: Callable[[object], bool], allowed: str
) -> Fixed | Drawn | None:
    """Return a value or a domain of which every value is good, None if it is wrong."""
    before, given = len(walk.mistakes), tree[str(path[-1])]
    part = _part(walk, given, path)
    if len(walk.mistakes) > before:
        return None
    if isinstance(part, Fixed | Drawn) and all(map(good, _ends(part))):
        return part
    what = shown(given) if isinstance(part, Fixed) else "a rule that may give other values"
    walk.refuse(f"given {what}; allowed: {allowed}", path)
    return None


def _ends(part: Fixed | Drawn) -> list[object]:
    """Return the values of which all others are good too where these are."""
    if isinstance(part, Fixed):
        return [part.value]
    if isinstance(part.domain, Choice):
        meant = dict(part.meant)
        return [meant.get(option, option) for option in part.domain.options]
    values = values_of(part.domain)
    return [values[0], values[-1]]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_TIMES


def _is_factor(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_numbers(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_number(each) and each >= 0 for each in value)
