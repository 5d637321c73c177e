"""Rows as CSV, as Markdown and in aligned columns: safe for spreadsheets and terminals."""

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


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], *, indent: int = 2) -> str:
    """Return rows as text in columns: the first to the left, the others to the right, each as wide as it needs."""
    lines = [heads, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "".join(_line(line, widths, indent) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], indent: int) -> str:
    first, *others = (
        visible(cell).ljust(width) if i == 0 else visible(cell).rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return (" " * indent + "  ".join([first, *others])).rstrip() + "\n"


def as_markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(escaped(cell) for cell in line)} |\n" for line in lines)


def escaped(text: str) -> str:
    """Return text that Markdown and HTML take literally."""
    return visible(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")
