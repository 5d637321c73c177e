"""Templates: what is drawn is plain, names are unique, sizes are exact; mistakes are placed, giants are refused."""

from __future__ import annotations

import json
import math
import random
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spaces import read, spaces
from specs import laws

from archcost.cli.schemas import committed
from archcost.config import document
from archcost.config.document import MAX_MISTAKES
from archcost.errors import InputError
from archcost.search import templates
from archcost.search.domains import Domain, Point, Scalar, Whole, contains, neighbours
from archcost.search.rules import RULES, has_rule
from archcost.search.space import MODEL, Space, extent, names, parameters

REALS = st.sampled_from([{"float": [0, 1]}, {"float": [0.5, 0.5]}, {"float": [1e-3, 1], "log": True}])


def refused(text: str) -> InputError:
    """Return how a list of templates is refused."""
    with pytest.raises(InputError) as caught:
        templates.space(document.load(f"models:\n{text}", "s.yaml"))
    return caught.value


def size_of(tree: Any) -> int:
    """Return how many values a tree has."""
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return 1 + sum(map(size_of, inner))


def picks(space: Space, chance: random.Random) -> list[tuple[str, Domain]]:
    """Return the names and domains that one draw asks for, in order."""
    asked: list[tuple[str, Domain]] = []
    point = space.sample(chance)

    def pick(name: str, domain: Domain) -> Scalar:
        asked.append((name, domain))
        return point[name]

    space.draw(pick)
    return asked


@given(spaces(REALS), st.randoms(use_true_random=False))
@laws(150)
def test_what_is_drawn_is_plain(space: Space, chance: random.Random) -> None:
    """No rule is left in a drawn tree, it is JSON, and it is the same whenever its point is."""
    point = space.sample(chance)
    place, tree = space.tree(point)
    assert not has_rule(tree)
    assert tree == json.loads(json.dumps(tree))
    assert (place, tree) == space.tree(point)
    assert place == point.get(MODEL, 0)


@given(spaces(REALS), st.randoms(use_true_random=False))
@laws(150)
def test_names_are_unique(space: Space, chance: random.Random) -> None:
    """A draw asks for each parameter once, only for those that are known, and no two domains share a name."""
    asked = [name for name, _ in picks(space, chance)]
    known = [MODEL, *(name for place, part in enumerate(space.templates) for name in names(part, str(place)))]
    assert len(asked) == len(set(asked))
    assert len(known) == len(set(known))
    assert set(asked) <= set(known)
    assert len(known) - 1 == sum(map(parameters, space.templates))


@given(spaces())
@laws(150)
def test_the_size_is_the_number_of_points(space: Space) -> None:
    """The grid of a space without domains of numbers is every point once."""
    points = [tuple(point.items()) for point in space.grid()]
    assert space.size() == len(points)
    assert len(points) == len({repr(point) for point in points})


@given(spaces(), st.randoms(use_true_random=False))
@laws(100)
def test_what_is_sampled_and_what_is_near_is_in_the_grid(space: Space, chance: random.Random) -> None:
    """Points drawn at random, and those next to them, are points of the space."""
    points = {repr(point) for point in space.grid()}
    point = space.sample(chance)
    near = neighbours(space.draw, point, chance)
    assert {repr(each) for each in (point, *near)} <= points


@given(spaces(REALS), st.randoms(use_true_random=False))
@laws(100)
def test_values_are_in_their_domains(space: Space, chance: random.Random) -> None:
    """A sampled value is one of its domain's; no tree is larger than the largest was said to be."""
    point = space.sample(chance)

    def pick(name: str, domain: Domain) -> Scalar:
        assert contains(domain, point[name])
        return point[name]

    place, tree = space.draw(pick)
    assert size_of(tree) <= extent(space.templates[place])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"int": [1, 4]}, [1, 2, 3, 4]),
        ({"int": [8, 30], "step": 8}, [8, 16, 24]),
        ({"int": [-1, 0]}, [-1, 0]),
        ({"int": [1, 3], "log": True}, [1, 2, 3]),
        ({"float": [0, 1]}, [0.0, 0.25, 0.5, 0.75, 1.0]),
        ({"float": [0.5, 0.5]}, [0.5]),
        ({"float": [1, 16], "log": True}, [1.0, 2.0, 4.0, 8.0, 16.0]),
        ({"choice": ["a", None, True, 1, 1.0, "1"]}, ["a", None, True, 1, 1.0, "1"]),
        ({"choice": [[1], [2, 3], {"b": 1, "a": [2]}]}, [[1], [2, 3], {"b": 1, "a": [2]}]),
        ({"repeat": {"int": [1, 2]}, "times": 2}, [[1, 1], [2, 2]]),
        ({"repeat": {"int": [1, 2]}, "times": 2, "each": True}, [[1, 1], [1, 2], [2, 1], [2, 2]]),
        ({"repeat": 3, "times": {"int": [1, 2]}}, [[3], [3, 3]]),
        ({"repeat": {"choice": [5, 6]}, "times": {"choice": [1, 2]}, "each": True},
         [[5], [6], [5, 5], [5, 6], [6, 5], [6, 6]]),
        ({"repeat": {"repeat": {"int": [1, 2]}, "times": 2}, "times": 2, "each": True},
         [[[1, 1], [1, 1]], [[1, 1], [2, 2]], [[2, 2], [1, 1]], [[2, 2], [2, 2]]]),
        ({"scale": [16, 32], "by": {"choice": [1, 2]}}, [[16, 32], [32, 64]]),
        ({"scale": [1, 5, 0], "by": {"choice": [0.1, 0.5, 1.5]}}, [[1, 1, 0], [1, 2, 0], [2, 8, 0]]),
        ({"scale": [0.1, 2], "by": 2}, [[0.2, 4]]),
        ({"scale": {"choice": [[1, 2], [1, 2, 4]]}, "by": {"int": [8, 16], "step": 8}},
         [[8, 16], [16, 32], [8, 16, 32], [16, 32, 64]]),
    ],
)  # fmt: skip
def test_what_a_rule_stands_for(rule: Any, expected: list[Any]) -> None:
    """Each rule gives the values it says, in order; types are kept."""
    space = read([{"family": "x", "key": rule}])
    drawn = [space.tree(point) for point in space.grid()]
    assert [(0, {"family": "x", "key": value}) for value in expected] == drawn
    assert list(map(repr, expected)) == [repr(tree["key"]) for _, tree in drawn if isinstance(tree, dict)]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ({"columns": {"int": [1, 3]}}, ["0.columns"]),
        ({"widths": {"scale": [16], "by": {"choice": [1, 2]}}}, ["0.widths.by"]),
        ({"layers": [{"kernel": {"choice": [3, 5]}}, {"widths": [1, {"int": [1, 2]}]}]},
         ["0.layers.0.kernel", "0.layers.1.widths.1"]),
        ({"depths": {"repeat": {"int": [1, 3]}, "times": 3}}, ["0.depths.repeat"]),
        ({"depths": {"repeat": {"int": [1, 3]}, "times": {"choice": [2]}, "each": True}},
         ["0.depths.times", "0.depths.repeat.0", "0.depths.repeat.1"]),
        ({"a.b": {"int": [1, 2]}, "a": {"b": {"int": [1, 2]}}}, ["0.a\\.b", "0.a.b"]),
        ({"a\\": {"b": {"int": [1, 2]}}, "a\\.b": {"int": [1, 2]}}, ["0.a\\\\.b", "0.a\\\\\\.b"]),
    ],
)  # fmt: skip
def test_names_are_key_paths(template: Any, expected: list[str]) -> None:
    """A parameter is called as its key path, the template's place first; a dot inside a key is told from others."""
    assert expected == list(read([template]).sample(random.Random(0)))


def test_a_domain_ends_at_its_last_value() -> None:
    """A step that does not divide leaves no values behind the last one: Optuna would warn, and move the end itself."""
    assert [("0.a", Whole(8, 24, 8))] == picks(read([{"a": {"int": [8, 30], "step": 8}}]), random.Random(0))


def test_the_template_is_a_parameter_where_there_are_several() -> None:
    """One template has no choice; of two the first parameter is which."""
    assert [] == list(read([{"family": "x"}]).sample(random.Random(0)))
    points = list(read([{"a": {"int": [1, 2]}}, {"b": 1}]).grid())
    assert [{"model": 0, "0.a": 1}, {"model": 0, "0.a": 2}, {"model": 1}] == points


def test_options_that_are_no_scalars_have_names() -> None:
    """A list or mapping is called as compact JSON, its keys in order."""
    points: list[Point] = list(read([{"a": {"choice": [[1, 2], {"y": 1, "x": None}, "z"]}}]).grid())
    assert ["[1,2]", '{"x":null,"y":1}', "z"] == [point["0.a"] for point in points]


MISTAKES = {
    "empty": ("{int: [3, 1]}", "2:13: models.0.k.int: an empty domain: 3 is more than 1; allowed: the lowest first"),
    "nothing to choose": ("{choice: []}", "2:16: models.0.k.choice: an empty domain; allowed: at least one value"),
    "one end": ("{int: [3]}", "2:13: models.0.k.int: given a list of 1; allowed: at least 2 values"),
    "three ends": ("{int: [1, 2, 3]}", "2:13: models.0.k.int: given a list of 3; allowed: at most 2 values"),
    "no ends": ("{int: 3}", "2:13: models.0.k.int: given 3; allowed: a list"),
    "half": ("{int: [1, 2.5]}", "2:17: models.0.k.int.1: given 2.5; allowed: an integer"),
    "truth": ("{int: [true, 2]}", "2:14: models.0.k.int.0: given true; allowed: an integer"),
    "text": ("{float: [a, 2]}", "2:16: models.0.k.float.0: given 'a'; allowed: a number"),
    "far": ("{float: [0, 1e300]}", "2:19: models.0.k.float.1: given 1e+300; allowed: at most 9.0072e+15"),
    "step": ("{int: [1, 2], step: 0}", "2:27: models.0.k.step: given 0; allowed: at least 1"),
    "step of numbers": ("{float: [1, 2], step: 1}", "2:23: models.0.k.step: unknown key 'step'; allowed"),
    "log from 0": ("{int: [0, 2], log: true}", "2:26: models.0.k.log: given with 0 as the lowest; allowed: with 1 or"),
    "log of 0": ("{float: [0, 2], log: true}", "2:28: models.0.k.log: given with 0 as the lowest; allowed: with more"),
    "log of nearly 0": ("{float: [1e-320, 2], log: true}", "2:33: models.0.k.log: given with 9.99989e-321"),
    "log and step": ("{int: [1, 9], step: 2, log: true}", "2:35: models.0.k.log: does not go with 'step'"),
    "log is yes": ("{int: [1, 9], log: yes}", "2:26: models.0.k.log: given 'yes'; allowed: true or false"),
    "typo": ("{int: [1, 9], stp: 2}", "2:21: models.0.k.stp: unknown key 'stp' (did you mean 'step'?)"),
    "two rules": ("{int: [1, 9], choice: [1]}", "2:21: models.0.k.choice: unknown key 'choice'; allowed"),
    "twice": ("{choice: [a, b, a]}", "2:23: models.0.k.choice.2: is the same as value 0"),
    "a list twice": ("{choice: [[1], [1]]}", "2:22: models.0.k.choice.1: is the same as value 0"),
    "keys in another order": ("{choice: [{a: 1, b: 2}, {b: 2, a: 1}]}", "2:31: models.0.k.choice.1: is the same"),
    "text as a list": ("{choice: [[1], '[1]']}", "2:22: models.0.k.choice.1: is text that reads as value 0"),
    "a domain within": ("{choice: [1, {a: [{int: [1, 2]}]}]}", "2:20: models.0.k.choice.1: a domain inside a choice"),
    "choice of a word": ("{choice: ab}", "2:16: models.0.k.choice: given 'ab'; allowed: a list"),
    "never": ("{repeat: 1}", "2:7: models.0.k.times: missing; this key is required"),
    "no times": ("{repeat: 1, times: 0}", "2:26: models.0.k.times: given 0; allowed: an integer from 1 to 1,000"),
    "many times": ("{repeat: 1, times: 1001}", "2:26: models.0.k.times: given 1001; allowed: an integer from 1"),
    "half a time": ("{repeat: 1, times: 1.5}", "2:26: models.0.k.times: given 1.5; allowed: an integer from 1"),
    "any times": ("{repeat: 1, times: {int: [0, 3]}}", "2:26: models.0.k.times: given a rule that may give other"),
    "times of words": ("{repeat: 1, times: {choice: [1, a]}}", "2:26: models.0.k.times: given a rule that may give"),
    "times of lists": ("{repeat: 1, times: {choice: [[1]]}}", "2:26: models.0.k.times: given a rule that may give"),
    "repeated times": ("{repeat: 1, times: {repeat: 1, times: 1}}", "2:26: models.0.k.times: given a rule that may"),
    "each is 1": ("{repeat: 1, times: 2, each: 1}", "2:35: models.0.k.each: given 1; allowed: true or false"),
    "no factor": ("{scale: [1]}", "2:7: models.0.k.by: missing; this key is required"),
    "factor 0": ("{scale: [1], by: 0}", "2:24: models.0.k.by: given 0; allowed: a number above 0"),
    "factors from 0": ("{scale: [1], by: {float: [0, 1]}}", "2:24: models.0.k.by: given a rule that may give other"),
    "factor of words": ("{scale: [1], by: {choice: [a]}}", "2:24: models.0.k.by: given a rule that may give other"),
    "scale of words": ("{scale: [a], by: 1}", "2:15: models.0.k.scale: given a list of 1; allowed: a list of numbers"),
    "scale of nothing": ("{scale: [], by: 1}", "2:15: models.0.k.scale: given a list of 0; allowed: a list of numbers"),
    "scale below 0": ("{scale: [-1], by: 1}", "2:15: models.0.k.scale: given a list of 1; allowed: a list of numbers"),
    "scale of a number": ("{scale: 3, by: 1}", "2:15: models.0.k.scale: given 3; allowed: a list of numbers"),
    "scales of numbers": ("{scale: {choice: [1]}, by: 1}", "2:15: models.0.k.scale: given a rule that may give other"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_has_its_place(case: str) -> None:
    """What is no rule is told with line, column and key path, with what was given and what is allowed, once."""
    text, message = MISTAKES[case]
    error = refused(f"- {{k: {text}}}")
    assert str(error.mistakes[0]).startswith(f"s.yaml:{message}")
    assert 1 == len(error.mistakes)
    assert 2 == error.exit_code


def test_every_mistake_is_told_in_the_order_of_the_text() -> None:
    """Mistakes of all templates come at once, those inside wrong rules too."""
    error = refused(
        "- {a: {int: [2, 1]}, b: {repeat: {choice: []}, times: 0, eech: true}}\n"
        "- {choice: [1]}\n"
        "- {c: [{scale: [{int: [1, 2]}], by: {float: [1, 0]}}]}\n"
    )
    assert [
        ("models.0.a.int", 2),
        ("models.0.b.repeat.choice", 2),
        ("models.0.b.eech", 2),
        ("models.1", 3),
        ("models.2.c.0.scale", 4),
        ("models.2.c.0.by.float", 4),
    ] == [(".".join(map(str, each.path)), each.place.line) for each in error.mistakes if each.place]


def test_a_thousand_mistakes_are_counted() -> None:
    """The first twenty are told, then how many there are besides."""
    error = refused(f"- {{k: [{', '.join(['{int: [2, 1]}'] * 1000)}]}}")
    assert MAX_MISTAKES + 1 == len(error.mistakes)
    assert "and 980 mistakes more" == error.mistakes[-1].message


@pytest.mark.parametrize("text", ["", "[]", "3", "{family: nin}"])
def test_templates_are_a_list(text: str) -> None:
    """Anything but a list of templates is refused."""
    with pytest.raises(InputError, match="allowed: a list of templates"):
        templates.space(document.load(f"models: {text}", "s.yaml"))


def nested(depth: int, each: str, inner: str = "{int: [1, 2]}") -> str:
    """Return repeats inside repeats, each a thousand times."""
    for _ in range(depth):
        inner = f"{{repeat: {inner}, times: 1000, each: {each}}}"
    return inner


HOSTILE = {
    "draws within draws": (nested(30, "true"), "more than 10^15 parameters in all; allowed: 1,000"),
    "lists within lists": (nested(30, "false"), "networks of up to more than 10^15 values; allowed: 50,000"),
    "nothing within lists": (nested(3, "true", "0"), "networks of up to 1,001,001,002 values; allowed: 50,000"),
    "thousands of domains": (f"[{', '.join(['{int: [1, 2]}'] * 3000)}]", "3,000 parameters in all; allowed: 1,000"),
    "many values": (f"{{repeat: {list(range(100))}, times: 600}}", "networks of up to 60,602 values; allowed: 50,000"),
    "a long name": (f"{{{'a' * 600}: {{int: [1, 2]}}}}", "a domain's key path has 604 characters; allowed: 512"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_would_be_too_large_is_refused(case: str) -> None:
    """Networks and parameters are counted before one is drawn, however many a few rules would make."""
    text, message = HOSTILE[case]
    assert message in [each.message for each in refused(f"- {{k: {text}}}").mistakes]


def test_a_vast_space_is_counted_and_sampled() -> None:
    """Sizes are exact at any length, and neither the grid nor a draw holds a domain's values."""
    count = 900
    space = read([{"k": [{"int": [1, 2**53]}] * count}])
    assert 2 ** (53 * count) == space.size()
    assert [1, 2] == [point[f"0.k.{count - 1}"] for point in islice(space.grid(), 2)]
    assert count == len(space.sample(random.Random(0)))
    wide = read([{"k": [*[{"int": [1, 2**53]}] * count, {"float": [0, 1]}]}, {"k": {"int": [1, 2]}}])
    assert math.inf == wide.size()


def test_rules_are_told_from_the_keys_of_families() -> None:
    """No family has a key that would make a mapping of its own a rule."""
    definitions = json.loads(committed("model"))["$defs"].values()
    keys = {key for each in definitions for key in each.get("properties", {})}
    assert set() == keys & set(RULES)


def test_the_arguments_of_code_have_any_name() -> None:
    """A mapping of arguments is no rule, though one of them is called as a rule is."""
    source = document.load("models: [{family: module, args: {scale: {int: [1, 2]}, choice: [3]}}]", "study.yaml")
    assert (0, {"family": "module", "args": {"scale": 2, "choice": [3]}}) == templates.space(source).tree(
        {"0.args.scale": 2}
    )
