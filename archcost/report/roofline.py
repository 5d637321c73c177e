"""The roofline drawn: every layer below the roofs of a device, both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from archcost.latency.roofline.roof import LEVELS, Bound, Peaks, ridge
from archcost.report.blocks import Axis, Chart, Mark, Rule, Scatter, Series
from archcost.units import counted_words, data_size, percent, scaled

_BEYOND: Final = 4.0  # how far the roofs go on beside the outermost layers
_MARKS: Final[dict[Bound | None, tuple[Mark, int]]] = {
    "compute": ("circle", 0),
    "memory": ("diamond", 1),
    "overhead": ("square", 2),
    None: ("cross", 7),
}
_ABOVE: Final = "a kernel multiplies less than was counted (Winograd), or the peaks were measured on a busier machine"
_ROOF: Final = 3  # the first colour that no layer has


class Point(NamedTuple):
    """A layer in the drawing; intensity: FLOPs a byte; flops_per_s, bytes_per_s: achieved.

    roof_share, bound: as `Standing` has them, None if no roof is known.
    """

    name: str
    intensity: float
    flops_per_s: float
    roof_share: float | None
    bound: Bound | None
    bytes_per_s: float = 0.0


def roofline_chart(points: Sequence[Point], peaks: Peaks, dtype: str, key: str = "roofline", table: str = "") -> Chart:
    """Return the layers below the roofs: a slope for each level of memory, and the level peak of a data type.

    A layer without MACs has no place on logarithmic axes: it is drawn at the left edge, as far below the slopes as its
    bytes a second are below theirs. One without bytes, or without a time, is counted as left out.
    """
    counted = [one for one in points if one.flops_per_s > 0 and 0 < one.intensity < math.inf]
    ends = _ends([one.intensity for one in counted], peaks, dtype)
    moving = [one for one in points if one.intensity == 0 and one.bytes_per_s > 0]
    edge = ends[0] / (_BEYOND if moving else 1)
    beside = [one._replace(intensity=edge, flops_per_s=edge * one.bytes_per_s) for one in moving]
    drawn = [*counted, *beside]
    series = (*_layers(counted, beside), *_roofs((edge / _BEYOND, ends[1]), peaks, dtype))
    axes = Axis("intensity, FLOPs a byte", "number", log=True), Axis("FLOP/s", "count", log=True)
    rules = (Rule(edge * math.sqrt(_BEYOND), "no MACs", upright=True),) if moving else ()
    summary = _summary(points, drawn, beside, dtype)
    return Chart(key, "Roofline", summary, Scatter(*axes, series, rules), table, len(points) - len(drawn))


def _ends(intensities: Sequence[float], peaks: Peaks, dtype: str) -> tuple[float, float]:
    """Return the least and the largest intensity of layers and ridges, a little further out."""
    peak = peaks.flops_per_s(dtype)
    knees = [ridge(peak, level.peak.value) for level in peaks.levels if level.peak and peak]
    known = [*intensities, *knees] or [1.0]
    return min(known), max(known) * _BEYOND


def _layers(counted: Sequence[Point], beside: Sequence[Point]) -> Iterator[Series]:
    for bound, (mark, colour) in _MARKS.items():
        some = [(one, _words(one)) for one in counted if one.bound == bound]
        some += [(one, _moved(one)) for one in beside if one.bound == bound]
        if some:
            yield Series(
                "no roof known" if bound is None else f"bound by {bound}",
                tuple(one.intensity for one, _ in some),
                tuple(one.flops_per_s for one, _ in some),
                tuple(words for _, words in some),
                keys=tuple(one.name for one, _ in some),
                mark=mark,
                colour=colour,
            )


def _words(one: Point) -> str:
    reached = scaled(round(one.flops_per_s), "FLOP/s")
    return f"{one.name}\n{one.intensity:.3g} FLOPs a byte\n{reached}{_standing(one)}"


def _moved(one: Point) -> str:
    return f"{one.name}\nno MACs: at the edge\n{scaled(round(one.bytes_per_s), 'B/s')}{_standing(one)}"


def _standing(one: Point) -> str:
    return "" if one.roof_share is None else f", {percent(one.roof_share)} of the roof, bound by {one.bound}"


def _roofs(ends: tuple[float, float], peaks: Peaks, dtype: str) -> Iterator[Series]:
    """Yield a line from end to end for each level: it rises with its bytes/s to its ridge, and is level from there."""
    peak = peaks.flops_per_s(dtype)
    for level in peaks.levels:
        if level.peak is None:
            continue
        rate = level.peak.value
        knee = [ridge(peak, rate)] if peak else []
        across = (ends[0], *knee, ends[1])
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


def _summary(points: Sequence[Point], drawn: Sequence[Point], beside: Sequence[Point], dtype: str) -> str:
    counts = ", ".join(
        f"{some} by {bound}" for bound in _MARKS if bound and (some := sum(one.bound == bound for one in points))
    )
    words = f"Each mark is a layer in {dtype}, below what this device allows at its FLOPs a byte."
    if counts:
        words += f" Bound are {counts}."
    if beside:
        words += f" At the left edge {_are(len(beside))} without MACs, by the bytes a second."
    known = [(one.roof_share, one.name) for one in drawn if one.roof_share is not None]
    if known:
        share, name = min(known)
        words += f" Furthest below its roof is {name}, at {percent(share)}."
    if above := sum(share > 1 for share, _ in known):
        words += f" Above their roof {_are(above)}: {_ABOVE}."
    if unknown := sum(one.bound is None for one in points):
        words += f" Of {counted_words(unknown, 'layer')} no roof is known."
    return words


def _are(count: int) -> str:
    return f"{'is' if count == 1 else 'are'} {counted_words(count, 'layer')}"
