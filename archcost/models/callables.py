"""A callable as it is typed, package.module:callable(width=0.5): name and arguments.

Nothing is evaluated: a value is a literal, as JSON could hold it.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Mapping
from typing import Final

from archcost.config.document import MAX_DEPTH, MAX_INTEGER, Value
from archcost.errors import InputError, Mistake, quoted
from archcost.units import grouped

_FORM: Final = "package.module:callable(name=value, ...)"
_LITERALS: Final = "numbers, text in quotes, True, False, None, and lists, tuples and mappings of these"
_LONGEST: Final = 10_000  # characters


def name_of(text: str) -> str:
    """Return what stands before the first parenthesis, the whole text if there is none."""
    name, opened, _ = text.partition("(")
    return name.rstrip() if opened else name


def arguments_of(text: str) -> dict[str, Value]:
    """Return the keyword arguments that a text has in parentheses, none without them.

    A tuple becomes a list, as YAML has it. Raises InputError, which says what is allowed.
    """
    _, opened, inside = text.partition("(")
    if not opened:
        return {}
    call = f"f({inside.rstrip()}"
    try:
        return {str(keyword.arg): _plain(keyword, call) for keyword in _keywords(call)}
    except ValueError as error:
        raise InputError(Mistake(f"{quoted(text)} {error}; allowed: {_FORM} with {_LITERALS}")) from None


def called(name: str, arguments: Mapping[str, Value]) -> str:
    """Return a name with its arguments as they are typed, Net(width=0.5); the name alone if there are none."""
    inside = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    return f"{name}({inside})" if inside else name


def _keywords(call: str) -> list[ast.keyword]:
    if len(call) > _LONGEST:
        raise ValueError(f"is longer than {grouped(_LONGEST)} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            found = ast.parse(call, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"cannot be read: {error.msg}") from None
    except (ValueError, MemoryError, RecursionError):  # a NUL, half a surrogate pair, too deep
        raise ValueError("cannot be read") from None
    match found:
        case ast.Call(func=ast.Name(), args=[], keywords=keywords):
            pass
        case ast.Call(func=ast.Name(), args=[first, *_]):
            raise ValueError(f"gives {_source(first, call)} without a name")
        case _:
            raise ValueError("is not one call")
    names = [keyword.arg for keyword in keywords]
    if None in names:
        raise ValueError("has **")
    if again := [name for place, name in enumerate(names) if name in names[:place]]:
        raise ValueError(f"gives {again[0]} twice")
    return keywords


def _plain(keyword: ast.keyword, call: str) -> Value:
    try:
        return _value(ast.literal_eval(keyword.value))
    except (ValueError, TypeError, MemoryError, RecursionError):  # no literal; a list as a key; too deep
        raise ValueError(f"gives {keyword.arg} what is no literal: {_source(keyword.value, call)}") from None


def _value(value: object, depth: int = 0) -> Value:
    """Return a literal as YAML could hold it; raises ValueError for what it could not."""
    match value:
        case None | bool():
            return value
        case str():
            value.encode("utf-8")  # half a surrogate pair is a ValueError
            return value
        case int() if abs(value) <= MAX_INTEGER:
            return value
        case float() if math.isfinite(value):
            return value
        case list() | tuple() if depth < MAX_DEPTH:
            return [_value(part, depth + 1) for part in value]
        case dict() if depth < MAX_DEPTH and all(isinstance(key, str) for key in value):
            return {str(key): _value(part, depth + 1) for key, part in value.items()}
        case _:
            raise ValueError(f"{type(value).__name__} is no plain value")


def _source(node: ast.expr, call: str) -> str:
    return quoted(ast.get_source_segment(call, node) or "")
