"""Rows as CSV: a cell that a spreadsheet would run is marked as text, what a terminal would act on is an escape."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from archcost.errors import visible

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that begins so


def as_csv(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV; a shape is joined by x, a list is its words with '; ' between them, None is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(head) for head in heads])
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def of_mappings(rows: Sequence[Mapping[str, object]]) -> str:
    """Return mappings as CSV, with every column that one of them has."""
    heads = list(dict.fromkeys(key for row in rows for key in row))
    return as_csv(heads, ([row.get(head) for head in heads] for row in rows))


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case tuple():
            return "x".join(map(str, value))
        case list():
            return _text("; ".join(map(str, value)))
        case str():
            return _text(value)
        case _:
            return str(value)


def _text(value: str) -> str:
    text = visible(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
