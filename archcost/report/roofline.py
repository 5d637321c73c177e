"""The roofline drawn: every layer below the roofs of a device, both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from archcost.latency.roofline.roof import LEVELS, Bound, Peaks, ridge
from archcost.report.blocks import Axis, Chart, Mark, Scatter, Series
from archcost.units import data_size, percent, scaled

_BEYOND: Final = 4.0  # how far the roofs go on beside the outermost layers
_MARKS: Final[dict[Bound, tuple[Mark, int]]] = {
    "compute": ("circle", 0),
    "memory": ("diamond", 1),
    "overhead": ("square", 2),
}
_ROOF: Final = 3  # the first colour that no layer has


class Point(NamedTuple):
    """A layer in the drawing; intensity: FLOPs a byte; flops_per_s: achieved; roof_share, bound: as `Standing` has."""

    name: str
    intensity: float
    flops_per_s: float
    roof_share: float
    bound: Bound


def roofline_chart(points: Sequence[Point], peaks: Peaks, dtype: str, key: str = "roofline", table: str = "") -> Chart:
    """Return the layers below the roofs: a slope for each level of memory, and the level peak of a data type.

    Layers without MACs, or without bytes, have no place on logarithmic axes: they are counted as left out.
    """
    drawn = [one for one in points if one.flops_per_s > 0 and 0 < one.intensity < math.inf]
    series = (*_layers(drawn), *_roofs([one.intensity for one in drawn], peaks, dtype))
    axes = Axis("intensity, FLOPs a byte", "number", log=True), Axis("FLOP/s", "count", log=True)
    return Chart(
        key, "Roofline", _summary(points, drawn, dtype), Scatter(*axes, series), table, len(points) - len(drawn)
    )


def _layers(drawn: Sequence[Point]) -> Iterator[Series]:
    for bound, (mark, colour) in _MARKS.items():
        if some := [one for one in drawn if one.bound == bound]:
            yield Series(
                f"bound by {bound}",
                tuple(one.intensity for one in some),
                tuple(one.flops_per_s for one in some),
                tuple(_words(one) for one in some),
                keys=tuple(one.name for one in some),
                mark=mark,
                colour=colour,
            )


def _words(one: Point) -> str:
    reached = f"{scaled(round(one.flops_per_s), 'FLOP/s')}, {percent(one.roof_share)} of the roof"
    return f"{one.name}\n{one.intensity:.3g} FLOPs a byte\n{reached}, bound by {one.bound}"


def _roofs(intensities: Sequence[float], peaks: Peaks, dtype: str) -> Iterator[Series]:
    """Yield a line for each level: it rises with its bytes/s up to its ridge, and is level at the peak from there."""
    peak = peaks.flops_per_s(dtype)
    for level in peaks.levels:
        if level.peak is None:
            continue
        rate = level.peak.value
        knee = [ridge(peak, rate)] if peak else []
        ends = [*intensities, *knee] or [1.0]
        first, last = min(ends) / _BEYOND, max(ends) * _BEYOND
        across = (first, *knee, last)
        up = tuple(min(rate * at, peak or math.inf) for at in across)
        held = f", up to {data_size(level.holds_bytes)}" if level.holds_bytes else ""
        words = f"{level.name}{held}: {scaled(round(rate), 'B/s')}" + (
            f"\n{dtype}: {scaled(round(peak), 'FLOP/s')}" if peak else ""
        )
        yield Series(
            level.name,
            across,
            up,
            (words,) * len(across),
            mark=None,
            line=True,
            colour=_ROOF + LEVELS.index(level.name),
        )


def _summary(points: Sequence[Point], drawn: Sequence[Point], dtype: str) -> str:
    counts = ", ".join(f"{sum(one.bound == bound for one in points)} by {bound}" for bound in _MARKS)
    words = f"Each mark is a layer in {dtype}, below what this device allows at its FLOPs a byte. Bound are {counts}."
    if drawn:
        far = min(drawn, key=lambda one: one.roof_share)
        words += f" Furthest below its roof is {far.name}, at {percent(far.roof_share)}."
    return words
