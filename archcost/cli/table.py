"""A profile as a table for people: at most 80 columns, the numbers that matter first, exact ones in full."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

import click

from archcost.cost import Total
from archcost.describing import input_words, witness_words
from archcost.errors import shorten, visible
from archcost.measured import Latency
from archcost.profiling import Profile
from archcost.read import Model
from archcost.units import data_size, duration, grouped, percent, scaled

WIDTH = 80
_MOST_GROUPS = 30
_LABEL = 14  # where a line's content begins


def table(found: Profile, *, colour: bool) -> str:
    """Return the whole table; `colour`: with terminal colours, unless NO_COLOR is set."""
    lines = [
        *_head(found, colour),
        "",
        *_totals(found),
        "",
        *_groups(found, colour),
        *_columns(found),
        "",
        *_witnesses(found, colour),
        *(line for latency in found.latencies for line in _latency(latency, colour)),
        *_notes(found),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _paint(text: str, enabled: bool, **style: object) -> str:
    return click.style(text, **style) if enabled else text  # type: ignore[arg-type]  # style's own keywords


def _head(found: Profile, colour: bool) -> Iterator[str]:
    yield _paint(visible(shorten(found.model.name, WIDTH)), colour, bold=True)
    yield from wrap(f"{found.model.family}, input {input_words(found)}, digest {found.model.digest[:12]}", WIDTH)


def _totals(found: Profile) -> Iterator[str]:
    dtype, batch = found.dtype, found.batch
    rows = [
        ("parameters", found.params, f"{data_size(found.weights_bytes)} with buffers, {dtype}"),
        ("MACs", found.macs, f"{scaled(found.macs)}; in convolutions and matrix products"),
        ("elementwise", found.elementwise, f"{scaled(found.elementwise)}; norms, activations, joins, pools, ..."),
        ("FLOPs", found.flops, f"{scaled(found.flops)} = 2 MACs + elementwise"),
    ]
    width = max(len(grouped(value)) for _, value, _ in rows)
    for label, value, words in rows:
        yield f"  {label:<{_LABEL - 2}}{grouped(value):>{width}}  {words}"
    peak, written = data_size(found.peak_memory_bytes), data_size(found.activation_bytes)
    yield f"  {'memory':<{_LABEL - 2}}{peak} at the peak, {written} written a pass, batch {batch}, {dtype}"
    yield from _training(found)
    yield from _owned(found)


def _training(found: Profile) -> Iterator[str]:
    step, why, _ = found.account.trained
    if step is None:
        yield from _field("training", visible(shorten(f"not counted: {why}", 200)))
        return
    kept = "" if step.saved_bytes is None else f", {data_size(step.saved_bytes)} saved for backward"
    peak = "" if step.peak_bytes is None else f", {data_size(step.peak_bytes)} peak"
    yield from _field("training", f"{scaled(step.macs)} MACs a step{kept}{peak}")


def _owned(found: Profile) -> Iterator[str]:
    """Yield what is to be told apart among a module's parameters, where there is anything."""
    if isinstance(found.model, Model):
        return
    weights = found.model.weights
    kinds = ("frozen", "shared", "tied", "lazy", "unread")
    told = [f"{grouped(getattr(weights, kind))} {kind}" for kind in kinds if getattr(weights, kind)]
    if told:
        yield from _field("of them", f"{', '.join(told)} of the parameters; {grouped(weights.buffers)} in buffers")


def _groups(found: Profile, colour: bool) -> Iterator[str]:
    totals = found.model.cost.by_group()
    shown = dict(list(totals.items())[:_MOST_GROUPS])
    name_width = max([8, *(len(visible(shorten(name, 24))) for name in shown)])
    yield f"  {'group':<{name_width}}  {'params':>10} {'share':>6}  {'MACs':>10} {'share':>6}"
    for name, total in shown.items():
        yield f"  {visible(shorten(name, 24)):<{name_width}}  {_shares(found, total, colour)}"
    if len(totals) > len(shown):
        yield f"  ... and {len(totals) - len(shown)} groups more; --format json has all"


def _shares(found: Profile, total: Total, colour: bool) -> str:
    params, macs = total.params / max(found.params, 1), total.macs / max(found.macs, 1)
    bar = _paint(_bar() * round(macs * 24), colour, fg="cyan")
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
        yield from _field("coverage", f"{share} of the operators' calls have a count, see the note")
    if found.agree is False:
        yield from _field("witnesses", _paint("DISAGREE with the counts:", colour, fg="red"))
        for line in found.differences[:10]:
            yield from _field("", line)
        if len(found.differences) > 10:
            yield from _field("", f"... and {len(found.differences) - 10} differences more; --format json has all")
    else:
        yield from _field("witnesses", witness_words(found).replace("agree", _paint("agree", colour, fg="green"), 1))


def _latency(latency: Latency, colour: bool) -> Iterator[str]:
    place = f"{latency.target}/{latency.runtime}, batch {latency.batch}, {latency.dtype}, {latency.threads} threads"
    yield from _field("latency", f"{_paint(duration(latency.median_s), colour, bold=True)}  {place}")
    details = [f"fastest {duration(latency.min_s)}"]
    if latency.interval_s:
        low, high = (duration(value) for value in latency.interval_s)
        details.insert(0, f"99% interval of the median {low} to {high}")
    if latency.p90_s is not None:
        details.append(f"p90 {duration(latency.p90_s)}")
    yield from _field("", ", ".join(details))
    how = f"{latency.samples} samples after {latency.warmup} warm-up calls, {latency.examples_per_s:.4g} examples/s"
    yield from _field("", how)
    stable = _paint("stable", colour, fg="green") if latency.stable else _paint("not stable", colour, fg="yellow")
    yield from _field("", f"{stable}{': ' + latency.why if latency.why else ''}; on {visible(latency.device)}")


def _notes(found: Profile) -> Iterator[str]:
    told = [line for line in found.warnings if ": not stable: " not in line]  # the latency's own lines say so
    for label, lines in (("note", told), ("failed", found.failures)):
        for line in lines:
            yield from _field(label, visible(shorten(line, 600)))


def _field(label: str, text: str) -> Iterator[str]:
    """Yield a labelled text, wrapped behind its label."""
    lines: Sequence[str] = wrap(text, WIDTH - _LABEL, break_on_hyphens=False) if len(text) > WIDTH - _LABEL else [text]
    yield from _beside(label, lines)


def _beside(label: str, lines: Iterable[str]) -> Iterator[str]:
    for i, line in enumerate(lines):
        yield f"  {label if i == 0 else '':<{_LABEL - 2}}{line}"
