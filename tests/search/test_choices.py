"""Options of choices that the type of their key refuses are named before a study runs, each at its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from archcost.config import document
from archcost.errors import InputError
from archcost.models.families import FAMILIES
from archcost.search.choices import untakable
from archcost.study.spec import read_study

BOTTLENECK = {"family": "bottleneck", "depths": [1, 1], "widths": [8, 8]}
FRACTAL = {"family": "fractal", "columns": 2, "widths": [8, 8]}
NIN = {"family": "nin", "layers": [{"kernel": 3, "widths": [8, 10]}]}


def told(tree: dict[str, Any]) -> list[tuple[str, str]]:
    """Return key path and message of what is wrong with the choices of a template."""
    found = untakable(tree, FAMILIES[tree["family"]])
    return [(".".join(map(str, each.path)), each.message.removesuffix("; no point can take it")) for each in found]


@pytest.mark.parametrize(
    ("tree", "path", "message"),
    [
        (
            {**BOTTLENECK, "stem": {"choice": [{"channels": 8}, None]}},
            "stem.choice.1",
            "given null; allowed: a mapping of keys to values",
        ),
        (
            {**FRACTAL, "stem": {"choice": [None, "conv"]}},
            "stem.choice.1",
            "given 'conv'; allowed: a mapping of keys to values",
        ),
        (
            {**FRACTAL, "stem": {"choice": [{"stride": 0}]}},
            "stem.choice.0.stride",
            "given 0; allowed: at least 1",
        ),
        (
            {**FRACTAL, "stem": {"kernel": {"choice": [3, 4]}}},
            "stem.kernel.choice.1",
            "given 4; allowed: an odd number",
        ),
        (
            {**FRACTAL, "widths": {"repeat": {"choice": [8, 0]}, "times": 2}},
            "widths.repeat.choice.1",
            "given 0; allowed: at least 1",
        ),
        (
            {**BOTTLENECK, "depths": [1, {"choice": ["two", 2]}]},
            "depths.1.choice.0",
            "given 'two'; allowed: an integer",
        ),
        (
            {**NIN, "layers": [{"kernel": 3, "widths": [8, {"choice": [10, True]}]}]},
            "layers.0.widths.1.choice.1",
            "given true; allowed: an integer",
        ),
        (
            {**BOTTLENECK, "block": {"choice": ["basic", "bottelneck"]}},
            "block.choice.1",
            "given 'bottelneck' (did you mean 'bottleneck'?); allowed: 'basic' or 'bottleneck'",
        ),
    ],
)
def test_an_option_that_its_key_refuses_is_named(tree: dict[str, Any], path: str, message: str) -> None:
    """In a key, in a mapping in it, in its list, in a repeated draw."""
    assert [(path, message)] == told(tree)


@pytest.mark.parametrize(
    "tree",
    [
        {**FRACTAL, "stem": {"choice": [None, {"channels": 8}]}},
        {**FRACTAL, "dropout": {"choice": [0, [0, 0.1]]}},
        {**BOTTLENECK, "reduction": {"choice": [2, [2, 4]]}},
        {**BOTTLENECK, "block": "basic", "groups": {"choice": [1, 2]}},  # depends on the keys beside it
        {**BOTTLENECK, "widths": {"choice": [[8], [8, 8]]}},
        {**BOTTLENECK, "stem": {"choice": [{"channels": {"int": [1, 2]}}]}},  # refused as a domain inside a choice
        {**BOTTLENECK, "stem": {"choice": "conv"}},  # refused as no list
        {**BOTTLENECK, "unknown": {"choice": [1]}},
    ],
)
def test_what_depends_on_other_keys_is_left_to_the_point(tree: dict[str, Any]) -> None:
    """Nothing is said of options that some point may take, nor of what is refused elsewhere."""
    assert [] == told(tree)


def test_a_study_names_the_place_of_the_option() -> None:
    """With file, line, column and the key path of the whole study."""
    tree = {
        "models": [{**FRACTAL, "stem": {"choice": [None, "conv"]}}],
        "data": {"name": "digits"},
        "objectives": [{"error": "min"}],
    }
    text = json.dumps(tree)
    with pytest.raises(InputError) as refused:
        read_study(document.load(text, "s.yaml"))
    (mistake,) = refused.value.mistakes
    assert mistake.place is not None
    column = text.index('"conv"') + 1
    assert ("models", 0, "stem", "choice", 1) == mistake.path
    assert ("s.yaml", 1, column) == (mistake.place.file, mistake.place.line, mistake.place.column)
