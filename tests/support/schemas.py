"""JSON Schemas as editors read them, as far as ours go."""

from __future__ import annotations

import re
from typing import Any

KINDS = {"object": dict, "array": list, "string": str, "integer": int, "number": int | float, "boolean": bool,
         "null": type(None)}  # fmt: skip


def fits(value: Any, schema: Any, root: Any = None) -> bool:
    """Return whether a value fits a JSON Schema, whose references lie in `root`; a word it does not know raises."""
    root = schema if root is None else root
    return all(_CHECKS[word](value, limit, schema, root) for word, limit in schema.items())


def _kind(value: Any, kind: str, *_: Any) -> bool:
    return isinstance(value, KINDS[kind]) and (isinstance(value, bool) == (kind == "boolean"))


def _properties(value: Any, properties: Any, _: Any, root: Any) -> bool:
    known = [(key, inner) for key, inner in value.items() if key in properties] if isinstance(value, dict) else []
    return all(fits(inner, properties[key], root) for key, inner in known)


def _closed(value: Any, more: Any, schema: Any, _: Any) -> bool:
    assert isinstance(more, bool)
    return more or not isinstance(value, dict) or value.keys() <= schema["properties"].keys()


def _reference(value: Any, path: str, _: Any, root: Any) -> bool:
    return fits(value, root["$defs"][path.removeprefix("#/$defs/")], root)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _all_fit(value: Any, each: Any, _: Any, root: Any) -> bool:
    return not isinstance(value, list) or all(fits(inner, each, root) for inner in value)


def _ignored(*_: Any) -> bool:
    return True


_CHECKS: dict[str, Any] = {
    "$ref": _reference,
    "type": _kind,
    "properties": _properties,
    "additionalProperties": _closed,
    "required": lambda v, keys, *_: not isinstance(v, dict) or set(keys) <= v.keys(),
    "minProperties": lambda v, limit, *_: not isinstance(v, dict) or len(v) >= limit,
    "items": _all_fit,
    "prefixItems": lambda v, each, _, root: not isinstance(v, list) or all(fits(*p, root) for p in zip(v, each)),  # noqa: B905  # may be longer or shorter
    "anyOf": lambda v, ways, _, root: any(fits(v, way, root) for way in ways),
    "oneOf": lambda v, ways, _, root: sum(fits(v, way, root) for way in ways) == 1,
    "enum": lambda v, allowed, *_: v in allowed,
    "const": lambda v, only, *_: v == only,
    "pattern": lambda v, pattern, *_: not isinstance(v, str) or re.search(pattern, v) is not None,
    "minimum": lambda v, limit, *_: not _number(v) or v >= limit,
    "maximum": lambda v, limit, *_: not _number(v) or v <= limit,
    "exclusiveMinimum": lambda v, limit, *_: not _number(v) or v > limit,
    "exclusiveMaximum": lambda v, limit, *_: not _number(v) or v < limit,
    "minLength": lambda v, limit, *_: not isinstance(v, str) or len(v) >= limit,
    "maxLength": lambda v, limit, *_: not isinstance(v, str) or len(v) <= limit,
    "minItems": lambda v, limit, *_: not isinstance(v, list) or len(v) >= limit,
    "maxItems": lambda v, limit, *_: not isinstance(v, list) or len(v) <= limit,
} | dict.fromkeys(["$schema", "$defs", "title", "description", "default", "discriminator"], _ignored)
