"""The latencies of a profile as lines: one for each, and each in full if asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Final

from archcost.cli.terminal import WIDTH, field, paint
from archcost.errors import shorten, visible
from archcost.latency.doubts import brief
from archcost.latency.remarks import names, remarks
from archcost.latency.summary import Latency, summarise
from archcost.profiling.result import Profile
from archcost.rows import aligned
from archcost.units import counted_words, duration, percent

_WHY: Final = 30  # columns from which on a line has room for why it is not stable


def latency_lines(found: Profile, *, colour: bool) -> Iterator[str]:
    """Yield a line for each way in which a network was measured, whole and step by step: the number, and how sure."""
    for label, latencies in _lists(found):
        yield from _table(label, latencies, colour)
        yield ""


def detail_lines(found: Profile, *, colour: bool) -> Iterator[str]:
    """Yield all that is known of each latency, whole and step by step."""
    for label, latencies in _lists(found):
        for latency in latencies:
            yield from _one(label, latency, colour)


def _lists(found: Profile) -> Iterator[tuple[str, tuple[Latency, ...]]]:
    steps = tuple(map(summarise, found.streaming))
    yield from ((label, each) for label, each in (("latency", found.latencies), ("one step", steps)) if each)


def _table(label: str, latencies: Sequence[Latency], colour: bool) -> Iterator[str]:
    """Yield a row for each, below them what all have in common, and where a row has no room, why it is not stable."""
    columns = [*zip(*map(_parts, latencies), strict=True)]
    apart = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    heads = (label, *(("batch", "dtype", "thr", "caches")[place] for place in apart), "median", "blocks")
    rows = [
        (_name(latency), *(columns[place][row] for place in apart), duration(latency.median_s), _blocks(latency))
        for row, latency in enumerate(latencies)
    ]
    first, *lines = aligned(heads, rows).splitlines()
    room = WIDTH - 2 - max(map(len, lines))
    yield first
    for line, latency in zip(lines, latencies, strict=True):
        yield f"{line.ljust(WIDTH - 2 - room)}  {_state(latency, room, colour)}"
    yield from (f"  {line}" for line in wrap("; ".join(_common(latencies, apart)), WIDTH - 2, break_on_hyphens=False))
    if room < _WHY:
        yield from _below(latencies, colour)
    yield from _best(latencies)


def _parts(latency: Latency) -> tuple[str, ...]:
    cold = "emptied" if latency.cold_cache else ""
    return str(latency.batch), latency.dtype, str(latency.threads), cold


def _name(latency: Latency) -> str:
    return f"{shorten(latency.target, 20)}/{latency.runtime}"


def _blocks(latency: Latency) -> str:
    return "-" if latency.interval_s is None else _between(*latency.interval_s)


def _between(low_s: float, high_s: float) -> str:
    low, high = duration(low_s), duration(high_s)
    number, _, unit = low.partition(" ")
    return f"{number}-{high}" if high.endswith(f" {unit}") else f"{low}-{high}"


def _state(latency: Latency, room: int, colour: bool) -> str:
    """Return whether a latency is stable, and why not if there is room for a few words."""
    if latency.stable:
        return paint("stable", colour, fg="green")
    state = paint("not stable", colour, fg="yellow")
    return state if room < _WHY else f"{state}: {_why(latency, room - len('not stable: '))}"


def _why(latency: Latency, room: int) -> str:
    """Return as many doubts in a few words as there is room for, and how many there are besides."""
    told = [brief(doubt) for doubt in latency.doubts]
    for count in range(len(told), 0, -1):
        left = len(told) - count
        words = ", ".join(told[:count]) + (f" and {counted_words(left, 'doubt')} more" if left else "")
        if len(words) <= room:
            return words
    return told[0][:room]


def _common(latencies: Sequence[Latency], apart: Sequence[int]) -> Iterator[str]:
    """Yield what the rows have in common: how they were measured, on what; and what exports took, apart from them."""
    shared = [part for place, part in enumerate(latencies[0].way.parts[1:]) if place not in apart and part]
    yield from filter(None, [", ".join(shared)])
    yield from (f"on {visible(device)}" for device in dict.fromkeys(latency.device for latency in latencies))
    exports = [latency.export_s for latency in latencies if latency.export_s is not None]
    if exports:
        yield f"export {duration(exports[0])}" if len(exports) == 1 else f"exports {_each(exports)}"


def _each(spans_s: Sequence[float]) -> str:
    return f"{duration(min(spans_s))} to {duration(max(spans_s))}"


def _below(latencies: Sequence[Latency], colour: bool) -> Iterator[str]:
    for remark in remarks((("", latencies),)):
        words = visible(str(remark)).replace("not stable", paint("not stable", colour, fg="yellow"), 1)
        yield from field("", f"* {words}")


def _best(latencies: Sequence[Latency]) -> Iterator[str]:
    if len({latency.batch for latency in latencies}) > 1:
        told = zip(names([latency.way for latency in latencies]), latencies, strict=True)
        name, best = max(told, key=lambda row: row[1].examples_per_s)
        sure = "" if all(latency.stable for latency in latencies) else "; not sure, some rows are not stable"
        yield from field("", f"most examples per second: {best.examples_per_s:.4g}, at {visible(name)}{sure}")


def _one(label: str, latency: Latency, colour: bool) -> Iterator[str]:
    yield from field(label, f"{paint(duration(latency.median_s), colour, bold=True)}  {visible(str(latency.way))}")
    details = [f"fastest {duration(latency.min_s)}"]
    if latency.interval_s:
        low, high = (duration(value) for value in latency.interval_s)
        details.insert(0, f"blocks {low} to {high}")
    details += [f"{name} {duration(value)}" for name, value in _percentiles(latency) if value is not None]
    yield from field("", ", ".join(details))
    how = f"{counted_words(latency.samples, 'sample')} in {counted_words(latency.blocks, 'block')}"
    export = "" if latency.export_s is None else f", export {duration(latency.export_s)}"
    first = f"first call {duration(latency.first_s)}{export}"
    yield from field("", f"{how}, {latency.examples_per_s:.4g} examples/s; {first}")
    if latency.relative is not None and latency.machine_speed is not None:
        speed = percent(latency.machine_speed)
        yield from field("", f"{latency.relative:.4g} calibration kernels; the machine at {speed} of its best speed")
    yield from field("", "stable" if latency.stable else f"not stable: {latency.why}")
    for pairs in (latency.settings, latency.versions):
        if pairs:
            yield from field("", ", ".join(f"{visible(name)} {visible(value)}" for name, value in pairs))


def _percentiles(latency: Latency) -> tuple[tuple[str, float | None], ...]:
    return ("p90", latency.p90_s), ("p99", latency.p99_s)
