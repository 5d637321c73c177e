"""Control flow of ONNX: If counts its dearer branch, a loop its body times its trips."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from archcost.counting.files.onnx.frames import Frame, Pass, Scope, Seen
from archcost.counting.files.onnx.rules.steps import Sizes, Step, Value
from archcost.errors import InputError, quoted

_BOOL, _INT64 = 9, 7  # as TensorProto numbers types
_NUMBER: Final = Value(_INT64, ())
_GOING: Final = Value(_BOOL, (), np.array(True))
_MOST_TRIPS: Final = 10_000
"""The most trips of a loop that are followed one by one; of one whose shapes stay the same one is enough."""


def enters(step: Step) -> bool:
    """Return whether an operator has bodies that are entered."""
    return not step.domain and step.op in ("If", "Loop", "Scan")


def entered(state: Pass, node: Any, step: Step, scope: Scope, frame: Frame) -> tuple[Value, ...]:
    """Return what control flow gives, its bodies counted."""
    body = _Control(state, node, step, scope, frame)
    match step.op:
        case "If":
            made = body.branches()
        case "Loop":
            made = body.loop()
        case _:
            made = body.scan()
    return tuple(state.alive.born(replace(value, owner=None, weight="", known=None)) for value in made)


@dataclass(frozen=True, slots=True)
class _Control:
    """One node of control flow as the pass reaches it."""

    state: Pass
    node: Any
    step: Step
    scope: Scope
    frame: Frame

    def branches(self) -> tuple[Value, ...]:
        """Count an If: the branch that is taken if that is known, else the dearer one."""
        condition = _truth(self.step.input(0))
        if condition is not None:
            return self._once("then_branch" if condition else "else_branch", [])
        found = [self._apart(name) for name in ("then_branch", "else_branch")]
        dearer = 0 if found[0][0].cost >= found[1][0].cost else 1
        seen, made = found[dearer]
        self.state.seen.take(seen)
        which = ("then", "else")[dearer]
        self.state.seen.notes[f"{self._label} depends on data: its dearer branch, {which}, is counted"] = None
        return made

    def _apart(self, name: str, inputs: Sequence[Value] = ()) -> tuple[Seen, tuple[Value, ...]]:
        """Return what a body does, and what it gives, without adding it to the count."""
        before, self.state.seen = self.state.seen, Seen()
        try:
            made = self._once(name, inputs)
            return self.state.seen, made
        finally:
            self.state.seen = before

    def _once(self, name: str, inputs: Sequence[Value], runs: int = 1) -> tuple[Value, ...]:
        """Return what a body gives for its inputs, counted so many times; it sees the names around it."""
        graph = next((each.g for each in self.node.attribute if each.name == name and each.HasField("g")), None)
        if graph is None:
            raise InputError(f"{self._label} has no {name}")
        if len(inputs) != len(graph.input):
            raise InputError(f"{self._label}: its {name} takes {len(graph.input)} inputs and gets {len(inputs)}")
        again = self.state.alive.again
        names = {each.name: again(value) for each, value in zip(graph.input, inputs, strict=True)}
        frame = replace(self.frame, keys=(*self.frame.keys, name), runs=self.frame.runs * runs)
        return self.state.enter(graph, ChainMap(names, self.scope), frame)

    def loop(self) -> tuple[Value, ...]:
        """Count a Loop: inputs are the most trips and the condition, each may be left out, and states."""
        most = _number(self.step.inputs[0])
        states = [value for value in self.step.inputs[2:] if value is not None]
        blank = [_NUMBER, _GOING, *(value.without() for value in states)]
        _, made = self._apart("body", blank)
        steady = all(_alike(state, value) for state, value in zip(states, made[1:], strict=False))
        first = self.step.inputs[1] if len(self.step.inputs) > 1 and self.step.inputs[1] is not None else _GOING
        if most is not None and steady and _truth(first) is True and _truth(made[0]) is True:
            trips: int | None = most
            if most:
                made = self._once("body", blank, most)
        else:
            trips, seen, last = self._trip_by_trip(most, first, states)
            if trips is None:
                made = self._once("body", [_NUMBER, Value(_BOOL, ()), *blank[2:]])
                self._bound()
            else:
                self.state.seen.take(seen)
                made = last or made
        kept = made[1 : 1 + len(states)]
        if trips is None and not steady:
            kept = tuple(Value(value.elem) for value in kept)
        elif trips == 0:
            kept = tuple(states)
        return (*kept, *(_stacked(value, trips) for value in made[1 + len(states) :]))

    def _trip_by_trip(
        self, most: int | None, going: Value, states: list[Value]
    ) -> tuple[int | None, Seen, tuple[Value, ...]]:
        """Follow a loop whose condition is known in every trip; the trips are None if it is not, or they are many."""
        made: tuple[Value, ...] = ()
        total, limit = Seen(), _MOST_TRIPS if most is None else most
        if limit > _MOST_TRIPS:
            return None, total, made
        for trip in range(limit + 1):
            if _truth(going) is None:
                return None, total, made
            if not _truth(going) or trip == most:
                return trip, total, made
            seen, made = self._apart("body", [Value(_INT64, (), np.array(trip)), going, *states])
            total.take(seen)
            going, states = made[0], list(made[1 : 1 + len(states)])
        return None, total, made

    def scan(self) -> tuple[Value, ...]:
        """Count a Scan: states, then sequences, of which the body gets a slice in each trip (from version 9 on)."""
        count, inputs = self.step.number("num_scan_inputs"), self.step.inputs
        if self.step.version < 9 or not 0 < count <= len(inputs):
            self._bound()
            return ()
        states = [value.without() for value in inputs[:-count] if value is not None]
        axes = self.step.numbers("scan_input_axes") or (0,) * count
        slices, trips = [], None
        for value, axis in zip(inputs[-count:], axes, strict=False):
            sizes = value.sizes if value is not None else None
            if value is None or not sizes:
                slices.append(Value(0 if value is None else value.elem))
                continue
            place = axis % len(sizes)
            slices.append(Value(value.elem, (*sizes[:place], *sizes[place + 1 :])))
            trips = sizes[place] if trips is None else trips
        made = self._once("body", [*states, *slices], 1 if trips is None else trips)
        if trips is None:
            self._bound()
        results = made[len(states) :]
        out_axes = self.step.numbers("scan_output_axes") or (0,) * len(results)
        return (*made[: len(states)], *(_stacked(v, trips, a) for v, a in zip(results, out_axes, strict=False)))

    @property
    def _label(self) -> str:
        name = quoted(self.node.name) if self.node.name else f"without a name, number {self.frame.keys[-1]}"
        return f"{self.step.op} {name}"

    def _bound(self) -> None:
        """Say that the trips follow from data: the body is counted once, which is a lower bound."""
        seen, op = self.state.seen, self.step.op
        seen.bounds[op] = seen.bounds.get(op, 0) + 1
        seen.notes[f"how often {self._label} runs depends on data: one trip is counted, a lower bound"] = None


def _stacked(value: Value, trips: int | None, axis: int = 0) -> Value:
    """Return what the trips' results are together, along a new axis."""
    if value.sizes is None:
        return Value(value.elem)
    sizes: Sizes = value.sizes
    place = axis % (len(sizes) + 1)
    return Value(value.elem, (*sizes[:place], trips, *sizes[place:]))


def _number(value: Value | None) -> int | None:
    if value is None or value.known is None or value.known.size != 1:
        return None
    return max(0, int(value.known.reshape(-1)[0]))


def _truth(value: Value) -> bool | None:
    return None if value.known is None or value.known.size != 1 else bool(value.known.reshape(-1)[0])


def _alike(one: Value, other: Value) -> bool:
    return one.elem == other.elem and one.sizes == other.sizes and one.raw == other.raw
