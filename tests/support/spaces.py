"""Random templates: rules at any depth, under keys with dots, with few enough points to try them all."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from hypothesis import strategies as st

from archcost.config import document
from archcost.search import templates
from archcost.search.space import Space

Tree: TypeAlias = Any
Draw: TypeAlias = Any

KEYS = st.text("ab.\\", min_size=1, max_size=3)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.text("ab[]1", max_size=3))
TIMES = st.one_of(
    st.integers(1, 3),
    st.sampled_from([{"int": [1, 3]}, {"int": [1, 3], "step": 2}, {"choice": [3, 1]}, {"int": [1, 2], "log": True}]),
)
FACTORS = st.one_of(
    st.sampled_from([1, 2, 0.5]),
    st.sampled_from([{"choice": [1, 2]}, {"int": [1, 3]}, {"choice": [0.5, 1.5]}]),
)
NUMBERS = st.lists(st.one_of(st.integers(0, 40), st.floats(0, 1)), min_size=1, max_size=3)


@st.composite
def wholes(draw: Draw) -> Tree:
    """A domain of at most four integers."""
    low = draw(st.integers(-3, 9))
    rule = {"int": [low, low + draw(st.integers(0, 3))]}
    if low >= 1 and draw(st.booleans()):
        return {**rule, "log": draw(st.booleans())}
    return {**rule, "step": draw(st.integers(1, 5))} if draw(st.booleans()) else rule


def choices() -> st.SearchStrategy[Tree]:
    """One of a few values, lists and mappings among them."""
    lists = st.lists(SCALARS, max_size=2)
    options = st.one_of(SCALARS, lists, st.dictionaries(KEYS, lists, max_size=2))
    many = st.lists(
        options,
        min_size=1,
        max_size=3,
        unique_by=lambda each: (each.__class__.__name__, json.dumps(each, sort_keys=True)),
    )
    texts = st.builds(lambda found: [each for each in found if not isinstance(each, str) or each[:1] != "["], many)
    return st.builds(lambda found: {"choice": found or [0]}, texts)


def scales() -> st.SearchStrategy[Tree]:
    """A list of numbers, or one of two, times a factor."""
    either = st.builds(lambda one: {"choice": [one, [*one, 1]]}, NUMBERS)
    return st.builds(lambda numbers, by: {"scale": numbers, "by": by}, st.one_of(NUMBERS, either), FACTORS)


def _deeper(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    repeats = st.builds(lambda part, n, each: {"repeat": part, "times": n, "each": each}, inner, TIMES, st.booleans())
    return st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3), repeats)


def parts(*more: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    """Values and rules, nested."""
    return st.recursive(st.one_of(SCALARS, wholes(), choices(), scales(), *more), _deeper, max_leaves=6)


def spaces(*more: st.SearchStrategy[Tree], points: int = 300) -> st.SearchStrategy[Space]:
    """Spaces of one to three templates with at most so many points, where that is known."""
    templated = st.lists(st.dictionaries(KEYS, parts(*more), max_size=3), min_size=1, max_size=3)
    return templated.map(read).filter(lambda space: space.size() <= points or more != ())


def read(trees: list[Tree]) -> Space:
    """Return the space of templates, through the same border as a file."""
    return templates.space(document.load(json.dumps({"models": trees}), "study.yaml"))
