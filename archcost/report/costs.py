"""Where a network's cost is: boxes in boxes by its modules' names, and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from archcost.report.blocks import MOST_ROWS, Block, Cell, Chart, Head, Row, Table
from archcost.report.boxes import Piece, nested
from archcost.report.json_input import Layer, Profiled
from archcost.report.layers.views import switch, time_charts
from archcost.rows import as_csv
from archcost.units import data_size, grouped, percent, scaled

_HEADS: Final = (
    Head("node"),
    Head("group"),
    Head("operator"),
    Head("shape"),
    Head("runs", numeric=True, note="times a pass"),
    Head("parameters", numeric=True),
    Head("MACs", numeric=True, note="multiply-accumulates of one example"),
    Head("share", numeric=True, note="of the MACs"),
    Head("elementwise", numeric=True),
    Head("backward MACs", numeric=True, note="what a training step adds"),
    Head("read", numeric=True, note="bytes"),
    Head("written", numeric=True, note="bytes"),
    Head("operations a byte", numeric=True, note="what is low is bound by memory, not by arithmetic"),
)


def cost_blocks(found: Profiled) -> Iterator[Block]:
    """Yield the icicle of modules, the totals by group and every layer."""
    chart = _icicle(found, "macs" if found.macs else "params")
    if found.layer_times:
        yield switch(found, "costs")
        yield replace(chart, view=0)
        yield from time_charts(found)
    else:
        yield chart
    if len({layer.group for layer in found.layers}) > 1:
        yield _groups(found)
    unknown = {operator.op for operator in found.uncounted}
    rows = [_row(layer, found.macs, layer.op in unknown) for layer in found.layers[:MOST_ROWS]]
    caption = "Every node" if found.model.family != "module" else "Every operator, part by part"
    yield Table("layers", caption, _HEADS, tuple(rows), max(0, len(found.layers) - MOST_ROWS), open=len(rows) <= 60)


def layers_csv(found: Profiled) -> str:
    """Return every layer as CSV, base units."""
    heads = [name for name in Layer.model_fields if name != "shape"]
    rows = ([*(getattr(layer, name) for name in heads), tuple(layer.shape)] for layer in found.layers)
    return as_csv([*heads, "shape"], rows)


def _icicle(found: Profiled, by: str) -> Chart:
    pieces = [Piece(each.name, each.group, getattr(each, by), (each.macs, each.params)) for each in found.layers]
    boxes = nested(found.model.name, pieces, _amounts)
    words, whole = {"macs": "MACs", "params": "parameters"}[by], sum(piece.size for piece in pieces)
    most = f" Most, {percent(boxes.most[1] / whole)}, is in {boxes.most[0]}." if boxes.most else ""
    summary = f"Each box is as wide as its share of the {words}; boxes below are its parts.{most}"
    if by == "macs" and found.uncounted:
        summary += " The MACs are a lower bound: some operators have no count."
    if boxes.left_out:
        summary += f" {grouped(boxes.left_out)} of the smallest are left out."
    return Chart("modules", f"Where the {words} are", summary, boxes.drawn, "layers")


def _amounts(amounts: tuple[float, ...]) -> str:
    macs, params = map(int, amounts)
    return f"{scaled(macs)} MACs, {scaled(params)} parameters"


def _groups(found: Profiled) -> Table:
    sums: dict[str, list[Layer]] = {}
    for layer in found.layers:
        sums.setdefault(layer.group or "(no group)", []).append(layer)
    macs, elementwise = (f"{head}{', at least' if found.uncounted else ''}" for head in ("MACs", "elementwise"))
    heads = (Head("group"), Head("parameters", numeric=True), Head("share", numeric=True), Head(macs, numeric=True),
             Head("share", numeric=True), Head(elementwise, numeric=True), Head("written", numeric=True))  # fmt: skip
    return Table("groups", "By group", heads, tuple(_group(name, layers, found) for name, layers in sums.items()))


def _group(name: str, layers: Sequence[Layer], found: Profiled) -> Row:
    params, macs = sum(layer.params for layer in layers), sum(layer.macs for layer in layers)
    elementwise, written = sum(layer.elementwise for layer in layers), sum(layer.written_bytes for layer in layers)
    return Row((
        Cell(name), Cell(grouped(params), params), _share(params, found.params), Cell(grouped(macs), macs),
        _share(macs, found.macs), Cell(grouped(elementwise), elementwise), Cell(data_size(written), written),
    ))  # fmt: skip


def _share(part: int, whole: int) -> Cell:
    return Cell(percent(part / whole), part / whole) if whole else Cell("-")


def _row(layer: Layer, macs: int, unknown: bool) -> Row:
    """Return the row of a layer; unknown: whether its operator has no count."""
    counts = [Cell("not counted")] * 3 if unknown else [
        Cell(grouped(layer.macs), layer.macs),
        _share(layer.macs, macs),
        Cell(grouped(layer.elementwise), layer.elementwise),
    ]  # fmt: skip
    backward, per_byte = layer.backward_macs, layer.intensity
    return Row((
        Cell(layer.name),
        Cell(layer.group),
        Cell(layer.op),
        Cell(" x ".join(map(str, layer.shape))),
        Cell(grouped(layer.runs), layer.runs),
        Cell(grouped(layer.params), layer.params),
        *counts,
        Cell("-" if backward is None else grouped(backward), backward),
        Cell(data_size(layer.read_bytes), layer.read_bytes),
        Cell(data_size(layer.written_bytes), layer.written_bytes),
        Cell("-" if per_byte is None or unknown else f"{per_byte:.3g}", per_byte),
    ))  # fmt: skip
