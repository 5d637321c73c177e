"""Latencies in a report: samples and blocks side by side, and their statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from archcost.latency.samples import Way
from archcost.latency.statistics import blocks, median
from archcost.latency.summary import Latency
from archcost.report.blocks import Axis, Bar, Bars, Block, Cell, Chart, Head, Row, Scatter, Series, Table
from archcost.report.json_input import Timed
from archcost.units import counted_words, duration, grouped, percent

_DRAWN: Final = 1200
"""Samples in a chart; of more, every n-th is drawn and the rest counted."""
_SPREAD: Final = 0.3  # of the way to the next measurement, to each side, over which the blocks are laid out

_HEADS: Final = (
    Head("measured"),
    Head("median", numeric=True),
    Head("blocks", numeric=True, note="smallest and largest median of the blocks"),
    Head("fastest", numeric=True),
    Head("p90", numeric=True, note="needs 44 samples"),
    Head("p99", numeric=True, note="needs 459 samples"),
    Head("samples", numeric=True),
    Head("examples/s", numeric=True),
    Head("waiting", numeric=True, note="share of the time for which threads waited for a core"),
    Head("first call", numeric=True, note="with what had to be compiled or loaded"),
    Head("export", numeric=True, note="to the runtime, before the first call"),
    Head("stable", note="why not is said below"),
)


class Named(NamedTuple):
    """A measurement and what it is called beside the others."""

    name: str
    timed: Timed


def device_lines(timed: Sequence[Timed]) -> Iterator[tuple[str, str]]:
    """Yield what a report's head says of the devices, each once, with the date and the versions measured with."""
    latencies = [one.latency for one in timed]
    for device in dict.fromkeys(f"{one.device}, fingerprint {one.fingerprint}" for one in latencies):
        yield "Device", device
    dates = sorted(one.conditions.date for one in latencies if one.conditions.date)
    if dates:
        yield "Measured", dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    versions = dict.fromkeys(pair for one in latencies for pair in one.versions)
    if versions:
        yield "Measured with", ", ".join(f"{name} {version}" for name, version in versions)
    for runtime, settings in dict.fromkeys((one.runtime, one.settings) for one in latencies if one.settings):
        yield f"Settings of {runtime}", ", ".join(f"{name} {value}" for name, value in settings)


def latency_blocks(named: Sequence[Named], key: str = "latency", caption: str = "Latency") -> Iterator[Block]:
    """Yield a chart of samples and blocks, one of throughput where batches differ, and the table with the numbers."""
    with_samples = [one for one in named if one.timed.bursts]
    if with_samples:
        yield _samples(with_samples, key)
    if len({one.timed.latency.batch for one in named}) > 1:
        yield _throughput(named, key)
    yield Table(key, caption, _HEADS, tuple(_row(one) for one in named))


def _samples(named: Sequence[Named], key: str) -> Chart:
    every = sum(len(burst) for one in named for burst in one.timed.bursts)
    step = -(-every // _DRAWN)
    dots: list[tuple[float, float]] = []
    middles: list[tuple[float | None, float | None, str]] = []
    for place, one in enumerate(named):
        joined = blocks(one.timed.bursts)
        for number, block in enumerate(joined):
            at = place + _SPREAD * (2 * (number + 0.5) / len(joined) - 1)
            dots += [(at, value) for value in block[::step]]
            words = f"block {number + 1} of {len(joined)}: median {duration(median(block))}"
            middles.append((at, median(block), f"{one.name}\n{words}, {counted_words(len(block), 'sample')}"))
        middles.append((None, None, ""))
    axis = Axis("seconds a call", "seconds", log=_wide([value for _, value in dots]))
    ticks = tuple((float(place), one.name) for place, one in enumerate(named))
    samples = Series("samples", tuple(x for x, _ in dots), tuple(y for _, y in dots), faint=True)
    medians = Series(
        "median of a block",
        tuple(x for x, _, _ in middles),
        tuple(y for _, y, _ in middles),
        texts=tuple(text for _, _, text in middles),
        mark="diamond",
        line=True,
    )
    drawn = Scatter(Axis("", ticks=ticks), axis, (samples, medians))
    words = "Each measurement has up to eight blocks, apart from each other in time, from left to right."
    if moved := _moved(named):
        words += f" {moved}"
    return Chart(f"{key}-samples", "Samples and blocks", words, drawn, key, every - len(dots))


def _moved(named: Sequence[Named]) -> str:
    rows = [one for one in named if one.timed.latency.interval_s]
    if not rows:
        return ""
    worst = max(rows, key=lambda one: _width(one.timed.latency))
    return (
        f"The blocks' medians lie furthest apart in {worst.name}: {percent(_width(worst.timed.latency))} of its median."
    )


def _width(latency: Latency) -> float:
    assert latency.interval_s is not None
    return (latency.interval_s[1] - latency.interval_s[0]) / latency.median_s


def _wide(values: Sequence[float]) -> bool:
    return max(values) > 20 * min(values)


def _throughput(named: Sequence[Named], key: str) -> Chart:
    rates = tuple(one.timed.latency.examples_per_s for one in named)
    bar = Bar(
        "examples a second", rates, tuple(f"{one.name}: {rate:.4g}/s" for one, rate in zip(named, rates, strict=True))
    )
    best = named[rates.index(max(rates))]
    words = f"Most in {best.name}: {max(rates):.4g} examples a second."
    drawn = Bars(tuple(one.name for one in named), Axis("examples a second", "count"), (bar,))
    return Chart(f"{key}-throughput", "Throughput", words, drawn, key)


def _row(one: Named) -> Row:
    found = one.timed.latency
    bounds, waiting = found.interval_s, found.contention
    return Row((
        Cell(one.name),
        Cell(duration(found.median_s), found.median_s),
        Cell(f"{duration(bounds[0])} to {duration(bounds[1])}" if bounds else "too few blocks"),
        Cell(duration(found.min_s), found.min_s),
        *(Cell(duration(value) if value else "-", value) for value in (found.p90_s, found.p99_s)),
        Cell(grouped(found.samples), found.samples),
        Cell(f"{found.examples_per_s:.4g}", found.examples_per_s),
        Cell("-" if waiting is None else percent(waiting), waiting),
        Cell(duration(found.first_s), found.first_s),
        Cell("-" if found.export_s is None else duration(found.export_s), found.export_s),
        Cell("yes" if found.stable else "no"),
    ))  # fmt: skip


def named_ways(timed: Sequence[Timed], prefix: str = "") -> Iterator[Named]:
    """Yield each measurement under what tells it from the others, the first in full where nothing does."""
    ways = [one.latency.way for one in timed]
    short = apart(ways)
    for name, one in zip(short, timed, strict=True):
        yield Named(" ".join(filter(None, [prefix, name])), one)


def apart(ways: Sequence[Way]) -> list[str]:
    """Return what tells each way from the others, in words."""
    columns = list(zip(*(way.parts for way in ways), strict=True))
    same = [all(a == b for a, b in pairwise(column)) for column in columns]
    if all(same):
        return [f"{way.target}/{way.runtime}" for way in ways]
    return [", ".join(part for part, alike in zip(way.parts, same, strict=True) if part and not alike) for way in ways]
