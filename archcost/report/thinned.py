"""Fewer of many values, evenly spread: what a drawing shows of more than it can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def thinned(values: Sequence[T], most: int) -> tuple[T, ...]:
    """Return at most so many values, evenly spread over all: always the same ones."""
    if len(values) <= most:
        return tuple(values)
    return tuple(values[place * len(values) // most] for place in range(most))
