"""The structure of a define-by-run space, learnt from trials: what decides its parameters.

A tree of yes-or-no questions about values (Breiman et al. 1984, CART, by the Gini impurity).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, final

from archcost.search.domains import Choice, Domain, Draw, Pick, Point, Real, Scalar
from archcost.search.optuna_studies.parameters import Parameter

LATEST: Final = 300
"""Trials that the structure is learnt from, the newest."""
CHANGED: Final = 5
"""Trials before and after a change of what is asked for, at least: fewer may look like one by chance."""
_LEAST: Final = 1e-9
"""A gain that is not rounding."""


@final
@dataclass(frozen=True, slots=True)
class Question:
    """Whether a parameter has an option, or, if its values have an order, at most some value."""

    label: str
    value: Scalar
    ordered: bool

    def holds(self, point: Point) -> bool:
        """Return the answer for a point."""
        value = point[self.label]
        if self.ordered:
            assert isinstance(value, int | float)
            assert isinstance(self.value, int | float)
            return value <= self.value
        return value == self.value


@final
@dataclass(frozen=True, slots=True)
class Leaf:
    """Parameters after which there are no others."""

    picked: tuple[Parameter, ...]


@final
@dataclass(frozen=True, slots=True)
class Fork:
    """Parameters, and a question about them or earlier ones that decides which others there are."""

    picked: tuple[Parameter, ...]
    question: Question
    yes: Structure
    no: Structure


Structure: TypeAlias = Leaf | Fork


@final
@dataclass(frozen=True, slots=True)
class Row:
    """A trial to learn from: its point, and its parameters by label in the order in which they came."""

    point: Point
    parameters: Mapping[str, Parameter]


_Kinds: TypeAlias = Sequence[int]
"""For each trial which other parameters it has, as a number for each set of them."""


def learn(rows: Sequence[Row]) -> Structure:
    """Return the structure of a space, by trials that ended, the oldest first; at least one.

    Where a new set of parameters came and no old one since, and no parameter tells as much, the code that asks for them
    has changed: what was before is left out. If nothing tells trials apart, the newest one is right.
    """
    return _learnt(rows[-LATEST:], {})


def _learnt(rows: Sequence[Row], had: Mapping[str, Parameter]) -> Structure:
    picked = _common(rows, had)
    had = {**had, **{each.label: each for each in picked}}
    kinds = _kinds(rows, had)
    if len(set(kinds)) == 1:
        return Leaf(picked)
    gain, question = _best(rows, kinds, list(had.values()))
    told, place = max(_changes(kinds), default=(0.0, 0))
    if told > gain + _LEAST:
        later = _learnt(rows[place:], had)
        return replace(later, picked=(*picked, *later.picked))
    if question is None:
        return Leaf((*picked, *(p for label, p in rows[-1].parameters.items() if label not in had)))
    yes = [row for row in rows if question.holds(row.point)]
    no = [row for row in rows if not question.holds(row.point)]
    return Fork(picked, question, _learnt(yes, had), _learnt(no, had))


def _kinds(rows: Sequence[Row], had: Mapping[str, Parameter]) -> _Kinds:
    found: dict[frozenset[tuple[str, int]], int] = {}
    others = (((label, id(p)) for label, p in row.parameters.items() if label not in had) for row in rows)
    return [found.setdefault(frozenset(each), len(found)) for each in others]


def _common(rows: Sequence[Row], had: Mapping[str, Parameter]) -> tuple[Parameter, ...]:
    """Return the parameters that all trials have, in the newest one's order, without those that are known."""
    left = ((label, p) for label, p in rows[-1].parameters.items() if label not in had)
    return tuple(p for label, p in left if all(row.parameters.get(label) is p for row in rows))


def _best(rows: Sequence[Row], kinds: _Kinds, had: Sequence[Parameter]) -> tuple[float, Question | None]:
    """Return the question that tells most about the kinds of trials, and how much.

    Of equals the one about options, then about integers, and of these about the last parameter.
    """
    best, heaviest, found = 0.0, 0, None
    for each in reversed(had):
        weight = 2 * isinstance(each.domain, Choice) - isinstance(each.domain, Real)
        for gain, question in _questions(each, [row.point[each.label] for row in rows], kinds):
            if gain > best + _LEAST or (found is not None and gain > best - _LEAST and weight > heaviest):
                best, heaviest, found = gain, weight, question
    return best, found


def _questions(about: Parameter, values: Sequence[Any], kinds: _Kinds) -> Iterator[tuple[float, Question]]:
    """Yield what can be asked about a parameter, and how much it tells."""
    if not isinstance(about.domain, Choice):
        order = sorted(range(len(values)), key=values.__getitem__)
        for gain, place in _cuts([kinds[each] for each in order]):
            if values[order[place - 1]] != values[order[place]]:
                yield gain, Question(about.label, values[order[place - 1]], ordered=True)
    elif len(options := dict.fromkeys(values)) > 1:
        for option in options:
            have = [kind for value, kind in zip(values, kinds, strict=True) if value == option]
            without = [kind for value, kind in zip(values, kinds, strict=True) if value != option]
            yield _pure(have) + _pure(without) - _pure(kinds), Question(about.label, option, ordered=False)


def _pure(kinds: _Kinds) -> float:
    """Return how many trials there are times one minus the Gini impurity of their kinds."""
    return sum(count**2 for count in Counter(kinds).values()) / len(kinds)


def _cuts(kinds: _Kinds) -> Iterator[tuple[float, int]]:
    """Yield how much a cut before each place tells, and the place."""
    before, after, whole = Counter[int](), Counter(kinds), _pure(kinds)
    left, right = 0, sum(count**2 for count in after.values())
    for place, kind in enumerate(kinds[:-1], 1):
        left += 2 * before[kind] + 1
        right -= 2 * after[kind] - 1
        before[kind] += 1
        after[kind] -= 1
        yield left / place + right / (len(kinds) - place) - whole, place


def _changes(kinds: _Kinds) -> Iterator[tuple[float, int]]:
    """Yield the cuts in time after which only kinds come that were not there before."""
    last, until = {kind: place for place, kind in enumerate(kinds)}, -1
    for gain, place in _cuts(kinds):
        until = max(until, last[kinds[place - 1]])
        if until < place and min(place, len(kinds) - place) >= CHANGED:
            yield gain, place


def space(structure: Structure, given: Mapping[str, Domain]) -> Draw:
    """Return what picks a point of a structure's; given: domains by label that are narrower than those learnt."""

    def draw(pick: Pick) -> object:
        node, point = structure, Point()
        while True:
            for each in node.picked:
                point[each.label] = pick(each.label, given.get(each.label, each.domain))
            if isinstance(node, Leaf):
                return point
            node = node.yes if node.question.holds(point) else node.no

    return draw
