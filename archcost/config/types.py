"""The strict types of YAML keys, and the errors that their validators raise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import PydanticCustomError

from archcost.errors import quoted
from archcost.units import counted_words

T = TypeVar("T")


LARGEST = 2**53


def wrong(message: str, *path: str | int) -> PydanticCustomError:
    """Return the error a validator raises: `given ...; allowed: ...`, at `path` below the validated key."""
    # pydantic formats the message from its context: braces in what a user gave must not be read as fields
    return PydanticCustomError("rule", "{message}", {"message": message, "path": list(path)})


def all_wrong(mistakes: Sequence[tuple[str, Sequence[str | int]]]) -> PydanticCustomError:
    """Return the error that tells several rules at once, each with its path below the validated key."""
    (message, path), *more = mistakes
    return PydanticCustomError("rule", "{message}", {"message": message, "path": list(path), "more": more})


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise wrong(f"given {value}; allowed: an odd number")
    return value


Count: TypeAlias = Annotated[int, Field(ge=1, le=LARGEST)]


Kernel: TypeAlias = Annotated[Count, AfterValidator(_odd)]


Rate: TypeAlias = Annotated[float, Field(ge=0, lt=1)]


Each: TypeAlias = Annotated[tuple[T, ...], Field(strict=False, min_length=1)]  # strict would refuse YAML's lists


Image: TypeAlias = Annotated[tuple[Count, Count, Count], Field(strict=False)]


FORM: Final = "'package.module:callable', Python names with dots between"


def names_code(text: str) -> bool:
    """Return whether a text has the form package.module:callable: Python names with dots, one colon between."""
    module, colon, attribute = text.partition(":")
    return bool(colon) and all(name.isidentifier() for name in (*module.split("."), *attribute.split(".")))


def _code(value: str) -> str:
    if not names_code(value):
        raise wrong(f"given {quoted(value)}; allowed: {FORM}")
    return value


def _identifier(value: str) -> str:
    if not value.isidentifier():
        raise wrong(f"given {quoted(value)}; allowed: a Python name, letters, digits and _")
    return value


# the pattern is for editors, and takes all that the validator takes
Code: TypeAlias = Annotated[
    str, AfterValidator(_code), Field(json_schema_extra={"pattern": r"^[^.:]+(\.[^.:]+)*:[^.:]+(\.[^.:]+)*$"})
]


Identifier: TypeAlias = Annotated[str, AfterValidator(_identifier)]


Arguments: TypeAlias = dict[Identifier, JsonValue]


class Strict(BaseModel):
    """A mapping of the YAML: frozen, no unknown keys, no conversions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def one_or_each(value: object) -> str:
    """Return the tag of a key that takes one number or a list of them; tags in <> are no part of a key path."""
    return "<each>" if isinstance(value, list | tuple) else "<one>"


def same_length(values: tuple[T, ...] | None, other: tuple[object, ...] | None, name: str) -> tuple[T, ...] | None:
    """Return `values` where they are as many as the `other` key's; raise otherwise."""
    if values is not None and other is not None and len(values) != len(other):
        raise wrong(f"given {counted_words(len(values), 'value')}; allowed: {len(other)}, one for each of '{name}'")
    return values
