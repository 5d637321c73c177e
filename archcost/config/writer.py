"""A spec as YAML again: what differs from the defaults, in the order people write it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from archcost.config.document import MAX_INTEGER, load
from archcost.config.types import Strict

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")  # text that needs no quotes, unless it reads as a null or boolean
_FIRST: Final = ("name", "family")


def to_yaml(spec: Strict) -> str:
    """Return the YAML text of a spec: required keys and those that are not the default; read again, it is equal."""
    tree = spec.model_dump(by_alias=True, exclude_defaults=True)
    keys = [*(key for key in _FIRST if key in tree), *(key for key in tree if key not in _FIRST)]
    return "".join(f"{key}:{_block(tree[key])}\n" for key in keys)


def _block(value: object) -> str:
    """Return a top-level value: a list of mappings with one of them a line, all else in one line."""
    if isinstance(value, list | tuple) and value and all(isinstance(part, Mapping) for part in value):
        return "".join(f"\n  - {flow(part)}" for part in value)
    return f" {flow(value)}"


def flow(value: object) -> str:
    """Return a value in YAML's flow style: {kernel: 3, widths: [4, 8]}; raises TypeError for what YAML cannot hold."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() and abs(value) <= MAX_INTEGER else repr(value)
        case str():
            return _text(value)
        case Mapping():
            return f"{{{', '.join(f'{_text(str(key))}: {flow(part)}' for key, part in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(flow(part) for part in value)}]"
        case _:
            raise TypeError(f"YAML holds no {type(value).__name__}")


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and load(f"[{text}]", "").tree == [text]:
        return text
    # JSON's quoted text is YAML's; what a terminal would act on, or the reader refuses, becomes an escape
    return json.dumps(text, ensure_ascii=not text.isprintable()).replace("\x7f", "\\u007f")
