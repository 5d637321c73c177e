"""Options of choices that no point can take: the type of their key refuses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo

from archcost.config.document import Document, Value
from archcost.config.types import Strict
from archcost.config.validation import conform, models_in
from archcost.errors import InputError, Mistake, Path
from archcost.search.rules import has_rule, kind_of


def untakable(tree: Mapping[str, Value], model: type[BaseModel]) -> Iterator[Mistake]:
    """Yield what is wrong with options of choices in a template, each at its path in there, without a place.

    Only what the type of a key refuses whatever the keys beside it are: the rest depends on the point.
    """
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key in tree:
            yield from _at_key(tree[key], field, (key,))


def _at_key(value: Value, field: FieldInfo, path: Path) -> Iterator[Mistake]:
    """Yield what is wrong below a key; path: of the value in the template."""
    match value, kind_of(value):
        case {"choice": list(options)}, "choice":
            yield from _refused(options, field, (*path, "choice"), in_list=False)
        case {"repeat": each}, "repeat":
            yield from _in_list(each, field, (*path, "repeat"))
        case dict(), None:
            yield from _inside(value, field, path)
        case list(), _:
            for place, each in enumerate(value):
                yield from _in_list(each, field, (*path, place))
        case _:
            pass


def _in_list(value: Value, field: FieldInfo, path: Path) -> Iterator[Mistake]:
    """Yield what is wrong with one value of a key's list."""
    match value, kind_of(value):
        case {"choice": list(options)}, "choice":
            yield from _refused(options, field, (*path, "choice"), in_list=True)
        case dict(), None:
            yield from _inside(value, field, path)
        case _:
            pass


def _inside(tree: Mapping[str, Value], field: FieldInfo, path: Path) -> Iterator[Mistake]:
    """Yield what is wrong inside a mapping that is part of a template."""
    kinds = set(models_in(field.annotation))
    if len(kinds) == 1:
        for mistake in untakable(tree, kinds.pop()):
            yield replace(mistake, path=(*path, *mistake.path))


def _refused(options: list[Value], field: FieldInfo, path: Path, *, in_list: bool) -> Iterator[Mistake]:
    """Yield why options are refused where a key's value is wanted, or one value of its list."""
    kind: Any = field.annotation
    alone = create_model("Alone", __base__=Strict, key=(kind, _plain(field)))
    start: Path = ("key", 0) if in_list else ("key",)
    for place, option in enumerate(options):
        if has_rule(option):
            continue  # refused as such
        try:
            conform(Document("", {"key": [option] if in_list else option}, {}, {}), alone)
        except InputError as error:
            for mistake in error.mistakes:
                if mistake.path[: len(start)] == start:
                    where = (*path, place, *mistake.path[len(start) :])
                    yield Mistake(f"{mistake.message}; no point can take it", where)


def _plain(field: FieldInfo) -> FieldInfo:
    """Return a field under no other name than its own, and required."""
    plain = FieldInfo(annotation=field.annotation)
    plain.metadata = list(field.metadata)
    return plain
