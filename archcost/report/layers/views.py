"""What the page is switched by: MACs or the time in each way, in boxes and in the drawing."""

from __future__ import annotations

from collections.abc import Iterator

from archcost.graph.drawing.heat import Heat
from archcost.latency.layers.times import LayerTime, LayerTimes
from archcost.profiling.layers.sums import RUNTIMES_OWN
from archcost.report.blocks import Chart, Switch
from archcost.report.boxes import Piece, nested
from archcost.report.json_input import Profiled
from archcost.report.timing import apart
from archcost.units import counted_words, duration, grouped, percent, scaled


def switch(found: Profiled, key: str) -> Switch:
    """Return the switch between MACs and the time in each way that was attributed."""
    counts = "MACs" if found.macs else "parameters"
    return Switch(key, "Size and colour show", (counts, *(f"time, {name}" for name in names(found))))


def names(found: Profiled) -> list[str]:
    """Return what tells the ways that were attributed from each other."""
    return apart([times.way for times in found.layer_times or ()])


def time_charts(found: Profiled) -> Iterator[Chart]:
    """Yield for each way the boxes by the time in them, of the views after the first."""
    for place, (name, times) in enumerate(zip(names(found), found.layer_times or (), strict=True), 1):
        pieces = [_piece(layer) for layer in times.layers]
        pieces += [
            Piece(label, "", time_s, (time_s, 0))
            for label, time_s in (("(dispatch)", times.residual_s), ("(unexplained)", times.unexplained_s))
        ]
        boxes = nested(found.model.name, pieces, _amounts, times.end_to_end_s)
        lines = [f"Each box is as wide as its share of the time, and its parts are below it: {name}.", *_told(times)]
        if boxes.most:
            lines.insert(1, f"Most, {percent(times.share(boxes.most[1]))} of a call, is in {boxes.most[0]}.")
        if boxes.left_out:
            lines.append(f"{grouped(boxes.left_out)} of the smallest are left out.")
        title = f"Where the time is: {name}"
        yield Chart(f"modules-{place}", title, " ".join(lines), boxes.drawn, f"times-{place}", view=place)


def _piece(layer: LayerTime) -> Piece:
    group = RUNTIMES_OWN if layer.macs is None and not layer.group else layer.group
    return Piece(layer.name, group, layer.time_s, (layer.time_s, layer.macs or 0))


def _amounts(amounts: tuple[float, ...]) -> str:
    return f"{duration(amounts[0])}, {scaled(int(amounts[1]))} MACs"


def _told(times: LayerTimes) -> Iterator[str]:
    """Yield what boxes cannot show: what is below zero."""
    if times.unexplained_s < 0:
        yield (
            f"Layers and dispatch are together more than the whole: {duration(times.unexplained_s)} are unexplained, "
            "which no box can show."
        )
    if some := sum(layer.time_s <= 0 for layer in times.layers):
        yield f"{counted_words(some, 'layer')} took no time that could be told from none."


def heats(found: Profiled) -> tuple[Heat, ...]:
    """Return what boxes of the drawing are coloured by, in the order of the switch; none if no layer was timed."""
    if not found.layer_times:
        return ()
    by = "macs" if found.macs else "params"
    counts = Heat(
        "MACs" if found.macs else "parameters", {each.name: getattr(each, by) for each in found.layers}, _count
    )
    ways = zip(names(found), found.layer_times, strict=True)
    times = (Heat(f"time, {name}", {each.name: each.time_s for each in timed.layers}, duration) for name, timed in ways)
    return counts, *times


def _count(value: float) -> str:
    return scaled(int(value))


def heat_words(found: Profiled) -> tuple[str, ...]:
    """Return what each view of the drawing shows, in words; nodes are those of `found.layers`."""
    if not found.layer_times:
        return ()
    known = {each.name for each in found.layers}
    counts = "MACs" if found.macs else "parameters"
    words = [f"The more of the {counts} a box has, the fuller are its colour and its bar."]
    for name, times in zip(names(found), found.layer_times, strict=True):
        inside_s = sum(each.time_s for each in times.layers if each.name in known)
        part = f"Boxes have {percent(times.share(inside_s))} of a call"
        rest = "in none are dispatch, kernels of the runtime's own, and what is unexplained"
        words.append(
            f"The more of the time a box takes, the fuller are its colour and its bar: {name}. {part}; {rest}."
        )
    return tuple(words)
