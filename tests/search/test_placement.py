"""Placement: a tree that was drawn is found again, with its point; one that was not, with the keys that differ."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spaces import read, spaces
from specs import laws

from archcost.search.placement.trees import Misfit, equal, fitting, similar
from archcost.search.points import key
from archcost.search.space import Space

REALS = st.sampled_from(
    [
        {"float": [0, 1]},
        {"float": [0.5, 0.5]},
        {"float": [1e-3, 1], "log": True},
        {"scale": [0.1, 0.7, 3], "by": {"float": [0.1, 10]}},
        {"scale": [1, 16, 0, 40], "by": {"float": [0.01, 10], "log": True}},
        {"scale": [7, 16], "by": {"int": [1, 10**6]}},
        {"scale": [0.3, 16], "by": {"int": [2, 10**6], "step": 3}},
        {"scale": {"choice": [[3], [2, 0]]}, "by": 1.5},
    ]
)


def placed(space: Space, tree: Any, place: int = 0, *, spelled: bool = False) -> list[dict[str, Any]]:
    """Return the points of a template that fit a tree."""
    return list(fitting(space, place, tree, spelled=spelled)[0])


def misfits(model: Any, tree: Any, *, spelled: bool = False) -> list[tuple[str, Any, str]]:
    """Return what does not fit a template: key path, what is given, what is allowed."""
    found = fitting(read([model]), 0, tree, spelled=spelled)[1]
    return [(".".join(map(str, each.path)), each.given, each.allowed) for each in found]


@given(spaces(REALS), st.randoms(use_true_random=False))
@laws(400)
def test_every_point_is_found_by_its_tree(space: Space, chance: random.Random) -> None:
    """All points that are found have the tree, whichever of several factors made it."""
    point = space.sample(chance)
    place, tree = space.tree(point)
    found, wrong = fitting(space, place, tree, spelled=False)
    points = list(found)
    assert points
    assert () == wrong
    assert all(equal(tree, space.tree(each)[1]) for each in points)


@given(spaces(), st.randoms(use_true_random=False))
@laws(300)
def test_a_finite_space_gives_the_very_point(space: Space, chance: random.Random) -> None:
    """Where nothing is ambiguous the point comes back alone; else it is one of those that are found."""
    point = space.sample(chance)
    place, tree = space.tree(point)
    found = [key(each) for each in placed(space, tree, place)]
    assert key(point) in found or len(found) >= 256
    assert len(found) == len(set(found))


@given(spaces(), st.randoms(use_true_random=False))
@laws(200)
def test_parameters_come_in_the_order_in_which_they_are_drawn(space: Space, chance: random.Random) -> None:
    """So that a point reads the same whether it was drawn or found."""
    point = space.sample(chance)
    place, tree = space.tree(point)
    same = [each for each in placed(space, tree, place) if key(each) == key(point)]
    assert all(list(each) == list(point) for each in same)


@pytest.mark.parametrize(
    ("rule", "value", "allowed"),
    [
        (3, 4, "3"),
        ({"int": [1, 7], "step": 2}, 4, "an integer from 1 to 7 in steps of 2"),
        ({"int": [1, 3]}, 1.5, "an integer from 1 to 3"),
        ({"int": [0, 3]}, True, "an integer from 0 to 3"),
        ({"float": [0.5, 1]}, 0.25, "a number from 0.5 to 1"),
        ({"choice": [1, "two", [3]]}, 2, "1 or two or [3]"),
        ({"choice": [1]}, True, "1"),
        ({"repeat": {"int": [1, 3]}, "times": 2}, [1, 2], "a list of 2, all the same an integer from 1 to 3"),
        ({"repeat": 1, "times": {"int": [2, 3]}}, [1], "a list of an integer from 2 to 3, all the same 1"),
        ({"repeat": 1, "times": 2}, 1, "a list of 2, all the same 1"),
        ({"scale": [16, 32], "by": {"choice": [1, 2]}}, [16, 33], "[16, 32] times 1 or 2"),
        ({"scale": [16, 32], "by": {"float": [1, 2]}}, [48, 96], "[16, 32] times a number from 1 to 2"),
        ([{"int": [1, 3]}, 2], [1], "[an integer from 1 to 3, 2]"),
        ({"a": {"int": [1, 3]}}, 4, "{a: an integer from 1 to 3}"),
    ],
)
def test_what_does_not_fit_is_named_with_what_does(rule: Any, value: Any, allowed: str) -> None:
    """The key, what is there, and what the template allows."""
    assert [("key", value, allowed)] == misfits({"key": rule}, {"key": value})


def test_every_key_that_does_not_fit_is_named() -> None:
    """Also inside lists and mappings, and those that a template does not have or lacks."""
    model = {"a": [{"int": [1, 3]}, 5], "b": {"repeat": {"choice": [1, 2]}, "times": 2, "each": True}, "c": 1}
    found = misfits(model, {"a": [4, 6], "b": [1, 3], "d": 2})
    assert [
        ("c", None, "1"),
        ("d", 2, "nothing: the template has no such key"),
        ("a.0", 4, "an integer from 1 to 3"),
        ("a.1", 6, "5"),
        ("b.1", 3, "1 or 2"),
    ] == found


def test_an_integer_is_a_number_of_a_float_domain() -> None:
    """YAML writes 1.0 as 1; the point has the float that the domain gives."""
    (point,) = placed(read([{"a": {"float": [0, 2]}}]), {"a": 1})
    assert [("0.a", "float", 1.0)] == [(name, type(value).__name__, value) for name, value in point.items()]


def test_options_that_are_equal_as_numbers_are_told_apart() -> None:
    """The one of the same type comes first; true is none of them."""
    space = read([{"a": {"choice": [1, 1.0, True]}}])
    assert [{"0.a": 1.0}, {"0.a": 1}] == placed(space, {"a": 1.0})
    assert ["float", "int"] == [type(each["0.a"]).__name__ for each in placed(space, {"a": 1.0})]
    assert [True] == [each["0.a"] for each in placed(space, {"a": True})]


def test_the_template_is_part_of_the_point() -> None:
    """Of several templates the parameter `model` says which."""
    space = read([{"a": 1}, {"a": {"int": [1, 2]}}])
    assert ([{"model": 0}], [{"model": 1, "1.a": 1}]) == (placed(space, {"a": 1}), placed(space, {"a": 1}, 1))


def test_a_factor_between_two_roundings_is_found() -> None:
    """Many factors make the same integers: the quotient, or one that lies in the domain."""
    space = read([{"a": {"scale": [10, 3], "by": {"float": [1.2, 1.24]}}}])
    (first, *_) = placed(space, {"a": [12, 4]})
    assert {"0.a.by": 1.2} == first
    assert [] == placed(space, {"a": [13, 4]})


@pytest.mark.parametrize(
    ("option", "value", "same"),
    [
        (None, [1, 2, 2], True),
        ({"channels": 8}, {"channels": 8, "kernel": 3}, True),
        ({"channels": 8}, {"kernel": 3}, False),
        (4, [4.0, 4.0], True),
        (4, [4, 2], False),
        ([4, 4], 4, True),
        ([4, None], [4, 1], True),
        ([4], [4, 4], False),
        (1, True, False),
        ("post", "post", True),
    ],
)
def test_defaults_that_are_written_out_fit_what_lacks_them(option: Any, value: Any, same: bool) -> None:
    """null is any default, a mapping may lack keys, and one number is a list of it."""
    assert same is similar(option, value)


def test_a_spelled_tree_may_have_more_than_the_template() -> None:
    """What the template leaves out is left to whoever compares the networks; null comes last."""
    space = read([{"stem": {"choice": [None, {"channels": 8}]}, "rate": {"choice": [0.1, [0.1, 0.2]]}}])
    tree = {"stem": {"channels": 8, "kernel": 3}, "rate": [0.1, 0.1], "order": "post"}
    assert [{"0.stem": '{"channels":8}', "0.rate": 0.1}, {"0.stem": None, "0.rate": 0.1}] == placed(
        space, tree, spelled=True
    )


def test_a_number_stands_for_a_list_of_it() -> None:
    """As in keys that take one number or one for each place."""
    space = read([{"a": {"float": [0, 1]}}])
    assert ([{"0.a": 0.5}], []) == (
        placed(space, {"a": [0.5, 0.5]}, spelled=True),
        placed(space, {"a": [0.5, 0.25]}, spelled=True),
    )


def test_a_misfit_is_a_value() -> None:
    """What a message is made of: path, what is given, what is allowed."""
    assert (Misfit(("a",), 2, "1"),) == fitting(read([{"a": 1}]), 0, {"a": 2}, spelled=False)[1]
