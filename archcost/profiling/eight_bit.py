"""What is said of a network at int8: its calibration, the layers left in float32, whether 8 bits pay here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from archcost.errors import quoted
from archcost.graph.account import Account
from archcost.graph.dtypes import INT8
from archcost.latency.measure import Request
from archcost.latency.samples import Samples
from archcost.nets.export.quantisation.spec import Findings, FloatLayer, LayerTimes, Turns
from archcost.units import duration

PAYS: Final = 1.1
"""Times as fast as float32 from which 8 bits are worth their loss of accuracy."""

_TINY_S: Final = 20e-6  # of a layer in float32, below which conversions around it take as long as it


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


def lines(found: Findings) -> Iterator[str]:
    """Yield which layers are in float32 and why, which others lose, and whether 8 bits do not pay."""
    groups: dict[tuple[str, float, float], list[FloatLayer]] = {}
    for layer in found.float_layers:
        groups.setdefault((layer.why, layer.before, layer.after), []).append(layer)
    for (why, before, after), layers in groups.items():
        names = ", ".join(quoted(layer.name) for layer in layers)
        if why == "slower":
            numbers = f"the network takes {duration(after)} so, {duration(before)} with {_it(layers)} in 8 bits"
        else:
            numbers = f"the score is {after:.4g} so, {before:.4g} with {_it(layers)} in 8 bits"
        yield f"left in float32: {names}: {numbers}"
    left = {layer.name for layer in found.float_layers}
    if slow := [layer for layer in found.losing if layer.name not in left]:
        words = "; ".join(map(_loses, slow))
        yield f"slower in 8 bits, though the network is not faster with them in float32: {words}"
    if found.turns is not None and found.turns.slowdown * PAYS > 1:
        yield f"int8 does not pay on this device: {_gain(found.turns)}{_cause(found, found.turns)}"


def _it(layers: Sequence[object]) -> str:
    return "it" if len(layers) == 1 else "them"


def _loses(layer: LayerTimes) -> str:
    return f"{quoted(layer.name)} {duration(layer.int8_s)}, in float32 {duration(layer.float32_s)}"


def _gain(turns: Turns) -> str:
    times = f"{1 / turns.slowdown:.2f} times as fast as float32 by turns with it"
    return f"{duration(turns.other_s)}, {times} ({duration(turns.first_s)})"


def _cause(found: Findings, turns: Turns) -> str:
    """Return why 8 bits do not pay, as far as it is known, behind a semicolon."""
    if found.instructions == ():
        return "; this processor has no instructions for products of 8 bits"
    if found.layers and turns.first_s / found.layers < _TINY_S:
        return f"; its layers are small: {duration(turns.first_s / found.layers)} each in float32"
    return ""


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
