"""What one node costs: its rule by operator and domain, and the bytes that it moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from archcost.counting.files.onnx import tensors
from archcost.counting.files.onnx.rules import microsoft, products
from archcost.counting.files.onnx.rules.elementwise import ELEMENTWISE, LOOKUPS, MOVES, VIEWS
from archcost.counting.files.onnx.rules.products import Rule
from archcost.counting.files.onnx.rules.shapes import alike_step
from archcost.counting.files.onnx.rules.steps import Step, UnknownShape, Value

STANDARD: Final = frozenset({"", "ai.onnx.ml", "ai.onnx.preview.training"})
"""Domains of ONNX's own operators, of which every one has a rule, moves values, or is on the list of open ones."""


_NUMBERS: Final = ("macs", "elementwise", "read", "written", "read_bytes", "written_bytes")


@dataclass(frozen=True, slots=True)
class Work:
    """What one call of a node does: scalars, and bytes as values are typed; known: whether it has a count."""

    macs: int = 0
    elementwise: int = 0
    read: int = 0
    written: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    shape: tuple[int, ...] = ()
    known: bool = True

    def times(self, runs: int) -> Work:
        """Return the work of so many runs."""
        return replace(self, **{name: getattr(self, name) * runs for name in _NUMBERS})

    def plus(self, other: Work) -> Work:
        """Return the work of both; the shape is the later one's."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in _NUMBERS}
        return replace(other, **sums, known=self.known and other.known)


def work(step: Step) -> Work:
    """Return what a node does; it is not known if there is no rule, or sizes that the rule needs follow from data."""
    macs_of, elementwise_of, known = _rules(step)
    try:
        macs = macs_of(_as(step)) if macs_of else 0
    except (UnknownShape, IndexError, ValueError):
        macs, known = 0, False
    try:
        elementwise = elementwise_of(_as(step)) if elementwise_of else 0
    except (UnknownShape, IndexError, ValueError):
        elementwise = 0
    alike = _alike(step)
    if alike and step.outputs:
        elementwise += alike.more * (_size(step.outputs[0]))
    read, read_bytes = _read(step)
    outputs = () if is_view(step) else step.outputs
    written = sum(_size(value) for value in outputs)
    shape = step.outputs[0].sizes if step.outputs and step.outputs[0] and step.outputs[0].is_known else ()
    return Work(macs, elementwise, read, written, read_bytes, sum(map(bytes_of, outputs)), tuple(shape or ()), known)  # type: ignore[arg-type]  # every size is known


def is_view(step: Step) -> bool:
    """Return whether a node's result is the storage of its first input."""
    return not step.domain and step.op in VIEWS


def _rules(step: Step) -> tuple[Rule | None, Rule | None, bool]:
    """Return a node's rules, for what it multiplies and for elementwise work, and whether it has a count at all."""
    if step.domain == microsoft.DOMAIN or step.op == "SimplifiedLayerNormalization":
        if (alike := _alike(step)) is not None:
            return products.PRODUCTS.get(alike.op), ELEMENTWISE.get(alike.op), True
        own = microsoft.OWN.get(step.op) if step.domain else microsoft.SIMPLIFIED
        return (own.macs, own.elementwise, True) if own else (None, None, False)
    if step.domain not in STANDARD:
        return None, None, False
    macs = products.CLASSICAL.get(step.op) if step.domain else products.PRODUCTS.get(step.op)
    elementwise = ELEMENTWISE.get(step.op)
    return macs, elementwise, bool(macs or elementwise or step.op in MOVES)


def _alike(step: Step) -> microsoft.Alike | None:
    return microsoft.ALIKE.get(step.op) if step.domain == microsoft.DOMAIN else None


def _as(step: Step) -> Step:
    """Return a step as the operator whose rule it is counted by."""
    alike = _alike(step)
    return step if alike is None else alike_step(alike, step)


def _read(step: Step) -> tuple[int, int]:
    if is_view(step):
        return 0, 0
    given = step.inputs
    if step.op in LOOKUPS and step.outputs:
        given = (*given[1:], step.outputs[0])
    return sum(map(_size, given)), sum(map(bytes_of, given))


def _size(value: Value | None) -> int:
    return value.count if value is not None and value.is_known else 0


def bytes_of(value: Value | None) -> int:
    """Return the bytes of a value, 0 of one whose size follows from data."""
    return tensors.size_bytes(value.elem, value.count) if value is not None and value.is_known else 0
