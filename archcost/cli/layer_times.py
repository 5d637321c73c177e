"""The times of layers: as a tree that adds up to the whole, as rows of CSV, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from archcost.cli.terminal import WIDTH, field, paint, tail
from archcost.errors import visible
from archcost.graph.cost import cut
from archcost.latency.layers.times import LayerTime, LayerTimes
from archcost.profiling.result import Profile
from archcost.rows import as_csv, as_markdown
from archcost.units import counted_words, duration, percent, scaled

_MOST: Final = 60  # lines of a tree
_BOUND_NAME: Final = 25  # where its share of the roof, and what binds it, follow
_NAME: Final = 30  # columns of a name: a line then has 80
_OP: Final = 12
_SLOWEST: Final = 10
_SHORT: Final = 12  # layers up to which the slowest are no list of their own


class Branch(NamedTuple):
    """A line of the tree: what names have in common, so many parts deep, and the layers below it."""

    name: str
    deep: int
    layers: tuple[LayerTime, ...]

    @property
    def time_s(self) -> float:
        """All of them together."""
        return sum(layer.time_s for layer in self.layers)

    @property
    def leaf(self) -> LayerTime | None:
        """The layer that it is, None if it is none itself, or several."""
        return self.layers[0] if len(self.layers) == 1 and self.layers[0].name == self.name else None


def branches(layers: Sequence[LayerTime], depth: int, deep: int = 1) -> Iterator[Branch]:
    """Yield a tree of names, parts of names apart by dots, in execution order, each above what is below it.

    depth: how many parts a name has at most.
    """
    groups: dict[str, list[LayerTime]] = {}
    for layer in layers:
        groups.setdefault(cut(layer.name, deep), []).append(layer)
    for name, below in groups.items():
        branch = Branch(name, deep, tuple(below))
        yield branch
        inner = [layer for layer in below if layer.name != name]
        if inner and deep < depth:
            yield from branches(inner, depth, deep + 1)


def layer_lines(found: Profile, depth: int | None, *, colour: bool) -> Iterator[str]:
    """Yield for each way that was attributed what the whole took, the tree of its layers, and the slowest of them.

    depth: how many parts of names the tree shows, two if it is None.
    """
    for times in found.layer_times or ():
        yield ""
        yield paint(f"  layers of {visible(str(times.way))}", colour, bold=True)
        yield from _sums(times, colour)
        yield ""
        yield from _tree(times, depth or 2, colour)
        if len(times.layers) > _SHORT:
            yield ""
            yield from _slowest(times)


def _sums(times: LayerTimes, colour: bool) -> Iterator[str]:
    whole = duration(times.end_to_end_s)
    yield f"  {'end to end':<12}{whole:>9}          untouched, {counted_words(times.rounds, 'round')} by turns"
    for label, time_s, words in _parts(times):
        sign = "+" if label == "unexplained" and time_s > 0 else ""
        line = f"  {label:<12}{sign + duration(time_s):>9} {percent(times.share(time_s)):>7}  {words}"
        yield line.rstrip()
    each_s = times.attributing_s / max(1, times.reads)
    reads = f"{counted_words(times.reads, 'clock read')}, {duration(each_s)} each: in no layer's time"
    yield from field("attributing", f"{times.inflation:.3f} times as long; {reads}")
    if times.unmapped_s:
        yield from field("unmapped", f"{percent(times.share(times.unmapped_s))}, of layers told by the runtime alone")
    if times.doubts:
        yield from field("not stable", paint(visible(times.why), colour, fg="yellow"))


def _parts(times: LayerTimes) -> tuple[tuple[str, float, str], ...]:
    count = counted_words(len(times.layers), "layer")
    return (
        ("layers", times.parts_s, f"{count}, without their dispatch"),
        ("residual", times.residual_s, "dispatch: the same calls, costing nothing"),
        ("unexplained", times.unexplained_s, f"the whole less both{_within(times)}"),
    )


def _within(times: LayerTimes) -> str:
    if times.unexplained_interval_s is None:
        return ""
    low, high = (f"{100 * times.share(bound_s):+.1f}%" for bound_s in times.unexplained_interval_s)
    return f"; blocks {low} to {high}"


def _tree(times: LayerTimes, depth: int, colour: bool) -> Iterator[str]:
    lines = list(branches(times.layers, depth))
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


def _shown(branch: Branch) -> str:
    """Return the last part of a branch's name, the whole of one at the top."""
    above = cut(branch.name, branch.deep - 1) if branch.deep > 1 else ""
    return branch.name[len(above) + 1 :] if above else branch.name


def _cells(times: LayerTimes, branch: Branch) -> str:
    leaf = branch.leaf
    known = [layer.macs for layer in branch.layers if layer.macs is not None]
    op = branch.layers[0].op if len(branch.layers) == 1 else f"({len(branch.layers)})"
    return _numbers(times, op, branch.time_s, _half(leaf) if leaf else "", scaled(sum(known)) if known else "")


def _numbers(times: LayerTimes, op: str, time_s: float, half: str, macs: str) -> str:
    short = visible(op if len(op) <= _OP else f"{op[: _OP - 3]}...")
    return f"{short:<{_OP}}  {duration(time_s):>8} {percent(times.share(time_s)):>6}  {half:>6}  {macs:>7}"


def _half(layer: LayerTime) -> str:
    """Return half the interval as a share, '' if there is none, or no time that it could be a share of."""
    return percent(layer.half_width) if layer.interval_s and 0 < layer.half_width < 10 else ""


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
        yield f"  {name:<{width}}  {numbers}  {roof:>7}  {layer.bound or ''}".rstrip()


def layer_csv(found: Profile) -> str:
    """Return the layers of every way that was attributed as CSV, in execution order, with what is of no layer."""
    return as_csv(_HEADS, (row for times in found.layer_times or () for row in _rows(times)))


_HEADS: Final = (
    *("target", "runtime", "batch", "dtype", "threads", "name", "op", "group", "module", "time_s", "low_s", "high_s"),
    *("share", "fused", "macs", "bytes", "roof_share", "bound"),
)
_OTHERS: Final = ("residual", "unexplained", "end to end")


def _rows(times: LayerTimes) -> Iterator[tuple[object, ...]]:
    way = times.way
    place = (way.target, way.runtime, way.batch, way.dtype, way.threads)
    for layer in times.layers:
        low_s, high_s = layer.interval_s or (None, None)
        named = (layer.name, layer.op, layer.group, layer.module, layer.time_s, low_s, high_s)
        known = (layer.macs, layer.moved_bytes, layer.roof_share, layer.bound)
        yield *place, *named, times.share(layer.time_s), list(layer.fused), *known
    for label, time_s in zip(_OTHERS, (times.residual_s, times.unexplained_s, times.end_to_end_s), strict=True):
        bounds = (times.interval_s or (None, None)) if label == _OTHERS[-1] else (None, None)
        yield *place, "", label, "", "", time_s, *bounds, times.share(time_s), [], None, None, None, None


def layer_markdown(found: Profile, depth: int | None) -> Iterable[str]:
    """Yield a table for each way that was attributed: the tree, and what is of no layer."""
    for times in found.layer_times or ():
        rows = [
            (branch.name, branch.leaf.op if branch.leaf else "", duration(branch.time_s), _share(times, branch.time_s))
            for branch in branches(times.layers, depth or 2)
        ]
        rows += [(f"({label})", "", duration(time_s), _share(times, time_s)) for label, time_s, _ in _parts(times)]
        rows.append(("(end to end)", "", duration(times.end_to_end_s), ""))
        yield as_markdown((f"layer, {times.way}", "op", "time", "share"), rows)


def _share(times: LayerTimes, time_s: float) -> str:
    return percent(times.share(time_s))
