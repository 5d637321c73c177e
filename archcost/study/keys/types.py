"""The types of study.yaml's keys: durations, shares, seeds, names of metrics, amounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from archcost.config.types import LARGEST, wrong
from archcost.config.validation import shown
from archcost.errors import quoted
from archcost.study.objectives import QUANTITIES, RESERVED
from archcost.units import parse_duration, parse_share


def _reader(parse: Callable[[str], float]) -> BeforeValidator:
    def read(value: object) -> object:
        try:
            return parse(value) if isinstance(value, str) else value
        except ValueError as error:
            raise wrong(str(error)) from None

    return BeforeValidator(read)


def _or_text(pattern: str, **bounds: float) -> WithJsonSchema:
    text = {"type": "string", "pattern": rf"^[0-9]{{1,9}}(\.[0-9]{{1,9}})? *{pattern}$"}
    return WithJsonSchema({"anyOf": [{"type": "number", **bounds}, text]})


def _unlike(name: str) -> str:
    if name in RESERVED:
        hint = f"write '{name}: min'" if name in QUANTITIES else "another name"
        raise wrong(f"given {quoted(name)}, which has a meaning of its own; allowed: {hint}")
    return name


def _amount(value: object) -> object:
    if value != "all" and (not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST):
        raise wrong(f"given {shown(value)}; allowed: an integer of at least 1, or 'all'")
    return value


Seconds: TypeAlias = Annotated[
    float, _reader(parse_duration), Field(gt=0), _or_text("(us|ms|s|m|h)?", exclusiveMinimum=0)
]
Share: TypeAlias = Annotated[
    float, _reader(parse_share), Field(gt=0, lt=1), _or_text("%?", exclusiveMinimum=0, exclusiveMaximum=1)
]
Natural: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]
Minimised: TypeAlias = Literal["min"]
Metric: TypeAlias = Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_@.-]{0,63}$"), AfterValidator(_unlike)]
Source: TypeAlias = Annotated[str, Field(min_length=1, max_length=4096)]
Amount: TypeAlias = Annotated[
    int | Literal["all"],
    BeforeValidator(_amount),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": LARGEST}, {"const": "all"}]}),
]
