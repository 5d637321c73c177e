"""What a pass through a graph keeps: a line for each node, notes, and where nodes are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from archcost.counting.files.onnx.lifetimes import Alive
from archcost.counting.files.onnx.rules.costs import Work
from archcost.counting.files.onnx.rules.steps import Value

Scope: TypeAlias = MutableMapping[str, Value]
"""The values of a graph by name, those of the graphs around it with them."""

Keys: TypeAlias = tuple[object, ...]
"""What tells a node from all others: the places of the nodes around it and its own."""


@dataclass(slots=True)
class Line:
    """What one node did in all its runs: `place` is its path and name from the outside in, `scopes` torch's own.

    weights: for each input the initialiser that it is, or ''; lines of one Constant or initialiser have equal names.
    """

    place: tuple[str, ...]
    op: str
    plain: str
    work: Work
    runs: int
    weights: tuple[str, ...]
    scopes: str = ""

    def add(self, work: Work, runs: int) -> None:
        """Add what the node did in other runs."""
        self.work, self.runs = self.work.plus(work), self.runs + runs


@dataclass(slots=True)
class Seen:
    """What was found so far: a line for each node, notes, and by operator what is counted once for want of trips."""

    lines: dict[Keys, Line] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    bounds: dict[str, int] = field(default_factory=dict)

    @property
    def cost(self) -> tuple[int, int]:
        """What all lines multiply, and their elementwise work."""
        works = [line.work for line in self.lines.values()]
        return sum(work.macs for work in works), sum(work.elementwise for work in works)

    def take(self, other: Seen) -> None:
        """Add what was found apart."""
        for keys, line in other.lines.items():
            if keys in self.lines:
                self.lines[keys].add(line.work, line.runs)
            else:
                self.lines[keys] = line
        self.notes |= other.notes
        for op, calls in other.bounds.items():
            self.bounds[op] = self.bounds.get(op, 0) + calls


@dataclass(frozen=True, slots=True)
class Frame:
    """Where nodes stand: the versions of domains, attributes that a function was called with, runs, and the place."""

    versions: Mapping[str, int]
    given: Mapping[str, Any] = field(default_factory=dict)
    runs: int = 1
    path: tuple[str, ...] = ()
    keys: Keys = ()


Enter: TypeAlias = Callable[[Any, Scope, Frame], tuple[Value, ...]]
"""Passes through a graph whose inputs are in scope, and gives its outputs."""


@dataclass(slots=True)
class Pass:
    """A pass through a model: what it has seen, what is alive, and how a body is entered."""

    enter: Enter
    seen: Seen = field(default_factory=Seen)
    alive: Alive = field(default_factory=Alive)
