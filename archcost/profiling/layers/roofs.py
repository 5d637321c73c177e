"""The roof over each layer: its share of it, and what binds it, by the device's peaks."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from archcost.errors import TargetError
from archcost.graph.dtypes import INT8
from archcost.latency.layers.times import LayerTime, LayerTimes
from archcost.latency.measure import Place, Progress
from archcost.latency.roofline import stock
from archcost.latency.roofline.kept import Kept
from archcost.latency.roofline.roof import Bound, Peaks, Run, standing
from archcost.latency.targets.device import this_conditions


class Roofed(NamedTuple):
    """Times of layers with their shares of the roof, what there is to say of the peaks, and these, if there are any."""

    times: LayerTimes
    remarks: tuple[str, ...] = ()
    kept: Kept | None = None


def under_roofs(times: LayerTimes, place: Place, progress: Progress) -> Roofed:
    """Return times of layers with their shares of the roof, and the peaks that these are of.

    Peaks are measured on first use. Of a target that has none, and of a dtype without a peak, nothing is known.
    """
    if place.facts is None or place.target.peaks is None:
        return Roofed(times)
    try:
        of = stock.key_of(place.facts, times.way.threads, this_conditions())
        found = stock.at_hand(of, place.target, progress)
    except TargetError as error:
        return Roofed(times, (f"no roof over its layers: {error}",))
    return Roofed(times.bounded(partial(_of_layer, times, found.kept.peaks)), found.remarks, found.kept)


def _of_layer(times: LayerTimes, peaks: Peaks, layer: LayerTime) -> tuple[float | None, Bound | None]:
    if layer.macs is None or layer.moved_bytes is None or layer.time_s <= 0:
        return None, None
    if times.way.dtype == INT8 and layer.macs:  # in which type a product ran is not known: some are left in float32
        return None, None
    run = Run(times.way.batch * layer.macs, layer.moved_bytes, times.way.dtype, layer.time_s)
    found = standing(run, peaks, _call_s(times))
    return (None, None) if found is None else (found.roof_share, found.bound)


def _call_s(times: LayerTimes) -> float | None:
    """Return what an empty call costs in a layer's runtime, None if it is torch, whose cost is among the peaks."""
    return None if times.way.runtime == "eager" else times.residual_s / max(1, len(times.layers))
