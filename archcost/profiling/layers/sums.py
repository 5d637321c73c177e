"""Times of layers added up: as a tree of names, by operator, group and column."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from archcost.graph.cost import cut
from archcost.latency.layers.times import LayerTime, LayerTimes
from archcost.units import counted_words, duration

RUNTIMES_OWN: Final = "(runtime's own)"
"""What layers are of that only the runtime knows: of their MACs nothing is known."""


class Sum(NamedTuple):
    """Layers that have something in common, and its name; deep: of a tree, how many parts of names they share."""

    name: str
    layers: tuple[LayerTime, ...]
    deep: int = 1

    @property
    def time_s(self) -> float:
        """All of them together."""
        return math.fsum(layer.time_s for layer in self.layers)

    @property
    def macs(self) -> int | None:
        """Their multiply-accumulates of one example, None if none of theirs are known."""
        known = [layer.macs for layer in self.layers if layer.macs is not None]
        return sum(known) if known else None

    @property
    def leaf(self) -> LayerTime | None:
        """The layer that it is, None if it is none itself, or several."""
        return self.layers[0] if len(self.layers) == 1 and self.layers[0].name == self.name else None


class Whole(NamedTuple):
    """A part of the whole: its label, its time, what it is in words; signed: whether it is of either sign."""

    label: str
    time_s: float
    words: str
    signed: bool = False

    @property
    def said(self) -> str:
        """Its time in words, with its sign if it may be of either."""
        return ("+" if self.signed and self.time_s > 0 else "") + duration(self.time_s)


class Placed(Protocol):
    """A layer, with the column that it is of, None if it is of none."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def column(self) -> int | None:
        """Its column."""


def tree(layers: Sequence[LayerTime], depth: float, deep: int = 1) -> Iterator[Sum]:
    """Yield a tree of names, parts of names apart by dots, in execution order, each above what is below it.

    depth: how many parts a name has at most, infinite for all of them.
    """
    for name, below in _together(layers, lambda layer: cut(layer.name, deep)).items():
        yield Sum(name, tuple(below), deep)
        inner = [layer for layer in below if layer.name != name]
        if inner and deep < depth:
            yield from tree(inner, depth, deep + 1)


def columns_of(layers: Iterable[Placed]) -> dict[str, int]:
    """Return the column of each layer that is of one."""
    return {layer.name: layer.column for layer in layers if layer.column is not None}


def sums(times: LayerTimes, columns: Mapping[str, int]) -> dict[str, tuple[Sum, ...]]:
    """Return the times by operator, by stage, by group and by column, each if there are several, the largest first.

    columns: the column of each layer that is of one (`columns_of`). Stages are the first parts of groups, if these
    have more than one.
    """
    found = {
        "operator": _sums(times, lambda layer: layer.op or _nameless(layer)),
        "stage": _sums(times, lambda layer: cut(layer.group, 1) or _nameless(layer)),
        "group": _sums(times, lambda layer: layer.group or _nameless(layer)),
        "column": _sums(times, lambda layer: _column(columns.get(layer.name))) if columns else (),
    }
    if len(found["stage"]) == len(found["group"]):
        found["stage"] = ()
    return {by: rows for by, rows in found.items() if len(rows) > 1}


def _nameless(layer: LayerTime) -> str:
    return "(none)" if layer.macs is not None else RUNTIMES_OWN


def _column(column: int | None) -> str:
    return "(of no column)" if column is None else f"column {column}"


def _sums(times: LayerTimes, key: Callable[[LayerTime], str]) -> tuple[Sum, ...]:
    found = (Sum(name, tuple(layers)) for name, layers in _together(times.layers, key).items())
    return tuple(sorted(found, key=lambda each: -each.time_s))


def _together(layers: Sequence[LayerTime], key: Callable[[LayerTime], str]) -> dict[str, list[LayerTime]]:
    groups: dict[str, list[LayerTime]] = {}
    for layer in layers:
        groups.setdefault(key(layer), []).append(layer)
    return groups


def wholes(times: LayerTimes) -> tuple[Whole, ...]:
    """Return what adds up to the whole: all layers, what dispatch takes, and what neither explains."""
    count = counted_words(len(times.layers), "layer")
    return (
        Whole("layers", times.parts_s, f"{count}, without their dispatch"),
        Whole("residual", times.residual_s, "dispatch: the same calls, costing nothing"),
        Whole("unexplained", times.unexplained_s, f"the whole less both{_within(times)}", signed=True),
    )


def _within(times: LayerTimes) -> str:
    if times.unexplained_interval_s is None:
        return ""
    low, high = (f"{100 * times.share(bound_s):+.1f}%" for bound_s in times.unexplained_interval_s)
    return f"; blocks {low} to {high}"
