"""The times of layers: as a tree that adds up to the whole, as rows of CSV, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from archcost.cli.terminal import WIDTH, field, paint, tail
from archcost.errors import visible
from archcost.graph.cost import cut
from archcost.latency.layers.times import LayerTime, LayerTimes
from archcost.profiling.layers.sums import Sum, columns_of, sums, tree, wholes
from archcost.profiling.result import Profile
from archcost.rows import as_csv, as_markdown
from archcost.units import counted_words, duration, grouped, percent, scaled

_MOST: Final = 60  # lines of a tree
_BOUND_NAME: Final = 25  # where its share of the roof, and what binds it, follow
_NAME: Final = 30  # columns of a name: a line then has 80
_OP: Final = 12
_SLOWEST: Final = 10
_MOST_SUMS: Final = 20  # lines of the times by operator, by group
_SLOW: Final = 0.2  # of the roof, below which what the roof is made of does not bind
_SHORT: Final = 12  # layers up to which the slowest are no list of their own


def layer_lines(found: Profile, depth: int | None, *, colour: bool) -> Iterator[str]:
    """Yield for each way that was attributed what the whole took, its layers as a tree and by what they have in common.

    Then the slowest of them.

    depth: how many parts of names the tree shows, two if it is None.
    """
    columns = columns_of(found.layers)
    for times in found.layer_times or ():
        yield ""
        yield paint(f"  layers of {visible(str(times.way))}", colour, bold=True)
        yield from _sums(times, colour)
        yield ""
        yield from _tree(times, depth or 2, colour)
        for by, rows in sums(times, columns).items():
            yield ""
            yield from _summed(times, by, rows)
        if len(times.layers) > _SHORT or any(layer.bound for layer in times.layers):
            yield ""
            yield from _slowest(times)


def _sums(times: LayerTimes, colour: bool) -> Iterator[str]:
    whole = duration(times.end_to_end_s)
    yield f"  {'end to end':<12}{whole:>9}          untouched, {counted_words(times.rounds, 'round')} by turns"
    for part in wholes(times):
        yield f"  {part.label:<12}{part.said:>9} {percent(times.share(part.time_s)):>7}  {part.words}".rstrip()
    each_s = times.attributing_s / max(1, times.reads)
    reads = f"{counted_words(times.reads, 'clock read')}, {duration(each_s)} each: in no layer's time"
    yield from field("attributing", f"{times.inflation:.3f} times as long; {reads}")
    if times.unmapped_s:
        yield from field("unmapped", f"{percent(times.share(times.unmapped_s))}, of layers told by the runtime alone")
    if times.doubts:
        yield from field("not stable", paint(visible(times.why), colour, fg="yellow"))


def _tree(times: LayerTimes, depth: int, colour: bool) -> Iterator[str]:
    lines = list(tree(times.layers, depth))
    names = [visible(tail("  " * (each.deep - 1) + _shown(each), _NAME)) for each in lines[:_MOST]]
    width = max(5, *map(len, names)) if names else 5
    yield f"  {'layer':<{width}}  {'op':<{_OP}}  {'time':>8} {'share':>6}  {'+-':>6}  {'MACs':>7}"
    for name, branch in zip(names, lines, strict=False):
        line = f"  {name:<{width}}  {_cells(times, branch)}"
        room = WIDTH - len(line) - 2
        bar = "#" * round(times.share(branch.time_s) * min(20, room)) if room > 0 else ""
        yield f"{line}  {paint(bar, colour, fg='cyan')}".rstrip()
    if len(lines) > _MOST:
        yield f"  ... and {len(lines) - _MOST} lines more; --format csv has all layers"


def _shown(branch: Sum) -> str:
    """Return the last part of a branch's name, the whole of one at the top."""
    above = cut(branch.name, branch.deep - 1) if branch.deep > 1 else ""
    return branch.name[len(above) + 1 :] if above else branch.name


def _cells(times: LayerTimes, branch: Sum) -> str:
    leaf = branch.leaf
    op = branch.layers[0].op if len(branch.layers) == 1 else f"({len(branch.layers)})"
    return _numbers(
        times, op, branch.time_s, _half(leaf) if leaf else "", "" if branch.macs is None else scaled(branch.macs)
    )


def _numbers(times: LayerTimes, op: str, time_s: float, half: str, macs: str) -> str:
    short = visible(op if len(op) <= _OP else f"{op[: _OP - 3]}...")
    return f"{short:<{_OP}}  {duration(time_s):>8} {percent(times.share(time_s)):>6}  {half:>6}  {macs:>7}"


def _half(layer: LayerTime) -> str:
    """Return half the interval as a share, '' if there is none, or no time that it could be a share of."""
    return percent(layer.half_width) if layer.interval_s and 0 < layer.half_width < 10 else ""


def _summed(times: LayerTimes, by: str, rows: Sequence[Sum]) -> Iterator[str]:
    """Yield the times by operator, stage, group or column, beside their share of the MACs."""
    names = [visible(tail(each.name, _NAME)) for each in rows]
    width = max(len(name) for name in (*names, f"by {by}"))
    whole = sum(each.macs or 0 for each in rows)
    yield f"  {f'by {by}':<{width}}  {'layers':>6}  {'time':>8} {'share':>6}  {'MACs':>7} {'share':>6}"
    for name, each in zip(names[:_MOST_SUMS], rows, strict=False):
        macs = "" if each.macs is None else scaled(each.macs)
        part = percent(each.macs / whole) if each.macs is not None and whole else ""
        numbers = f"{duration(each.time_s):>8} {percent(times.share(each.time_s)):>6}  {macs:>7} {part:>6}"
        yield f"  {name:<{width}}  {len(each.layers):>6}  {numbers}".rstrip()
    if len(rows) > _MOST_SUMS:
        rest_s = sum(each.time_s for each in rows[_MOST_SUMS:])
        yield f"  ... and {len(rows) - _MOST_SUMS} more, {duration(rest_s)} together"


def _slowest(times: LayerTimes) -> Iterator[str]:
    found = sorted(times.layers, key=lambda layer: -layer.time_s)[:_SLOWEST]
    names = [visible(tail(layer.name, _BOUND_NAME)) for layer in found]
    width = max(len(name) for name in (*names, "slowest"))
    more = "  of roof  bound by" if any(layer.bound for layer in times.layers) else ""
    yield f"  {'slowest':<{width}}  {'time':>8} {'share':>6}  {'+-':>6}  {'MACs':>7}{more}"
    for name, layer in zip(names, found, strict=True):
        macs = "" if layer.macs is None else scaled(layer.macs)
        roof = "" if layer.roof_share is None else percent(layer.roof_share)
        numbers = f"{duration(layer.time_s):>8} {percent(times.share(layer.time_s)):>6}  {_half(layer):>6}  {macs:>7}"
        yield f"  {name:<{width}}  {numbers}  {roof:>7}  {_bound(layer)}".rstrip()


def _bound(layer: LayerTime) -> str:
    """Return what binds a layer; far below the roof it is neither bytes nor products, but the kernel that is slow."""
    slow = layer.roof_share is not None and layer.roof_share < _SLOW and layer.bound in ("compute", "memory")
    return "slow kernel" if slow else layer.bound or ""


def layer_csv(found: Profile) -> str:
    """Return the layers of every way that was attributed as CSV, in execution order, with what is of no layer."""
    columns = columns_of(found.layers)
    return as_csv(_HEADS, (row for times in found.layer_times or () for row in _rows(times, columns)))


_HEADS: Final = (
    *("target", "runtime", "batch", "dtype", "threads", "name", "op", "group", "module", "time_s", "low_s", "high_s"),
    *("share", "fused", "macs", "bytes", "roof_share", "bound", "column"),
)
_OTHERS: Final = ("residual", "unexplained", "end to end")


def _rows(times: LayerTimes, columns: Mapping[str, int]) -> Iterator[tuple[object, ...]]:
    way = times.way
    place = (way.target, way.runtime, way.batch, way.dtype, way.threads)
    for layer in times.layers:
        low_s, high_s = layer.interval_s or (None, None)
        named = (layer.name, layer.op, layer.group, layer.module, layer.time_s, low_s, high_s)
        known = (layer.macs, layer.moved_bytes, layer.roof_share, layer.bound, columns.get(layer.name))
        yield *place, *named, times.share(layer.time_s), list(layer.fused), *known
    for label, time_s in zip(_OTHERS, (times.residual_s, times.unexplained_s, times.end_to_end_s), strict=True):
        bounds = (times.interval_s or (None, None)) if label == _OTHERS[-1] else (None, None)
        yield *place, "", label, "", "", time_s, *bounds, times.share(time_s), [], *[None] * 5


def layer_markdown(found: Profile, depth: int | None) -> Iterable[str]:
    """Yield tables for each way that was attributed: the tree with what is of no layer, and each kind of sums."""
    columns = columns_of(found.layers)
    for times in found.layer_times or ():
        rows = [
            (each.name, each.leaf.op if each.leaf else "", duration(each.time_s), _share(times, each.time_s))
            for each in tree(times.layers, depth or 2)
        ]
        rows += [(f"({each.label})", "", each.said, _share(times, each.time_s)) for each in wholes(times)]
        rows.append(("(end to end)", "", duration(times.end_to_end_s), ""))
        yield as_markdown((f"layer, {times.way}", "op", "time", "share"), rows)
        for by, some in sums(times, columns).items():
            yield as_markdown((f"by {by}, {times.way}", "layers", "time", "share", "MACs"), _cells_of(times, some))


def _cells_of(times: LayerTimes, rows: Sequence[Sum]) -> Iterator[tuple[str, ...]]:
    for each in rows:
        macs = "" if each.macs is None else grouped(each.macs)
        yield each.name, grouped(len(each.layers)), duration(each.time_s), _share(times, each.time_s), macs


def _share(times: LayerTimes, time_s: float) -> str:
    return percent(times.share(time_s))
