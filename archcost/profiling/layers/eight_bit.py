"""What is said of a network at int8: its calibration, and what was found of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from archcost.graph.account import Account
from archcost.graph.dtypes import INT8
from archcost.latency.measure import Request
from archcost.latency.samples import Samples
from archcost.nets.export.quantisation.words import lines


def calibrated(request: Request) -> tuple[str, ...]:
    """Return what limits counts and latencies at int8, if it was asked for."""
    if INT8 not in request.dtypes:
        return ()
    bytes_words = "weights are counted at their own sizes, all other values as float32, which is the most they take"
    return (f"int8: ranges from inputs drawn at random: a latency, no accuracy is claimed; {bytes_words}",)


def said(found: Sequence[Samples]) -> Iterator[str]:
    """Yield what is to be said of each measurement in 8 bits, behind the way it was measured in."""
    for each in found:
        if each.findings is not None:
            for line in lines(each.findings):
                yield f"{each.way}: {line}"


def sized(accounts: Sequence[Account], found: Sequence[Samples]) -> tuple[Account, ...]:
    """Return accounts at int8 with the layers that were left in float32 where it was measured first at their batch."""
    more: dict[int, int] = {}
    for each in found:
        if each.findings is not None:
            more.setdefault(each.plan.batch, each.findings.float_bytes)
    return tuple(_larger(each, more.get(each.batch, 0)) if each.dtype == INT8 else each for each in accounts)


def _larger(account: Account, more_bytes: int) -> Account:
    weights_bytes, peak_bytes = account.weights_bytes + more_bytes, account.peak_bytes + more_bytes
    return replace(account, weights_bytes=weights_bytes, peak_bytes=peak_bytes)
