"""Every trial and column of a study: as a table, as rows for other tools, as CSV."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from archcost.report.blocks import MOST_ROWS, Cell, Head, Row, Section, Table
from archcost.report.study.facts import Found
from archcost.study.objectives import quantity_of
from archcost.study.records import tables
from archcost.study.records.tables import status_of
from archcost.units import data_size, duration, scalar_words, scaled
from archcost.version import __version__

SCHEMA: Final = 1
_POINT: Final = "point."


def trials_section(found: Found, rows: Sequence[dict[str, Any]]) -> Section:
    """Return the table of all trials, the front's first; rows: of `tables.rows`."""
    order = {each.name: place for place, each in enumerate(found.now.members)}
    ordered = sorted(rows, key=lambda row: order.get(row["trial"], len(order)))
    heads = (
        Head("trial"),
        Head("state"),
        Head("on the front"),
        *([Head("way")] if len(found.ways) > 1 else []),
        Head("family"),
        *(Head(label, True, "As the trial gave it, not as it was confirmed.") for label in found.stored.labels),
        *(Head(name, True) for name in ("params", "MACs", "memory", "seconds")),
        Head("origin", note="Where the point came from."),
        Head("parameters"),
        Head("reason", note="Why it ended early."),
    )
    table = Table(
        "trials",
        "All trials and their columns, the front's first",
        heads,
        tuple(_row(found, row) for row in ordered[:MOST_ROWS]),
        left_out=max(0, len(rows) - MOST_ROWS),
        open=False,
    )
    return Section("trials", "Trials", (table,))


def _row(found: Found, row: dict[str, Any]) -> Row:
    names = tables.column_names(found.stored.objectives)
    point = [
        f"{key.removeprefix(_POINT)} = {scalar_words(value)}" for key, value in row.items() if key.startswith(_POINT)
    ]
    cells = [
        Cell(row["trial"], row["number"] + (row["column"] or 0) / 1000),
        Cell(row["state"]),
        Cell("yes" if row["on_front"] else "no"),
        *([Cell(_way(found, row["way"]))] if len(found.ways) > 1 else []),
        Cell(row["family"] or "-"),
        *(_cell(row[key], name) for key, (name, _) in zip(names, found.stored.objectives, strict=True)),
        _counted(row["params"], scaled),
        _counted(row["macs"], scaled),
        _counted(row["memory_bytes"], data_size),
        Cell("-") if row["seconds"] is None else Cell(duration(row["seconds"]), row["seconds"]),
        Cell(row["origin"] or "-"),
        Cell(", ".join(point)),
        Cell(row["reason"]),
    ]
    return Row(tuple(cells), row["trial"])


def _way(found: Found, name: str | None) -> str:
    return next(each.words for each in found.ways if each.name == name)


def _cell(value: float | None, name: str) -> Cell:
    return Cell("-") if value is None else Cell(quantity_of(name).words(value), value)


def _counted(value: int | None, words: Callable[[int], str]) -> Cell:
    return Cell("-") if value is None else Cell(words(value), value)


def data(found: Found, rows: Sequence[dict[str, Any]]) -> dict[str, object]:
    """Return all that the report was made of, as JSON holds it: numbers are finite, or None."""
    whole = {
        "archcost": __version__,
        "schema": SCHEMA,
        "study": status_of(found.stored, found.now, found.runs),
        "front": found.json,
        "trials": list(rows),
    }
    plain = _plain(whole)
    assert isinstance(plain, dict)
    return plain


def _plain(value: object) -> object:
    match value:
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
