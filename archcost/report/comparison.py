"""The report of several networks: totals, latencies and layers against the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import Final, TypeAlias

from archcost.errors import shorten
from archcost.profiling import budget
from archcost.profiling.bounds import against, is_least, said
from archcost.profiling.budget import Budget
from archcost.report.blocks import (
    MOST_ROWS,
    Axis,
    Bar,
    Bars,
    Block,
    Cell,
    Chart,
    Document,
    Head,
    Lines,
    Row,
    Rule,
    Scatter,
    Section,
    Series,
    Table,
    Text,
    Verdict,
    Verdicts,
)  # fmt: skip
from archcost.report.json_input import Against, Compared, Pair, Quantity, Side
from archcost.report.layers.differences import Sides, difference_sections
from archcost.report.profile import METHOD, judged
from archcost.report.timing import device_lines, latency_blocks, named_ways
from archcost.rows import as_csv
from archcost.units import counted_words, data_size, duration, grouped, scaled

_TOTALS: Final = {
    "params": "parameters",
    "macs": "MACs",
    "elementwise": "elementwise",
    "flops": "FLOPs = 2 MACs + elementwise",
    "weights_bytes": "weights and buffers",
    "activation_bytes": "written a pass",
    "peak_memory_bytes": "peak memory",
}
_MOST_BARS: Final = 24

LayerRow: TypeAlias = tuple[str, str, int, int, int, int]
"""A layer's name, where it is, MACs of the first and the other, parameters of the first and the other."""


def report(found: Compared, told: dict[str, object], command: str, limits: Budget | None = None) -> Document:
    """Return the report of what `archcost compare --json` says; told: that document, which is embedded.

    command: what made it; limits: a budget to judge every network by.
    """
    sections = [
        Section("verdict", "Verdict", tuple(_verdict(found, limits))),
        Section("numbers", "Key numbers", (_totals(found), *_drawn_totals(found))),
        *_measured(found),
        *_layer_times(found),
        *(_layers(place, pair) for place, pair in enumerate(found.comparisons)),
        Section("trust", "How far to trust it", (Lines(tuple(_doubts(found))),)),
        Section("method", "Method", (Lines((*METHOD, _TURNS, *_how(found))),)),
    ]
    first, *others = (side.name for side in found.models)
    title = f"{first} beside {' and '.join(others)}"
    return Document(title, "comparison", tuple(_head(found, command)), tuple(sections), told, _csv(found))


_TURNS: Final = (
    "Networks are measured by turns, in random order: a ratio is the median of the rounds' ratios, with a 99% "
    "interval; where the interval holds 1, no difference is detectable."
)


_LAYERS: Final = (
    "Layer times: the layers of both by turns, matched by name. The 99% intervals of all layers hold together. Layers, "
    "dispatch (residual) and what nothing explains add up to the whole."
)


def _how(found: Compared) -> Iterator[str]:
    if any(pair.layer_times for pair in found.comparisons):
        yield _LAYERS


def letter(place: int) -> str:
    """Return what stands for a network in heads: A to Z, then their numbers."""
    return ascii_uppercase[place] if place < len(ascii_uppercase) else f"N{place + 1}"


def _head(found: Compared, command: str) -> Iterator[tuple[str, str]]:
    for place, side in enumerate(found.models):
        yield letter(place), f"{side.name} ({side.family}, digest {side.digest[:12]})"
    yield from device_lines([one for side in found.models for one in side.latencies])
    yield "Counted with", f"archcost {found.archcost}"
    yield "Command", command


def _verdict(found: Compared, limits: Budget | None) -> Iterator[Block]:
    yield Lines(tuple(_said(found)))
    if limits is None:
        yield Text("No budget was given: --budget budget.yaml judges these networks by its limits.")
        return
    each = (
        (f"{letter(place)}, {shorten(side.name, 30)}", _judged(side, limits)) for place, side in enumerate(found.models)
    )
    yield Verdicts(tuple(one._replace(text=f"{name}: {one.text}") for name, verdicts in each for one in verdicts))


def _said(found: Compared) -> Iterator[str]:
    for pair in found.comparisons:
        name, first = letter(pair.other), letter(pair.first)
        macs, least = pair.totals["macs"], [bool(found.models[place].uncounted) for place in (pair.first, pair.other)]
        yield f"{name} has {_times(macs, *least)} MACs and {_times(pair.totals['params'])} parameters of {first}."
        for timed in pair.latencies:
            where = f"{timed.target}/{timed.runtime}, batch {timed.batch}, {timed.dtype}"
            if timed.differ is None and timed.ratio_interval:
                yield f"Whether {name} and {first} differ cannot be told ({where}): one alone is not stable."
            elif timed.differ is None:
                yield f"Too few rounds to compare the latencies of {name} and {first} ({where})."
            elif timed.differ:
                yield f"{name} takes {_interval(timed)} times as long as {first} ({where})."
            else:
                yield f"{name} and {first} show no detectable difference in latency ({where}): {_interval(timed)}."


def _times(quantity: Quantity, first: bool = False, other: bool = False) -> str:
    """Return how many times as many one has, in words; first, other: which of the two counts is a lower bound."""
    if quantity.ratio is None:
        return f"{said(grouped(quantity.other), other)} instead of none of the"
    counted = " counted" if first and other else ""
    if not quantity.difference and first == other:
        return f"exactly the{counted}"
    return f"{against(f'{quantity.ratio:.3g}', first, other).removesuffix(counted)} times the{counted}"


def _interval(timed: Pair) -> str:
    bounds = timed.ratio_interval
    return f"{timed.ratio:.3f}" + (f" (99%: {bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else " (too few rounds)")


def _judged(side: Side, limits: Budget) -> tuple[Verdict, ...]:
    memory = (budget.Memory(side.batch, side.dtype, side.peak_memory_bytes, side.weights_bytes),)
    latencies = tuple(one.latency for one in side.latencies)
    uncounted = tuple(each.op for each in side.uncounted)
    return tuple(map(judged, budget.judge(limits, budget.Facts(side.params, side.macs, memory, latencies, uncounted))))


def _totals(found: Compared) -> Table:
    heads = [
        Head("quantity"),
        *(Head(letter(place), numeric=True, note=side.name) for place, side in enumerate(found.models)),
    ]
    heads += [Head(f"{letter(pair.other)}/{letter(pair.first)}", numeric=True) for pair in found.comparisons]
    rows = []
    for key, name in _TOTALS.items():
        words = data_size if key.endswith("bytes") else grouped
        least = [is_least(key, side.uncounted) for side in found.models]
        values = [getattr(side, key) for side in found.models]
        cells = [Cell(said(words(value), bound), value) for value, bound in zip(values, least, strict=True)]
        ratios = (_ratio(pair.totals[key], least[pair.first], least[pair.other]) for pair in found.comparisons)
        rows.append(Row((Cell(name), *cells, *ratios)))
    return Table("totals", "Totals, at the batch and dtype of each", tuple(heads), tuple(rows))


def _ratio(quantity: Quantity, first: bool, other: bool) -> Cell:
    if quantity.ratio is None:
        return Cell("-", quantity.ratio)
    return Cell(against(f"{quantity.ratio:.3f}", first, other), quantity.ratio)


def _drawn_totals(found: Compared) -> Iterator[Chart]:
    labels = tuple(f"{letter(place)} {side.name}" for place, side in enumerate(found.models))
    first = found.models[0]
    bars = []
    for key in ("macs", "params", "peak_memory_bytes"):
        values, whole = [getattr(side, key) for side in found.models], getattr(first, key)
        if whole:
            shares = tuple(value / whole for value in values)
            texts = tuple(
                f"{label}\n{_TOTALS[key]}: {said(scaled(value), is_least(key, side.uncounted))}"
                for label, value, side in zip(labels, values, found.models, strict=True)
            )
            bars.append(Bar(_TOTALS[key], shares, texts))
    if bars:
        words = "MACs, parameters and peak memory of each network as a multiple of the first's."
        if any(side.uncounted for side in found.models):
            words += " Where operators have no count, MACs are a lower bound."
        yield Chart(
            "totals",
            "Totals against the first",
            words,
            Bars(labels, Axis("times the first's", "number"), tuple(bars)),
            "totals",
        )


def _measured(found: Compared) -> Iterator[Section]:
    if not any(side.latencies for side in found.models):
        return
    named = [one for place, side in enumerate(found.models) for one in named_ways(side.latencies, letter(place))]
    yield Section("latency", "Latency", (*_ratios(found), *latency_blocks(named)))


def _layer_times(found: Compared) -> Iterator[Section]:
    for place, pair in enumerate(found.comparisons, 1):
        sides = Sides(letter(pair.first), letter(pair.other), place)
        yield from difference_sections(sides, pair.layer_times or [])


def _ratios(found: Compared) -> Iterator[Block]:
    rows = [(pair, timed) for pair in found.comparisons for timed in pair.latencies]
    several = any(len(pair.latencies) > 1 for pair in found.comparisons)
    names = [f"{letter(pair.other)}/{letter(pair.first)}" + f", {_way(timed)}" * several for pair, timed in rows]
    if rows:
        texts = tuple(f"{name}\n{_interval(timed)}" for name, (_, timed) in zip(names, rows, strict=True))
        series = Series(
            "ratio of latencies",
            tuple(timed.ratio for _, timed in rows),
            tuple(float(place) for place in range(len(rows))),
            texts=texts,
            mark="diamond",
            x_spans=tuple(timed.ratio_interval for _, timed in rows),
        )
        ticks = tuple((float(place), name) for place, name in enumerate(names))
        drawn = Scatter(
            Axis("times as long", "number"), Axis("", ticks=ticks), (series,), (Rule(1.0, "equal", upright=True),)
        )
        words = "Each network's latency as a multiple of the first's, with its 99% interval; at 1 they are equal."
        yield Chart("ratios", "Latency against the first", words, drawn, "ratios")
    heads = (Head("networks"), Head("measured"), Head("first", numeric=True), Head("other", numeric=True),
             Head("ratio", numeric=True), Head("99% interval", numeric=True), Head("rounds", numeric=True),
             Head("difference"))  # fmt: skip
    yield Table("ratios", "Latency by turns", heads, tuple(_ratio_row(pair, timed) for pair, timed in rows))


def _way(timed: Pair) -> str:
    return (
        f"{timed.target}/{timed.runtime}, batch {timed.batch}, {timed.dtype}, {counted_words(timed.threads, 'thread')}"
    )


def _ratio_row(pair: Against, timed: Pair) -> Row:
    bounds, medians = timed.ratio_interval, timed.median_s
    none = "cannot tell: one alone is not stable" if bounds else "too few rounds"
    told = {True: "yes", False: "none detectable", None: none}[timed.differ]
    return Row((
        Cell(f"{letter(pair.other)}/{letter(pair.first)}"),
        Cell(_way(timed)),
        *(Cell(duration(medians[side]), medians[side]) for side in ("first", "other")),
        Cell(f"{timed.ratio:.3f}", timed.ratio),
        Cell(f"{bounds[0]:.3f} to {bounds[1]:.3f}" if bounds else "-"),
        Cell(grouped(timed.rounds), timed.rounds),
        Cell(told if all(timed.stable.values()) else f"{told}; not stable"),
    ))  # fmt: skip


def _layers(place: int, pair: Against) -> Section:
    first, other = letter(pair.first), letter(pair.other)
    key = f"layers-{place + 1}"
    rows = sorted(_layer_rows(pair), key=lambda row: -abs(row[3] - row[2]))
    differing = [row for row in rows if row[2] != row[3] or row[4] != row[5]]
    blocks: list[Block] = []
    if any(row[2] != row[3] for row in differing):
        blocks.append(_differences(key, differing, first, other))
    heads = (Head("layer"), Head("in"), Head(f"MACs {first}", numeric=True), Head(f"MACs {other}", numeric=True),
             Head("difference", numeric=True), Head(f"parameters {first}", numeric=True),
             Head(f"parameters {other}", numeric=True))  # fmt: skip
    same = len(rows) - len(differing)
    caption = f"Layers of {first} and {other} that differ; {grouped(same)} are the same"
    cells = tuple(_layer_row(*row) for row in differing[:MOST_ROWS])
    left = max(0, len(differing) - MOST_ROWS)
    blocks.append(Table(key, caption, heads, cells, left, open=len(cells) <= 60) if cells else Text(f"{caption}."))
    return Section(key, f"Layers of {first} and {other}", tuple(blocks))


def _differences(key: str, rows: Sequence[LayerRow], first: str, other: str) -> Chart:
    differing = [row for row in rows if row[2] != row[3]]
    shown = differing[:_MOST_BARS]
    more = tuple(float(row[3] - row[2]) for row in shown)
    texts = tuple(f"{row[0]}: {scaled(row[3] - row[2])} MACs more in {other}" for row in shown)
    drawn = Bars(tuple(row[0] for row in shown), Axis("MACs more", "count"), (Bar("MACs more", more, texts),))
    words = f"MACs that {other} has more than {first}, layers matched by name; the largest differences."
    return Chart(key, "Where the MACs differ", words, drawn, key, len(differing) - len(shown))


def _layer_rows(pair: Against) -> Iterator[LayerRow]:
    """Yield name, where it is, MACs of the first and the other, parameters of the first and the other."""
    for both in pair.layers:
        yield both.name, "both", both.macs.first, both.macs.other, both.params.first, both.params.other
    for alone in pair.only_first:
        yield alone.name, f"{letter(pair.first)} alone", alone.macs, 0, alone.params, 0
    for alone in pair.only_other:
        yield alone.name, f"{letter(pair.other)} alone", 0, alone.macs, 0, alone.params


def _layer_row(name: str, where: str, *counts: int) -> Row:
    macs, other, params, theirs = counts
    numbers = (Cell(grouped(value), value) for value in (macs, other, other - macs, params, theirs))
    return Row((Cell(name), Cell(where), *numbers))


def _doubts(found: Compared) -> Iterator[str]:
    yield from found.remarks
    for place, side in enumerate(found.models):
        for one in named_ways(side.latencies, letter(place)):
            if not one.timed.latency.stable:
                yield f"{one.name}: not stable: {one.timed.latency.why}"
        if side.uncounted:
            yield f"{letter(place)}: operators without a count: {', '.join(each.op for each in side.uncounted)}"
    if not any(side.latencies for side in found.models):
        yield "Latency was not measured."


def _csv(found: Compared) -> str:
    heads = ("first", "other", "layer", "in", "macs_first", "macs_other", "params_first", "params_other")
    pairs = ((pair, row) for pair in found.comparisons for row in _layer_rows(pair))
    return as_csv(heads, ((letter(pair.first), letter(pair.other), *row) for pair, row in pairs))
