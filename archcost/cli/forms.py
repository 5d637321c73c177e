"""A profile as JSON, CSV or Markdown; the table that people read has a file of its own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import assert_never

from archcost.cli.options import FORMATS
from archcost.cli.table import table
from archcost.errors import visible
from archcost.profiling import Layer, Profile
from archcost.units import data_size, duration, grouped

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that begins so


def printed(found: Profile, form: str, *, colour: bool) -> str:
    """Return a profile in the format that was asked for, ending in a line break."""
    match form:
        case "table":
            return table(found, colour=colour)
        case "json":
            return json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n"
        case "csv":
            return _csv(Layer._fields, found.layers)
        case "markdown":
            return _markdown(found)
        case _:
            raise ValueError(f"{form} is none of {FORMATS}")


def _csv(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case tuple():
            return "x".join(map(str, value))
        case str():
            text = visible(value)
            return f"'{text}" if text.startswith(_FORMULA) else text
        case _:
            return str(value)


def _markdown(found: Profile) -> str:
    cost = found.model.cost
    parts = [
        f"# {_escaped(found.model.name)}\n",
        _grid(
            ("", "exact", ""),
            [
                ("parameters", grouped(found.params), f"{data_size(found.weights_bytes)} with buffers, {found.dtype}"),
                ("MACs", grouped(found.macs), "one example"),
                ("elementwise", grouped(found.elementwise), "one example"),
                ("FLOPs", grouped(found.flops), "2 MACs + elementwise"),
                ("peak memory, bytes", grouped(found.peak_memory_bytes), f"batch {found.batch}, {found.dtype}"),
            ],
        ),
        _grid(
            ("group", "parameters", "MACs", "elementwise"),
            [
                (name, grouped(total.params), grouped(total.macs), grouped(total.elementwise))
                for name, total in cost.by_group().items()
            ],
        ),
    ]
    if found.latencies:
        heads = ("target", "runtime", "batch", "dtype", "threads", "median", "99% interval", "stable")
        rows = [
            (
                *(f.target, f.runtime, str(f.batch), f.dtype, str(f.threads), duration(f.median_s)),
                *(between(f.interval_s), "yes" if f.stable else f"no: {f.why}"),
            )
            for f in found.latencies
        ]
        parts.append(_grid(heads, rows))
    parts.append("".join(f"- {_escaped(line)}\n" for line in [witness_line(found), *found.differences]))
    return "\n".join(parts)


def between(interval_s: tuple[float, float] | None) -> str:
    """Return an interval of seconds in words."""
    return f"{duration(interval_s[0])} to {duration(interval_s[1])}" if interval_s else "too few samples"


def witness_line(found: Profile) -> str:
    """Return in one sentence what the witnesses say."""
    match found.agree:
        case None:
            return "witnesses: left out"
        case True:
            return "witnesses: fvcore and torch agree on every node"
        case False:
            return "witnesses: DISAGREE"
        case _ as never:
            assert_never(never)


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(_escaped(cell) for cell in line)} |\n" for line in lines)


def _escaped(text: str) -> str:
    return visible(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")
