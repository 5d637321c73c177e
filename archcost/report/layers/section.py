"""A section for each way in which layers were timed: what adds up, tables, a roofline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from archcost.latency.layers.times import LayerTime, LayerTimes
from archcost.latency.roofline.roof import FLOPS_PER_MAC
from archcost.profiling.layers.sums import Sum, columns_of, sums, tree, wholes
from archcost.report.blocks import MOST_ROWS, Block, Cell, Chart, Facts, Head, Lines, Row, Section, Table, Text
from archcost.report.json_input import Profiled
from archcost.report.layers.views import names
from archcost.report.roofline import Point, roofline_chart
from archcost.units import counted_words, data_size, duration, grouped, percent, scaled

_SLOWEST: Final = 10
_SHORT: Final = 12  # layers up to which the slowest are no table of their own
_SUM_HEADS: Final = (
    Head("layers", numeric=True),
    Head("time", numeric=True, note="without dispatch"),
    Head("share", numeric=True, note="of the whole call"),
    Head("MACs", numeric=True, note="multiply-accumulates of one example"),
    Head("share of MACs", numeric=True),
)
_HEADS: Final = (
    Head("layer"),
    Head("time", numeric=True, note="without dispatch"),
    Head("share", numeric=True, note="of the whole call"),
    Head("+-", numeric=True, note="half the range of eight blocks"),
    Head("MACs", numeric=True, note="multiply-accumulates of one example"),
    Head("of roof", numeric=True, note="the least time that the device allows, over the time it took"),
    Head("bound by"),
    Head("operator"),
    Head("group"),
    Head("bytes", numeric=True, note="read and written"),
)
_JOINED: Final = Head("joined", note="layers that ran as one kernel")


class _Whole(NamedTuple):
    """The times of a way, its name and its place among the ways, and the column of each layer that is of one."""

    times: LayerTimes
    name: str
    place: int
    columns: Mapping[str, int]


def layer_sections(found: Profiled) -> Iterator[Section]:
    """Yield a section for each way that was attributed, and one for those that were not; none if no one asked."""
    if found.layer_times is None:
        return
    columns = columns_of(found.layers)
    for place, (name, times) in enumerate(zip(names(found), found.layer_times, strict=True), 1):
        blocks = tuple(_blocks(_Whole(times, name, place, columns), found))
        yield Section(f"layers-of-{place}", f"Layer times: {name}", blocks)
    if missing := _missing(found):
        heads = Text("Layers were not timed in these ways; 'How far to trust it' says why.")
        yield Section("not-attributed", "Layers not attributed", (heads, Lines(missing)))


def _missing(found: Profiled) -> tuple[str, ...]:
    measured = (one.latency.way for one in found.latencies)
    known = {str(times.way) for times in found.layer_times or ()}
    return tuple(dict.fromkeys(str(way) for way in measured if str(way) not in known))


def _blocks(whole: _Whole, found: Profiled) -> Iterator[Block]:
    times = whole.times
    yield Facts(tuple(_facts(times)))
    for by, rows in sums(times, whole.columns).items():
        yield _summed(f"by-{by}-{whole.place}", f"Time by {by}: {whole.name}", by, rows, times)
    if len(times.layers) > _SHORT:
        slowest = sorted(times.layers, key=lambda layer: -layer.time_s)[:_SLOWEST]
        yield _table(f"slowest-{whole.place}", f"The slowest layers: {whole.name}", slowest, times, joined=False)
    yield _roofline(whole, found)
    inner = [each for each in tree(times.layers, math.inf) if each.leaf is None]
    if inner:
        caption = f"Time by path, what names have in common: {whole.name}"
        yield _summed(f"paths-{whole.place}", caption, "path", inner, times, fold=True)
    joined = any(layer.fused for layer in times.layers)
    yield _table(
        f"times-{whole.place}", f"Every layer, in execution order: {whole.name}", times.layers, times, joined=joined
    )


def _facts(times: LayerTimes) -> Iterator[tuple[str, str]]:
    yield "Way", str(times.way)
    bounds = times.interval_s
    blocks = f"; blocks {duration(bounds[0])} to {duration(bounds[1])}" if bounds else ""
    yield "End to end", f"{duration(times.end_to_end_s)}, untouched, {counted_words(times.rounds, 'round')}{blocks}"
    for part in wholes(times):
        yield part.label.capitalize(), f"{part.said}, {percent(times.share(part.time_s))}: {part.words}"
    if times.unmapped_s:
        yield "Unmapped", f"{percent(times.share(times.unmapped_s))}, of layers told by the runtime alone"
    each_s = times.attributing_s / max(1, times.reads)
    yield (
        "Attributing",
        f"{times.inflation:.3f} times as long; a clock read takes {duration(each_s)}, in no layer's time",
    )
    yield "Stable", f"no: {times.why}" if times.doubts else "yes"
    yield from (("How", note) for note in times.notes)


def _summed(key: str, caption: str, by: str, rows: Sequence[Sum], times: LayerTimes, *, fold: bool = False) -> Table:
    macs = sum(layer.macs or 0 for layer in times.layers)
    cells = (
        (
            Cell(each.name),
            Cell(grouped(len(each.layers)), len(each.layers)),
            Cell(duration(each.time_s), each.time_s),
            _share(times, each.time_s),
            Cell("-" if each.macs is None else grouped(each.macs), each.macs),
            Cell("-") if each.macs is None or not macs else Cell(percent(each.macs / macs), each.macs / macs),
        )
        for each in rows[:MOST_ROWS]
    )
    left_out = max(0, len(rows) - MOST_ROWS)
    return Table(key, caption, (Head(by), *_SUM_HEADS), tuple(map(Row, cells)), left_out, open=not fold)


def _share(times: LayerTimes, time_s: float) -> Cell:
    return Cell(percent(times.share(time_s)), times.share(time_s))


def _table(key: str, caption: str, layers: Sequence[LayerTime], times: LayerTimes, *, joined: bool) -> Table:
    """Return rows of layers; joined: with those that ran as one kernel."""
    rows = tuple(_row(layer, times, joined) for layer in layers[:MOST_ROWS])
    heads = (*_HEADS, _JOINED) if joined else _HEADS
    return Table(key, caption, heads, rows, max(0, len(layers) - MOST_ROWS), open=len(rows) <= _SHORT)


def _row(layer: LayerTime, times: LayerTimes, joined: bool) -> Row:
    half, roof = layer.half_width, layer.roof_share
    cells = (
        Cell(layer.name),
        Cell(duration(layer.time_s), layer.time_s),
        _share(times, layer.time_s),
        Cell(percent(half), half) if half < math.inf else Cell("-"),
        Cell("-" if layer.macs is None else scaled(layer.macs), layer.macs),
        Cell("-" if roof is None else percent(roof), roof),
        Cell(layer.bound or "-"),
        Cell(layer.op),
        Cell(layer.group),
        Cell("-" if layer.moved_bytes is None else data_size(layer.moved_bytes), layer.moved_bytes),
    )
    return Row((*cells, Cell(", ".join(layer.fused))) if joined else cells, key=layer.name)


def _roofline(whole: _Whole, found: Profiled) -> Chart | Text:
    """Return the roofline of a way, or that the peaks of its device are not known."""
    way = whole.times.way
    known = (roofs.peaks for roofs in found.rooflines if roofs.target == way.target)
    peaks = next((each for each in known if each.threads == way.threads), None)
    if peaks is None:
        return Text("No roofline: the peaks of this device are not known.")
    points = [_point(layer, whole.times) for layer in whole.times.layers]
    return roofline_chart(points, peaks, way.dtype, f"roofline-{whole.place}", f"times-{whole.place}")


def _point(layer: LayerTime, times: LayerTimes) -> Point:
    """Return a layer's place: without a time, or if nothing is known of what it moves, it has none."""
    if layer.time_s <= 0 or layer.macs is None or not layer.moved_bytes:
        return Point(layer.name, math.inf, 0.0, layer.roof_share, layer.bound)
    flops, moved = FLOPS_PER_MAC * layer.macs * times.way.batch, layer.moved_bytes
    rate = moved / layer.time_s
    return Point(layer.name, flops / moved, flops / layer.time_s, layer.roof_share, layer.bound, rate)
