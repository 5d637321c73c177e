"""A profile as JSON, CSV or Markdown; the table that people read has a file of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence

from archcost.cli.layer_times import layer_csv, layer_markdown
from archcost.cli.options import FORMATS, Shown
from archcost.cli.table import table
from archcost.graph.account import Layer
from archcost.latency.remarks import refusals
from archcost.latency.summary import Latency, summarise
from archcost.profiling.bounds import said
from archcost.profiling.result import Profile
from archcost.profiling.wording import doubts, witness_words
from archcost.rows import as_csv, as_markdown, escaped
from archcost.units import data_size, duration, grouped


def printed(found: Profile, shown: Shown, *, colour: bool) -> str:
    """Return a profile in the format that was asked for, ending in a line break."""
    match shown.form:
        case "table":
            return table(found, colour=colour, depth=shown.depth, verbose=shown.verbose)
        case "json":
            return json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n"
        case "csv" if found.layer_times is not None:
            return layer_csv(found)
        case "csv":
            rows = ((*layer, layer.intensity(found.batch)) for layer in found.layers)
            return as_csv((*Layer._fields, "intensity"), rows)
        case "markdown":
            return _markdown(found, shown.depth)
        case form:
            raise ValueError(f"{form} is none of {FORMATS}")


def _markdown(found: Profile, depth: int | None) -> str:
    least = bool(found.uncounted)
    parts = [
        f"# {escaped(found.model.name)}\n",
        as_markdown(
            ("", "exact", ""),
            [
                ("parameters", grouped(found.params), f"{data_size(found.weights_bytes)} with buffers, {found.dtype}"),
                ("MACs", said(grouped(found.macs), least), "one example"),
                ("elementwise", said(grouped(found.elementwise), least), "one example"),
                ("FLOPs", said(grouped(found.flops), least), "2 MACs + elementwise"),
                ("peak memory, bytes", grouped(found.peak_memory_bytes), f"batch {found.batch}, {found.dtype}"),
            ],
        ),
        as_markdown(
            ("group", "parameters", *(f"{head}{', at least' * least}" for head in ("MACs", "elementwise"))),
            [
                (name, grouped(total.params), grouped(total.macs), grouped(total.elementwise))
                for name, total in found.groups(depth).items()
            ],
        ),
    ]
    steps = tuple(map(summarise, found.streaming))
    parts += [_latencies(*each) for each in (("target", found.latencies), ("one step, target", steps)) if each[1]]
    parts += layer_markdown(found, depth)
    failed = [f"not measured: {line}" for line in refusals(found.failures)]
    layers = [f"layers of {times.way} not stable: {times.why}" for times in found.layer_times or () if times.why]
    told = [witness_line(found), *found.differences, *found.notes, *doubts(found), *layers, *failed]
    parts.append("".join(f"- {escaped(line)}\n" for line in told))
    return "\n".join(parts)


def _latencies(label: str, latencies: Sequence[Latency]) -> str:
    heads = (label, "runtime", "batch", "dtype", "threads", "median", "blocks", "stable")
    rows = [
        (
            *(f.target, f.runtime, str(f.batch), f.dtype, str(f.threads), duration(f.median_s)),
            *(between(f.interval_s), "yes" if f.stable else "no"),
        )
        for f in latencies
    ]
    return as_markdown(heads, rows)


def between(interval_s: tuple[float, float] | None) -> str:
    """Return the range of the blocks' medians in words."""
    return f"{duration(interval_s[0])} to {duration(interval_s[1])}" if interval_s else "too few blocks"


def witness_line(found: Profile) -> str:
    """Return in one sentence what the witnesses say."""
    return "witnesses: DISAGREE" if found.agree is False else f"witnesses: {witness_words(found)}"
