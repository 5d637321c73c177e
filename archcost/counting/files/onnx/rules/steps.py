"""One call of an ONNX operator as rules see it: attributes, inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeAlias

Shape: TypeAlias = tuple[int, ...]
Sizes: TypeAlias = "tuple[int | None, ...]"
"""A shape with None for each size that follows from data."""


class UnknownShape(Exception):  # noqa: N818 - not a mistake of anybody's: data decide, and the operator is uncounted
    """A rule asked for a size that is not known."""


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of one value: its type, its sizes (None: not even their number), its content if it is small.

    raw: the whole type of a sequence or an optional; owner: the storage that it is in, None of weights and constants;
    weight: the initialiser or constant that it is, '' of what a node computes.
    """

    elem: int = 0
    sizes: Sizes | None = None
    known: Any = None
    raw: Any = None
    owner: int | None = None
    weight: str = ""

    @property
    def shape(self) -> Shape:
        """The shape; raises UnknownShape if a part of it follows from data."""
        if self.sizes is None or None in self.sizes:
            raise UnknownShape
        return self.sizes  # type: ignore[return-value]  # no None is in it

    @property
    def is_known(self) -> bool:
        """Whether every size is known."""
        return self.sizes is not None and None not in self.sizes

    @property
    def count(self) -> int:
        """How many values it has; raises UnknownShape."""
        return prod(self.shape)

    def without(self) -> Value:
        """Return the same value with nothing known of its content."""
        return replace(self, known=None)


@dataclass(frozen=True, slots=True)
class Step:
    """A node that runs: inputs that are left out are None, as are outputs that nobody wants."""

    op: str
    domain: str
    version: int
    attributes: Mapping[str, Any]
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value | None, ...] = ()

    def has(self, place: int) -> bool:
        """Return whether an input is given."""
        return place < len(self.inputs) and self.inputs[place] is not None

    def input(self, place: int) -> Value:
        """Return an input; raises UnknownShape if it is left out: the rule asks for what is not there."""
        if place >= len(self.inputs) or (value := self.inputs[place]) is None:
            raise UnknownShape
        return value

    def shape(self, place: int) -> Shape:
        """Return the shape of an input; raises UnknownShape."""
        return self.input(place).shape

    @property
    def out(self) -> Value:
        """The first output; raises UnknownShape if it is left out."""
        if not self.outputs or (value := self.outputs[0]) is None:
            raise UnknownShape
        return value

    @property
    def result(self) -> Shape:
        """The shape of the first output; raises UnknownShape."""
        return self.out.shape

    def number(self, name: str, default: int = 0) -> int:
        """Return an attribute that is an integer."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, int) else default

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return an attribute that is a list of integers, () if it is left out."""
        return tuple(self.attributes.get(name, ()))

    def text(self, name: str, default: str = "") -> str:
        """Return an attribute that is a text."""
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
