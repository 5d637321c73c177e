"""What was found of a file of 8 bits, in words: layers in float32, and whether it pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from archcost.errors import quoted
from archcost.nets.export.quantisation.spec import Findings, FloatLayer, LayerTimes, Turns
from archcost.units import duration

PAYS: Final = 1.1
"""Times as fast as float32 from which 8 bits are worth their loss of accuracy."""

_TINY_S: Final = 20e-6  # of a layer in float32, below which conversions around it take as long as it


def lines(found: Findings) -> Iterator[str]:
    """Yield which layers lose, which are in float32 and why, and whether 8 bits do not pay."""
    if found.given:
        yield f"left in float32, as was decided before: {', '.join(map(quoted, found.given))}"
    if found.losing:
        yield f"slower in 8 bits than in float32: {', '.join(map(_loses, found.losing))}"
    for line in reasons(found.float_layers):
        yield f"left in float32: {line}"
    left = {layer.name for layer in found.float_layers}
    if slow := [layer for layer in found.losing if layer.name not in left]:
        names = ", ".join(quoted(layer.name) for layer in slow)
        yield f"in 8 bits all the same, as the network is not faster with {_it(slow)} in float32: {names}"
    if found.turns is not None and found.turns.slowdown * PAYS > 1:
        yield f"int8 does not pay on this device: {_gain(found.turns)}{_cause(found, found.turns)}"


def reasons(
    found: Sequence[FloatLayer], score: str = "score", said: Callable[[float], str] = "{:.4g}".format
) -> Iterator[str]:
    """Yield why layers are in float32, those that were tried together in one line; score: what it is called and how."""
    groups: dict[tuple[str, float, float], list[FloatLayer]] = {}
    for layer in found:
        groups.setdefault((layer.kind, layer.before, layer.after), []).append(layer)
    for (kind, before, after), layers in groups.items():
        if kind == "slower":
            numbers = f"the network takes {duration(after)} so, {duration(before)} with {_it(layers)} in 8 bits"
        else:
            numbers = f"the {score} is {said(after)} so, {said(before)} with {_it(layers)} in 8 bits"
        yield f"{', '.join(quoted(layer.name) for layer in layers)}: {numbers}"


def _it(layers: Sequence[object]) -> str:
    return "it" if len(layers) == 1 else "them"


def _loses(layer: LayerTimes) -> str:
    return f"{quoted(layer.name)} ({duration(layer.int8_s)}, {duration(layer.float32_s)})"


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
