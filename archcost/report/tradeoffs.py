"""What a family's own dimension buys: a fractal's columns, a HORNN's order and length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from archcost.errors import InputError, Mistake, quoted
from archcost.graph.cost import count
from archcost.models.families.hornn import HORNN
from archcost.report.blocks import Axis, Bar, Bars, Block, Cell, Chart, Head, Row, Scatter, Series, Table
from archcost.report.json_input import Column, Profiled
from archcost.units import duration, grouped, percent, scaled

_ORDERS: Final = 6
_STEPS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def column_blocks(found: Profiled) -> Iterator[Block]:
    """Yield what each column of a fractal network takes alone, beside the whole network; its latency where known."""
    deepest = max(row.depth for row in found.columns)
    timed = all(row.latencies for row in found.columns)
    own = Column(column=0, depth=deepest, params=found.params, macs=found.macs)
    rows = [*found.columns, own.model_copy(update={"latencies": found.latencies if timed else []})]
    names = [*(f"column {row.column} alone" for row in found.columns), "all together"]
    told = {"MACs": [row.macs for row in rows], "parameters": [row.params for row in rows]}
    bars = [_shares(name, counts, [scaled(count) for count in counts], names) for name, counts in told.items()]
    if timed:
        medians = [row.latencies[0].latency.median_s for row in rows]
        bars.append(_shares("latency", medians, [duration(median) for median in medians], names))
    first = found.columns[0]
    share = percent(first.macs / found.macs) if found.macs else "none"
    summary = (
        f"Column {first.column}, of depth {first.depth}, takes {share} of the MACs of all columns together and can run "
        "alone with the same weights."
    )
    drawn = Bars(tuple(names), Axis("share of the whole network", "share"), tuple(bars))
    yield Chart("columns", "Columns, each alone", summary, drawn, "columns")
    numbers = ("depth", "parameters", "MACs", "of all MACs")
    heads: tuple[Head, ...] = (Head("network"), *(Head(name, numeric=True) for name in numbers))
    heads += (Head("latency", numeric=True), Head("stable")) if timed else ()
    cells = tuple(_column(row, name, found.macs) for row, name in zip(rows, names, strict=True))
    caption = "Columns, each as a network of its own" + ", measured by turns with the whole" * timed
    yield Table("columns", caption, heads, cells)


def _shares(name: str, values: Sequence[float], words: Sequence[str], labels: Sequence[str]) -> Bar:
    """Return values as shares of the last, which is the whole."""
    shares = tuple(value / values[-1] if values[-1] else 0.0 for value in values)
    each = zip(labels, words, shares, strict=True)
    return Bar(name, shares, tuple(f"{label}: {word} {name}, {percent(share)}" for label, word, share in each))


def _column(row: Column, name: str, whole: int) -> Row:
    share = row.macs / whole if whole else 0.0
    timed = [Cell(duration(one.latency.median_s), one.latency.median_s) for one in row.latencies[:1]]
    stable = [Cell("yes" if one.latency.stable else "no") for one in row.latencies[:1]]
    return Row((Cell(name), Cell(str(row.depth), row.depth), Cell(grouped(row.params), row.params),
                Cell(grouped(row.macs), row.macs), Cell(percent(share), share), *timed, *stable))  # fmt: skip


def recurrent_blocks(found: Profiled, spec: HORNN) -> Iterator[Block]:
    """Yield the MACs of a recurrent network at other orders and sequence lengths, counted exactly from its keys.

    Raises InputError if they are those of another network.
    """
    steps = sorted({*_STEPS, spec.input.steps})
    orders = range(1, max(_ORDERS, spec.order + 2) + 1)
    by_order = [(order, _counted(spec.model_copy(update={"order": order}))) for order in orders]
    by_steps = [(length, _counted(_longer(spec, length))) for length in steps]
    if dict(by_order)[spec.order] != (found.macs, found.params):
        raise InputError(Mistake(f"the YAML of {quoted(found.model.name)} is not the network that was counted"))
    yield _line("orders", "Cost against order", "order N", by_order, spec.order)
    yield _line("steps", "Cost against sequence length", "steps T", by_steps, spec.input.steps)
    heads = (Head("changed"), Head("to", numeric=True), Head("MACs", numeric=True), Head("parameters", numeric=True))
    rows = [
        Row((Cell(name), Cell(grouped(at), at), Cell(grouped(macs), macs), Cell(grouped(params), params)))
        for name, counted in (("order", by_order), ("steps", by_steps))
        for at, (macs, params) in counted
    ]
    yield Table("recurrence", "Order and sequence length", heads, tuple(rows))


def _longer(spec: HORNN, steps: int) -> HORNN:
    return spec.model_copy(update={"input": spec.input.model_copy(update={"steps": steps})})


def _counted(spec: HORNN) -> tuple[int, int]:
    """Return the MACs and parameters of a spec."""
    cost = count(spec.expand()[0])
    return cost.macs, cost.params


def _line(key: str, title: str, name: str, found: Sequence[tuple[int, tuple[int, int]]], own: int) -> Chart:
    places, counts = tuple(float(at) for at, _ in found), tuple(counted for _, counted in found)
    texts = tuple(f"{name} = {at}\n{scaled(macs)} MACs, {scaled(params)} parameters" for at, (macs, params) in found)
    macs = tuple(float(each[0]) for each in counts)
    here = [place for place, (at, _) in enumerate(found) if at == own]
    series = (
        Series("counted", places, macs, texts=texts, line=True),
        Series(
            "this network",
            tuple(places[place] for place in here),
            tuple(macs[place] for place in here),
            texts=tuple(texts[place] for place in here),
            mark="diamond",
            colour=1,
        ),
    )
    first, last = found[0], found[-1]
    summary = f"From {scaled(first[1][0])} MACs at {name} = {first[0]} to {scaled(last[1][0])} at {last[0]}."
    long = places[-1] > 20 * places[0]
    drawn = Scatter(Axis(name, "count" if long else "number", log=long), Axis("MACs", "count", log=long), series)
    return Chart(key, title, summary, drawn, "recurrence")
