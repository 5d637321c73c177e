"""Validation: a tree of plain values becomes a frozen spec, or all mistakes at once.

Each mistake has its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from archcost.config.document import Document
from archcost.errors import InputError, Mistake, Path, did_you_mean, quoted, unknown

_MISSING: Final = "missing; this key is required"
_BESIDE: Final = "does not go with the keys beside it"

M = TypeVar("M", bound=BaseModel)


def conform(document: Document, model: type[M]) -> M:
    """Return the model a document's tree is; raises InputError with every mistake, in the order of the text."""
    try:
        return model.model_validate(document.tree)
    except ValidationError as error:
        # pydantic drops wrong values from a list and then calls it too short
        real = [details for details in error.errors(include_url=False) if not _after_effect(details)]
        found = [mistake for details in real for mistake in _mistakes(document, model, details)]
        raise InputError(*sorted(found, key=reading_order)) from None


def located(document: Document, mistake: Mistake, *, at_key: bool = False) -> Mistake:
    """Return a mistake with the place of its key path in the document."""
    return mistake if mistake.place else mistake.at(document.place(mistake.path, key=at_key))


def shown(value: object) -> str:
    """Return a given value as messages show it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            return "a mapping"
        case _:
            return str(value)


def reading_order(mistake: Mistake) -> tuple[int, int]:
    """Return line and column of a mistake, by which the mistakes of a text are sorted."""
    return (mistake.place.line, mistake.place.column) if mistake.place else (0, 0)


def _after_effect(details: ErrorDetails) -> bool:
    return details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]


def _mistakes(document: Document, model: type[BaseModel], details: ErrorDetails) -> Iterator[Mistake]:
    yield _mistake(document, model, details)
    for message, path in details.get("ctx", {}).get("more", ()):
        rule = {**details, "ctx": {"message": message, "path": list(path)}}
        yield _mistake(document, model, cast(ErrorDetails, rule))


def _mistake(document: Document, model: type[BaseModel], details: ErrorDetails) -> Mistake:
    """Return one of pydantic's errors in our words: what was given, what is allowed, and where."""
    # a union's tag stands in the location between <>, and is no part of the key path
    kind, context, given = details["type"], details.get("ctx", {}), details["input"]
    *inner, last = details["loc"] or ("<whole>",)
    users = kind == "extra_forbidden"  # then the last part is what the user wrote, and may look like a tag
    path: Path = tuple(part for part in inner if not str(part).startswith("<"))
    path = (*path, last) if users or not str(last).startswith("<") else path
    if kind == "rule" and last == "[key]":  # so pydantic calls a mapping's key that is wrong; it may look like a tag
        return located(document, Mistake(context["message"], tuple(inner)), at_key=True)
    if kind == "rule":
        return located(document, Mistake(context["message"], (*path, *context["path"])))
    if kind == "extra_forbidden":
        keys = _keys(model, path[:-1])
        message = unknown("key", str(path[-1]), sorted(keys)) if path[-1] not in keys else _BESIDE
        return located(document, Mistake(message, path), at_key=True)
    if kind == "missing":
        few = isinstance(path[-1], int)
        message = f"given {len(cast(list[object], given))} values; allowed: 3" if few else _MISSING
        return located(document, Mistake(message, path[:-1] if few else path))
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        guess = did_you_mean(given, words) if isinstance(given, str) else ""
        return located(document, Mistake(f"given {shown(given)}{guess}; allowed: {context['expected']}", path))
    allowed = _ALLOWED[kind](context) if kind in _ALLOWED else details["msg"]
    return located(document, Mistake(f"given {shown(given)}; allowed: {allowed}", path))


_ALLOWED: Final[dict[str, Callable[[Mapping[str, object]], str]]] = {
    "int_type": lambda _: "an integer",
    "float_type": lambda _: "a number",
    "bool_type": lambda _: "true or false",
    "string_type": lambda _: "text",
    "tuple_type": lambda _: "a list",
    "dict_type": lambda _: "a mapping of keys to values",
    "model_type": lambda _: "a mapping of keys to values",
    "model_attributes_type": lambda _: "a mapping of keys to values",
    "too_short": lambda c: f"at least {c['min_length']} values",
    "too_long": lambda c: f"at most {c['max_length']} values",
    "string_too_short": lambda c: f"text of at least {c['min_length']} character",
    "string_too_long": lambda c: f"text of at most {c['max_length']} characters",
    "greater_than_equal": lambda c: f"at least {c['ge']:g}",
    "greater_than": lambda c: f"more than {c['gt']:g}",
    "less_than_equal": lambda c: f"at most {c['le']:g}",
    "less_than": lambda c: f"less than {c['lt']:g}",
}


def _keys(model: type[BaseModel], path: Path) -> set[str]:
    """Return the keys a mapping at `path` may have."""
    models = {model}
    for part in path:
        if isinstance(part, str):
            fields = [m.model_fields[name] for m in models for name in m.model_fields if _key(m, name) == part]
            models = {inner for field in fields for inner in models_in(field.annotation)}
    return {_key(m, name) for m in models for name in m.model_fields}


def keys_wrong(tree: Mapping[str, object], model: type[BaseModel], given: Collection[str]) -> Iterator[Mistake]:
    """Yield the keys of a mapping that a model does not have, and those it lacks; given: what it need not have."""
    keys = _keys(model, ())
    for key in tree:
        if key not in keys:
            yield Mistake(unknown("key", key, sorted(keys)), (key,))
    for name, field in model.model_fields.items():
        if field.is_required() and _key(model, name) not in {*tree, *given}:
            yield Mistake(_MISSING, (_key(model, name),))


def _key(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].alias or name


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models of mappings that a type may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)
