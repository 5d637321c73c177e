"""The rules that templates may hold, as study.yaml writes them.

Each is recognised by the key of its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Final, TypeAlias, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from archcost.config.types import LARGEST, Count, Strict, all_wrong, wrong
from archcost.search.domains import Scalar

N = TypeVar("N", int, float)
T = TypeVar("T")

MOST_TIMES: Final = 1000
LEAST_LOG: Final = 1e-100  # the ratio of two ends stays a finite number

Pair: TypeAlias = Annotated[tuple[T, ...], Field(strict=False, min_length=2, max_length=2)]
_Number: TypeAlias = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]

_RULE: Final = {"type": "object"}
_FACTOR: Final = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, _RULE]}
_NUMBERS: Final = {"anyOf": [{"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 1}, _RULE]}
_TIMES: Final = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST_TIMES}, _RULE]}


def _rising(ends: tuple[N, ...]) -> tuple[N, ...]:
    if len(ends) == 2 and ends[0] > ends[1]:
        raise wrong(f"an empty domain: {ends[0]} is more than {ends[1]}; allowed: the lowest first")
    return ends


class WholeRange(Strict):
    """An integer between two others, both included."""

    ends: Annotated[Pair[int], AfterValidator(_rising), Field(alias="int")]
    """The lowest and the highest."""
    step: Count = 1
    """From one value to the next, counted from the lowest."""
    log: bool = False
    """Draw small values as often as large ones; the lowest is at least 1, without `step`."""

    @field_validator("log")
    @classmethod
    def _from_one(cls, value: bool, info: ValidationInfo) -> bool:
        ends = info.data.get("ends")  # missing where it is wrong itself
        if value and ends and ends[0] < 1:
            raise wrong(f"given with {ends[0]} as the lowest; allowed: with 1 or more")
        if value and info.data.get("step", 1) != 1:
            raise wrong("does not go with 'step'")
        return value


class RealRange(Strict):
    """A number between two others, both included."""

    ends: Annotated[Pair[_Number], AfterValidator(_rising), Field(alias="float")]
    """The lowest and the highest."""
    log: bool = False
    """Draw small values as often as large ones; the lowest is more than 0."""

    @field_validator("log")
    @classmethod
    def _above_zero(cls, value: bool, info: ValidationInfo) -> bool:
        ends = info.data.get("ends")
        if value and ends and ends[0] < LEAST_LOG:
            raise wrong(f"given with {ends[0]:g} as the lowest; allowed: with more than 0, at least {LEAST_LOG:g}")
        return value


def label(option: object) -> Scalar:
    """Return what an option is called: a scalar as itself, a list or mapping as compact JSON with sorted keys."""
    if option is None or isinstance(option, bool | int | float | str):
        return option
    return json.dumps(option, separators=(",", ":"), sort_keys=True)


def _different(options: tuple[object, ...]) -> tuple[object, ...]:
    if not options:
        raise wrong("an empty domain; allowed: at least one value")
    if mistakes := list(_unfit(options)):
        raise all_wrong(mistakes)
    return options


def _unfit(options: tuple[object, ...]) -> Iterator[tuple[str, tuple[int]]]:
    seen: dict[tuple[type, Scalar], int] = {}
    for place, option in enumerate(options):
        name = label(option)
        first = seen.setdefault((type(name), name), place)
        if has_rule(option):
            yield "a domain inside a choice; allowed: plain values", (place,)
        elif first != place and type(options[first]) is type(option):
            yield f"is the same as value {first}; allowed: each value once", (place,)
        elif first != place:
            yield f"is text that reads as value {first}, which is not text; allowed: one of the two", (place,)


class OneOf(Strict):
    """One of several values."""

    options: Annotated[
        tuple[object, ...],
        AfterValidator(_different),
        Field(alias="choice", strict=False, json_schema_extra={"minItems": 1}),
    ]
    """Plain values: numbers, words, true and false, null, lists or mappings."""


class Repeat(Strict):
    """A list that repeats one draw; with `each`, every place of it has a draw of its own."""

    repeat: object
    """The value at every place of the list, or a rule for it."""
    times: Annotated[object, WithJsonSchema(_TIMES)]
    """How many places: an integer, or a domain of integers."""
    each: bool = False
    """Whether each place has a draw of its own."""


class Scale(Strict):
    """A list of numbers, all multiplied by one factor. Integers stay integers; those above 0 stay at least 1."""

    scale: Annotated[object, WithJsonSchema(_NUMBERS)]
    """The numbers, or a choice of lists of numbers. They stay integers if all numbers of a list are."""
    by: Annotated[object, WithJsonSchema(_FACTOR)]
    """The factor: a number above 0, or a domain of such numbers."""


Rule: TypeAlias = WholeRange | RealRange | OneOf | Repeat | Scale

RULES: Final[dict[str, type[Rule]]] = {
    "int": WholeRange,
    "float": RealRange,
    "choice": OneOf,
    "repeat": Repeat,
    "scale": Scale,
}
"""Every rule by the key that makes a mapping one."""


def kind_of(tree: object) -> str | None:
    """Return the key that makes a mapping a rule, None for anything else."""
    return next((kind for kind in RULES if kind in tree), None) if isinstance(tree, dict) else None


def has_rule(tree: object) -> bool:
    """Return whether there is a rule anywhere in a tree."""
    if isinstance(tree, dict):
        return kind_of(tree) is not None or any(map(has_rule, tree.values()))
    return isinstance(tree, list) and any(map(has_rule, tree))
