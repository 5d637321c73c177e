"""A profile as JSON, CSV or Markdown; the table that people read has a file of its own."""

from __future__ import annotations

import json

from archcost.account import Layer
from archcost.cli.options import FORMATS
from archcost.cli.rows import as_csv, as_markdown, escaped
from archcost.cli.table import table
from archcost.describing import witness_words
from archcost.profiling import Profile
from archcost.units import data_size, duration, grouped


def printed(found: Profile, form: str, *, colour: bool) -> str:
    """Return a profile in the format that was asked for, ending in a line break."""
    match form:
        case "table":
            return table(found, colour=colour)
        case "json":
            return json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n"
        case "csv":
            rows = ((*layer, layer.intensity(found.batch)) for layer in found.layers)
            return as_csv((*Layer._fields, "intensity"), rows)
        case "markdown":
            return _markdown(found)
        case _:
            raise ValueError(f"{form} is none of {FORMATS}")


def _markdown(found: Profile) -> str:
    cost = found.model.cost
    parts = [
        f"# {escaped(found.model.name)}\n",
        as_markdown(
            ("", "exact", ""),
            [
                ("parameters", grouped(found.params), f"{data_size(found.weights_bytes)} with buffers, {found.dtype}"),
                ("MACs", grouped(found.macs), "one example"),
                ("elementwise", grouped(found.elementwise), "one example"),
                ("FLOPs", grouped(found.flops), "2 MACs + elementwise"),
                ("peak memory, bytes", grouped(found.peak_memory_bytes), f"batch {found.batch}, {found.dtype}"),
            ],
        ),
        as_markdown(
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
        parts.append(as_markdown(heads, rows))
    told = [witness_line(found), *found.differences, *found.warnings]
    parts.append("".join(f"- {escaped(line)}\n" for line in told))
    return "\n".join(parts)


def between(interval_s: tuple[float, float] | None) -> str:
    """Return an interval of seconds in words."""
    return f"{duration(interval_s[0])} to {duration(interval_s[1])}" if interval_s else "too few samples"


def witness_line(found: Profile) -> str:
    """Return in one sentence what the witnesses say."""
    return "witnesses: DISAGREE" if found.agree is False else f"witnesses: {witness_words(found)}"
