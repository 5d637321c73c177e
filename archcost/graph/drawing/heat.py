"""Boxes coloured by quantities of their nodes, such as MACs or time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from archcost.graph.drawing.boxes import Box


class Heat(NamedTuple):
    """A quantity: its name, its value of each node that has one, and how a value is said."""

    name: str
    values: Mapping[str, float]
    words: Callable[[float], str]


class Warm(NamedTuple):
    """How full a box is by each quantity, from 0 to 1 of the fullest, and that in words."""

    levels: tuple[float, ...]
    words: tuple[str, ...]


def warmed(boxes: Sequence[Box], heats: Sequence[Heat]) -> tuple[Warm, ...]:
    """Return how full each box is: it has the sum of its nodes' values; one below zero is as empty as zero."""
    columns = [_column(boxes, heat) for heat in heats]
    fullest = [max((0.0, *column)) or 1.0 for column in columns]
    found = []
    for at in range(len(boxes)):
        values = [column[at] for column in columns]
        levels = tuple(max(0.0, value) / most for value, most in zip(values, fullest, strict=True))
        words = tuple(f"{heat.name}: {heat.words(value)}" for heat, value in zip(heats, values, strict=True))
        found.append(Warm(levels, words))
    return tuple(found)


def _column(boxes: Sequence[Box], heat: Heat) -> list[float]:
    return [sum(heat.values.get(name, 0.0) for name in box.nodes) for box in boxes]
