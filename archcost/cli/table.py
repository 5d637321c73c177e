"""A profile as a table of at most 80 columns, the numbers that matter first."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from textwrap import wrap

from archcost.cli.latencies import detail_lines, latency_lines
from archcost.cli.layer_times import layer_lines
from archcost.cli.terminal import LABEL, WIDTH, field, paint, tail
from archcost.errors import shorten, visible
from archcost.graph.cost import Total
from archcost.latency.remarks import refusals
from archcost.profiling.bounds import said
from archcost.profiling.result import Profile
from archcost.profiling.wording import input_words, witness_words
from archcost.units import data_size, grouped, percent, scaled

_MOST_GROUPS = 60
_GROUP = 30  # columns of a group's name


def table(found: Profile, *, colour: bool, depth: int | None = None, verbose: bool = False) -> str:
    """Return the whole table; colour: with terminal colours, unless NO_COLOR is set; depth: of the names of groups.

    verbose: with all that is known of each latency.
    """
    lines = [
        *_head(found, colour),
        "",
        *latency_lines(found, colour=colour),
        *_totals(found),
        "",
        *_groups(found, depth, colour),
        *_columns(found),
        *layer_lines(found, depth, colour=colour),
        "",
        *_witnesses(found, colour),
        *(detail_lines(found, colour=colour) if verbose else ()),
        *_notes(found),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(found: Profile, colour: bool) -> Iterator[str]:
    yield paint(visible(shorten(found.model.name, WIDTH)), colour, bold=True)
    yield from wrap(f"{found.model.family}, input {input_words(found)}, digest {found.model.digest[:12]}", WIDTH)


def _totals(found: Profile) -> Iterator[str]:
    dtype, batch, least = found.dtype, found.batch, bool(found.uncounted)
    rows = [
        ("parameters", grouped(found.params), f"{data_size(found.weights_bytes)} with buffers, {dtype}"),
        ("MACs", said(grouped(found.macs), least), f"{_short(found.macs, least)}in convolutions and matrix products"),
        ("elementwise", said(grouped(found.elementwise), least),
         f"{_short(found.elementwise, least)}norms, activations, joins, pools, ..."),
        ("FLOPs", said(grouped(found.flops), least), f"{scaled(found.flops)} = 2 MACs + elementwise"),
    ]  # fmt: skip
    width = max(len(value) for _, value, _ in rows)
    for label, value, words in rows:
        yield f"  {label:<{LABEL - 2}}{value:>{width}}  {words}"
    peak, written = data_size(found.peak_memory_bytes), data_size(found.activation_bytes)
    yield from field("memory", f"{peak} at the peak, {written} written a pass, batch {batch}, {dtype}")
    yield from _training(found)
    yield from _owned(found)


def _short(value: int, least: bool) -> str:
    return "" if least else f"{scaled(value)}; "  # no room for both


def _training(found: Profile) -> Iterator[str]:
    step, why, _ = found.account.trained
    if step is None:
        yield from field("training", visible(shorten(f"not counted: {why}", 200)))
        return
    kept = "" if step.saved_bytes is None else f", {data_size(step.saved_bytes)} saved for backward"
    peak = "" if step.peak_bytes is None else f", {data_size(step.peak_bytes)} peak"
    macs = said(f"{scaled(step.macs)} MACs", bool(found.uncounted))
    yield from field("training", f"{macs} a step{kept}{peak}")


def _owned(found: Profile) -> Iterator[str]:
    """Yield what is to be told apart among a module's parameters, where there is anything."""
    if (weights := found.model.weights) is None:
        return
    kinds = ("frozen", "shared", "tied", "lazy", "unread")
    told = [f"{grouped(getattr(weights, kind))} {kind}" for kind in kinds if getattr(weights, kind)]
    if told:
        yield from field("of them", f"{', '.join(told)} of the parameters; {grouped(weights.buffers)} in buffers")
    if weights.kept:
        names = ", ".join(map(visible, list(weights.kept)[:3])) + (", ..." if len(weights.kept) > 3 else "")
        size = data_size(sum(weights.kept.values()))
        yield from field("kept", shorten(f"{size} that the call reads from plain attributes: {names}", 200))


def _groups(found: Profile, depth: int | None, colour: bool) -> Iterator[str]:
    totals = found.groups(depth)
    shown = dict(list(totals.items())[:_MOST_GROUPS])
    names = {name: visible(tail(name, _GROUP)) for name in shown}
    width = max(8, *map(len, names.values())) if names else 8
    macs = "least MACs" if found.uncounted else "MACs"
    yield f"  {'group':<{width}}  {'params':>10} {'share':>6}  {macs:>10} {'share':>6}"
    for name, total in shown.items():
        yield f"  {names[name]:<{width}}  {_shares(found, total, colour, WIDTH - width - 42)}"
    if len(totals) > len(shown):
        yield f"  ... and {len(totals) - len(shown)} groups more; --depth N shows larger ones, --format json all layers"


def _shares(found: Profile, total: Total, colour: bool, room: int) -> str:
    params, macs = total.params / max(found.params, 1), total.macs / max(found.macs, 1)
    bar = paint(_bar() * round(macs * min(24, room)), colour, fg="cyan")
    return f"{scaled(total.params):>10} {percent(params):>6}  {scaled(total.macs):>10} {percent(macs):>6}  {bar}"


def _bar() -> str:
    return "#" if (sys.stdout.encoding or "").lower() not in ("utf-8", "utf8") else "\u25a0"


def _columns(found: Profile) -> Iterator[str]:
    columns = found.columns
    if len(columns) < 2:
        return
    yield ""
    yield f"  {'column alone':<14}{'depth':>7}  {'params':>14}  {'MACs':>16}"
    for column in columns:
        yield f"  {column.column:<14}{column.depth:>7}  {grouped(column.params):>14}  {grouped(column.macs):>16}"


def _witnesses(found: Profile, colour: bool) -> Iterator[str]:
    if found.coverage < 1:
        share = percent(found.coverage)
        yield from field("coverage", f"{share} of the operators' calls have a count, see the note")
    if found.agree is False:
        yield from field("witnesses", paint("DISAGREE with the counts:", colour, fg="red"))
        for line in found.differences[:10]:
            yield from field("", line)
        if len(found.differences) > 10:
            yield from field("", f"... and {len(found.differences) - 10} differences more; --format json has all")
    else:
        yield from field("witnesses", witness_words(found).replace("agree", paint("agree", colour, fg="green"), 1))


def _notes(found: Profile) -> Iterator[str]:
    for label, lines in (("note", found.notes), ("failed", refusals(found.failures))):
        for line in lines:
            yield from field(label, visible(shorten(line, 600)))
