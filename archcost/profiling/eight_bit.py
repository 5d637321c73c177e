"""What is said of a network at int8: what it was calibrated on, and whether 8 bits pay here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from archcost.graph.dtypes import INT8
from archcost.latency.measure import Request
from archcost.latency.summary import Latency
from archcost.units import duration

PAYS: Final = 1.1
"""Times as fast as float32 from which 8 bits are worth their loss of accuracy."""


def calibrated(request: Request) -> tuple[str, ...]:
    """Return what limits counts and latencies at int8, if it was asked for."""
    if INT8 not in request.dtypes:
        return ()
    bytes_words = "weights are counted at their own sizes, all other values as float32, which is the most they take"
    return (f"int8: ranges from inputs drawn at random: a latency, no accuracy is claimed; {bytes_words}",)


def not_worth_it(latencies: Sequence[Latency]) -> Iterator[str]:
    """Yield a sentence for each way in which int8 is less than 1.1 times as fast as float32, measured beside it."""
    medians = {latency.way: latency.median_s for latency in latencies}
    for way, took_s in medians.items():
        before_s = medians.get(replace(way, dtype="float32"))
        if way.dtype == INT8 and before_s is not None and before_s / took_s < PAYS:
            times = f"{before_s / took_s:.2f} times as fast as float32"
            yield f"int8 does not pay on this device: {duration(took_s)}, {times}; {way}"
