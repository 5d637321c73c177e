"""archcost compare: networks side by side, each against the first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from string import ascii_uppercase
from textwrap import wrap
from typing import TYPE_CHECKING, Final

import click

from archcost.cli.compare import layer_times
from archcost.cli.options import FORMATS, Reading, Shown, coded, debugged, deep, formatted, gathered, measured
from archcost.cli.pages import Said, a_file, write_page
from archcost.cli.terminal import progress, say, tail
from archcost.errors import InputError, Mistake, TargetError, shorten, visible
from archcost.profiling.bounds import against, said
from archcost.rows import aligned, as_csv, as_markdown, escaped
from archcost.units import counted_words, data_size, duration, grouped, scaled

if TYPE_CHECKING:
    from archcost.latency.measure import Request
    from archcost.latency.summary import Latency
    from archcost.profiling.compare import Against, Comparison, Quantity, Timed

_WIDTH: Final = 80
_EXACT: Final = 17  # digits and commas up to which a count is shown in full: four columns of them fit
_POOLED: Final = "those are by stage and operator below, each by itself in --format csv, --json"
_LEAST: Final = {(False, False): "", (True, False): "first", (False, True): "other", (True, True): "both"}
_LABELS: Final = {
    "params": "parameters",
    "macs": "MACs",
    "elementwise": "elementwise",
    "flops": "FLOPs",
    "weights_bytes": "weights",
    "activation_bytes": "written",
    "peak_memory_bytes": "peak memory",
}
_CSV: Final = (
    *("number", "first", "other", "layer", "where", "quantity", "value_first", "value_other", "ratio"),
    "at_least",  # which of the two values is a lower bound
    *("low_s", "high_s"),  # the 99% interval of a layer's difference
)


@click.command(cls=Said)
@click.argument("models", nargs=-1, required=True, metavar="MODEL MODEL ...")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of all (repeatable).")
@coded
@measured
@click.option("--layers", is_flag=True, help="Also print the layers, matched by name, and time them.")
@deep
@formatted
@click.option(
    "--html", type=click.Path(dir_okay=False), callback=a_file, help="Also write a page with the same numbers."
)
@debugged
@gathered("shown", lambda: Shown)
def compare(models: tuple[str, ...], reading: Reading, asked: Request, shown: Shown, html: str | None) -> None:
    """Compare networks: totals, layers and latency of each against the first.

    Each MODEL is a YAML file, - for standard input, a network that ships, an ONNX or pt2 file, or
    package.module:callable, which --input is for; its arguments may follow: "mynet:Net(width=0.5)"
    "mynet:Net(width=1.0)". --json has the counts of layers always; --depth N prints groups of them. --layers times
    them too, by turns and in as much time again, and names those that account for a difference.
    """
    # imported when the command runs: they load pydantic, and torch where something is measured
    from archcost.cli.models import aside, read_all
    from archcost.profiling.compare import compared

    if len(models) < 2:
        raise InputError(Mistake("given 1 network; allowed: two or more to compare"))
    read = read_all(models, reading)
    with aside(*read):
        found = compared(read, replace(asked, witness=False, layer_times=shown.layers), progress)
    click.echo(_printed(found, shown), nl=False)
    if html:
        write_page(html, found.to_dict())
    if shown.form != "table":
        for line in found.warnings:
            say(f"warning: {visible(line)}")
    if found.failures:
        raise TargetError("\n".join(visible(str(failure)) for failure in found.failures))


def _printed(found: Comparison, shown: Shown) -> str:
    from archcost.profiling.compare import at_depth

    if shown.form == "json":
        return json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n"
    listed = "layers" if shown.layers else ""
    if shown.depth is not None:
        listed, found = "groups", at_depth(found, shown.depth)
    match shown.form:
        case "table":
            return _table(found, listed)
        case "csv":
            return as_csv(_CSV, _csv_rows(found, listed))
        case "markdown":
            return _markdown(found, listed)
        case _:
            raise ValueError(f"{shown.form} is none of {FORMATS}")


def _letter(position: int) -> str:
    """Return what stands for a network in heads: A to Z, then their numbers."""
    return ascii_uppercase[position] if position < len(ascii_uppercase) else f"N{position + 1}"


def _table(found: Comparison, listed: str) -> str:
    """Return the table; listed: "layers", "groups", or nothing, of which the table has a line alone."""
    parts = [_legend(found), *(_pair(number, pair, listed) for number, pair in enumerate(found.against, start=1))]
    if notes := _notes(found, [_letter(position) for position in range(len(found.profiles))]):
        parts.append("\n".join(_wrapped(f"note: {line}", 0, 6) for line in notes) + "\n")
    return "\n".join(parts)


def _notes(found: Comparison, names: Sequence[str]) -> list[str]:
    """Return what limits the comparison, doubts and failures each once with the networks and ways they are about."""
    from archcost.latency.remarks import refusals, remarks

    told = remarks(zip(names, (profile.latencies for profile in found.profiles), strict=True))
    layers = found.layers_doubted(names)
    return [*found.notes, *map(str, told), *layers, *(f"not measured: {line}" for line in refusals(found.failures))]


def _legend(found: Comparison) -> str:
    lines = []
    for position, profile in enumerate(found.profiles):
        name = visible(shorten(profile.model.name, 120))
        lines.append(f"{_letter(position)}  {name}, {profile.model.family}, digest {profile.model.digest[:12]}")
    memory = {f"batch {profile.batch}, {profile.dtype}" for profile in found.profiles}
    lines.append(f"counts of one example; bytes at {' and '.join(sorted(memory))}")
    return "".join(_wrapped(line, 0, 3) + "\n" for line in lines)


def _pair(number: int, pair: Against, listed: str) -> str:
    a, b = _letter(0), _letter(number)
    heads = (f"{b} against {a}", a, b, "difference", "ratio")
    shown, pools = _screenful(pair, listed)
    words = _layer_words(a, b, pair, listed or "layers")
    parts = [
        aligned(heads, list(_total_rows(pair)), indent=0),
        "".join(line + "\n" for timed in pair.latencies for line in _timed_lines(a, b, timed)),
        "".join(line + "\n" for each in shown.layer_times or () for line in layer_times.lines(a, b, each, pools)),
        _wrapped(f"{words}; {_POOLED}" if shown is not pair else words, 0, 13) + "\n",
        _layer_table(a, b, shown) if listed else "",
    ]
    return "".join(parts)


def _screenful(pair: Against, listed: str) -> tuple[Against, str]:
    """Return a pair whose layers of few common names are pooled, and what it then lists; groups are as asked for."""
    from archcost.profiling.layers.pools import pooled

    shown = pooled(pair) if listed == "layers" else None
    return (pair, listed) if shown is None else (shown, "groups")


def _total_rows(pair: Against) -> Iterator[tuple[str, ...]]:
    for quantity in pair.totals:
        ratio = _times(quantity.ratio)
        yield _LABELS[quantity.name], *_values(quantity), ratio if ratio == "-" else against(ratio, *quantity.least)


def _values(quantity: Quantity) -> tuple[str, str, str]:
    """Return both values and their signed difference, as every form shows them."""
    of = data_size if quantity.name.endswith("_bytes") else _short if any(quantity.least) else _count
    sign = "+" if quantity.difference > 0 else ""
    first, other = (
        said(of(value), least) for value, least in zip((quantity.first, quantity.other), quantity.least, strict=True)
    )
    return first, other, against(sign + of(quantity.difference), *quantity.least)


def _count(value: int) -> str:
    return grouped(value) if len(grouped(value)) <= _EXACT else _short(value)


def _short(value: int) -> str:
    return scaled(value) if abs(value) < 10**21 else f"{value:.1e}"  # beyond the largest prefix


def _times(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio:.2f}" if 0.1 <= ratio < 1000 else f"{ratio:.3g}"


def _timed_lines(a: str, b: str, timed: Timed) -> Iterator[str]:
    yield f"latency      {_where(timed.first)}"
    pair = zip((a, b), (timed.first, timed.other), timed.medians_s, timed.intervals_s, strict=True)
    for letter, latency, median_s, bounds in pair:
        doubts = "" if latency.stable else "; not stable"
        yield _wrapped(f"  {letter:<11}{duration(median_s)}, {_interval(latency, bounds)}{doubts}", 0, 13)
    yield _wrapped(f"  {b + '/' + a:<11}{timed.ratio:.3f}, {_verdict(b, timed)}", 0, 13)


def _interval(latency: Latency, bounds: tuple[float, float] | None) -> str:
    if bounds is None:
        return f"{latency.blocks} blocks are too few for an interval"
    low, high = bounds
    return f"blocks {duration(low)} to {duration(high)}"


def _verdict(b: str, timed: Timed) -> str:
    if timed.paired.interval is None:
        return f"cannot tell, {counted_words(timed.paired.rounds, 'round')} of turns: too few"
    low, high = timed.paired.interval
    where = f"99% interval {low:.3f} to {high:.3f}"
    if timed.differ is None:
        who = (
            "each, in another way"
            if all(timed.one_sided)
            else f"{b} alone"
            if timed.one_sided[1]
            else "the first alone"
        )
        return f"{where}: cannot tell, as what makes it unstable touches {who}"
    if not timed.differ:
        return f"{where}: no detectable difference"
    return f"{where}: {b} is {'faster' if timed.ratio < 1 else 'slower'}"


def _where(latency: Latency) -> str:
    return f"{latency.way}, by turns"


def _layer_words(a: str, b: str, pair: Against, listed: str) -> str:
    changed = sum(not layer.same for layer in pair.layers)
    match = f"{len(pair.layers)} of the same name, {changed} of them with other counts"
    return f"{listed:<13}{match}; {len(pair.only_first)} only in {a}, {len(pair.only_other)} only in {b}"


def _layer_table(a: str, b: str, pair: Against) -> str:
    """Return the layers that have parameters or MACs; what only one network has follows in its own order."""
    rows = [
        (visible(layer.name), *_signed(layer.params), *_signed(layer.macs))
        for layer in pair.layers
        if any((*layer.params[1:3], *layer.macs[1:3]))
    ]
    for layer in pair.only_first:
        if layer.params or layer.macs:
            rows.append((visible(layer.name), _short(layer.params), "-", "-", _short(layer.macs), "-", "-"))
    for layer in pair.only_other:
        if layer.params or layer.macs:
            rows.append((visible(layer.name), "-", _short(layer.params), "-", "-", _short(layer.macs), "-"))
    heads = ("", f"params {a}", b, f"{b} - {a}", f"MACs {a}", b, f"{b} - {a}")
    numbers = sum(2 + max(map(len, column)) for column in list(zip(heads, *rows, strict=True))[1:])
    cut = [(tail(row[0], _WIDTH - 1 - numbers), *row[1:]) for row in rows]
    return aligned(heads, cut, indent=0)


def _signed(quantity: Quantity) -> tuple[str, str, str]:
    sign = "+" if quantity.difference > 0 else ""
    return _short(quantity.first), _short(quantity.other), sign + _short(quantity.difference)


def _wrapped(text: str, first: int, others: int) -> str:
    lines = wrap(visible(text), _WIDTH - 1, initial_indent=" " * first, subsequent_indent=" " * others)
    return "\n".join(lines)


def _csv_rows(found: Comparison, listed: str) -> Iterator[tuple[object, ...]]:
    first = found.profiles[0].model.name
    for number, pair in enumerate(found.against, start=2):
        names = (number, first, found.profiles[number - 1].model.name)
        for q in pair.totals:
            yield *names, "", "", q.name, q.first, q.other, q.ratio, _LEAST[q.least], None, None
        for timed in pair.latencies:
            yield *names, "", _where(timed.first), "median_s", *timed.medians_s, timed.ratio, "", None, None
        for layer, *rest in _layer_rows(pair) if listed else ():
            yield *names, layer, "", *rest, "", None, None
        for each in pair.layer_times or ():
            yield from ((*names, *row) for row in layer_times.csv_rows(each))


def _layer_rows(pair: Against) -> Iterator[tuple[str, str, int | None, int | None, float | None]]:
    """Yield layer, quantity, both values, None if a network has no such layer, and their ratio."""
    for matched in pair.layers:
        for q in (matched.params, matched.macs):
            yield matched.name, q.name, q.first, q.other, q.ratio
    for alone in pair.only_first:
        yield alone.name, "params", alone.params, None, None
        yield alone.name, "macs", alone.macs, None, None
    for alone in pair.only_other:
        yield alone.name, "params", None, alone.params, None
        yield alone.name, "macs", None, alone.macs, None


def _markdown(found: Comparison, listed: str) -> str:
    first = found.profiles[0].model.name
    parts = []
    for profile, pair in zip(found.profiles[1:], found.against, strict=True):
        heads = ("", first, profile.model.name, "difference", "ratio")
        parts.append(as_markdown(heads, _total_rows(pair)))
        parts += [as_markdown(("latency", *heads[1:3], "ratio", ""), _markdown_times(pair))] if pair.latencies else []
        for each in pair.layer_times or ():
            columns = (f"layer times, {each.way}", *heads[1:4], "of it", "99% interval")
            parts.append(as_markdown(columns, layer_times.rows(each, listed)))
        parts += [as_markdown((listed[:-1], *heads[1:3], "ratio"), _markdown_layers(pair))] if listed else []
    if notes := _notes(found, [profile.model.name for profile in found.profiles]):
        parts.append("".join(f"- {escaped(line)}\n" for line in notes))
    return "\n".join(parts)


def _markdown_times(pair: Against) -> Iterator[tuple[str, ...]]:
    for timed in pair.latencies:
        both = zip((timed.first, timed.other), timed.medians_s, timed.intervals_s, strict=True)
        cells = [f"{duration(median_s)} ({_interval(each, bounds)})" for each, median_s, bounds in both]
        yield _where(timed.first), *cells, _times(timed.ratio), _verdict("the second", timed)


def _markdown_layers(pair: Against) -> Iterator[tuple[str, ...]]:
    for layer, quantity, first, other, ratio in _layer_rows(pair):
        values = ("-" if value is None else grouped(value) for value in (first, other))
        yield f"{layer} {quantity}", *values, _times(ratio)
