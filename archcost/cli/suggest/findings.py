"""Operators far below their roof, as a table with their evidence, JSON, CSV and Markdown."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from archcost.cli.models import aside
from archcost.cli.terminal import WIDTH, paint, progress, say, tail, wrapped
from archcost.errors import shorten, visible
from archcost.rows import aligned, as_csv, as_markdown
from archcost.units import counted_words, duration, grouped, percent, scaled

if TYPE_CHECKING:
    from archcost.latency.layers.times import LayerTime
    from archcost.latency.measure import Request
    from archcost.models.files import Network
    from archcost.profiling.suggest.findings import Finding
    from archcost.profiling.suggest.suggestions import Found

_EVIDENCE: Final = 3  # layers of a kind that a table shows
_COLUMNS: Final = (
    *("number", "kind", "layer", "op", "time_s", "share", "roof_share", "bound", "macs", "bytes", "above_roof_s"),
    *("title", "advice"),
)


def show_findings(read: Network, asked: Request, top: int, form: str) -> None:
    """Print which operators of a network take much time far below their roof; top: the most kinds of them."""
    from archcost.profiling.suggest.suggestions import found  # loads torch

    with aside(read):
        told = found(read, asked, progress)
    shown = told.findings[:top]
    match form:
        case "json":
            click.echo(json.dumps(told.to_dict(top), indent=1, allow_nan=False))
        case "csv":
            click.echo(as_csv(_COLUMNS, _rows(shown)), nl=False)
        case "markdown":
            texts = (["" if cell is None else str(cell) for cell in row] for row in _rows(shown))
            click.echo(as_markdown(_COLUMNS, texts), nl=False)
        case _:
            click.echo("\n".join(_table(told, shown, colour=sys.stdout.isatty())))
    if form != "table":
        for line in told.warnings:
            say(f"warning: {visible(line)}")


def _rows(shown: Sequence[Finding]) -> Iterator[tuple[object, ...]]:
    """Yield a row for each layer of each kind."""
    for number, finding in enumerate(shown, 1):
        for layer in finding.layers:
            measured = (layer.time_s, finding.share_of(layer), layer.roof_share, layer.bound)
            known = (layer.macs, layer.moved_bytes, finding.above_s(layer))
            yield number, finding.kind, layer.name, layer.op, *measured, *known, finding.title, finding.advice


def _table(told: Found, shown: Sequence[Finding], *, colour: bool) -> Iterator[str]:
    from archcost.profiling.suggest.suggestions import NO_PROMISE

    profile, times = told.profile, told.times
    yield paint(visible(shorten(profile.model.name, WIDTH)), colour, bold=True)
    yield f"  {grouped(profile.params)} parameters, {grouped(profile.macs)} MACs"
    yield f"  {duration(times.end_to_end_s)} a call, {visible(str(times.way))}"
    yield ""
    yield from _kinds(shown) if shown else wrapped("  No kind of operators takes much time far below its roof.", 4)
    yield ""
    for line in told.warnings:
        yield from wrapped(f"  note: {line}", 4)
    yield from wrapped(f"  {NO_PROMISE}", 4) if shown else ()


def _kinds(shown: Sequence[Finding]) -> Iterator[str]:
    heads = ("#  far below its roof", "time", "share", "above roof")
    rows = [
        (f"{number}  {counted_words(len(each.layers), 'layer')}: {each.title}", duration(each.time_s),
         percent(each.share), duration(each.above_roof_s))
        for number, each in enumerate(shown, 1)
    ]  # fmt: skip
    yield from (line.rstrip() for line in aligned(heads, rows).splitlines())
    for number, finding in enumerate(shown, 1):
        yield ""
        yield from wrapped(f"  {number}: {finding.advice}", 4)
        yield from _evidence(finding)


def _evidence(finding: Finding) -> Iterator[str]:
    heads = ("slowest", "time", "share", "of roof", "MACs", "bound by")
    cells = [_cells(finding, layer) for layer in finding.layers[:_EVIDENCE]]
    numbers = sum(2 + max(map(len, column)) for column in list(zip(heads, *cells, strict=True))[1:])
    cut = [(visible(tail(name, WIDTH - 5 - numbers)), *rest) for name, *rest in cells]
    yield from (line.rstrip() for line in aligned(heads, cut, indent=4).splitlines())


def _cells(finding: Finding, layer: LayerTime) -> tuple[str, ...]:
    roof = "-" if layer.roof_share is None else percent(layer.roof_share)
    macs = "-" if layer.macs is None else scaled(layer.macs)
    return layer.name, duration(layer.time_s), percent(finding.share_of(layer)), roof, macs, layer.bound or "-"
