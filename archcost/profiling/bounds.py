"""Counts that leave operators out are lower bounds: what is said of them, in words."""

from __future__ import annotations

from collections.abc import Sized
from typing import Final

COUNTS: Final = frozenset({"macs", "elementwise", "flops"})
"""The totals that an operator without a count is missing in: all others are exact."""


def is_least(name: str, uncounted: Sized) -> bool:
    """Return whether a total is a lower bound; uncounted: the operators without a count."""
    return name in COUNTS and len(uncounted) > 0


def said(words: str, least: bool) -> str:
    """Return a count in words: `at least 4.09 G` if it is a lower bound."""
    return f"at least {words}" if least else words


def against(words: str, first: bool, other: bool) -> str:
    """Return in words how much more another count is, or how many times the first; first, other: which is a bound.

    What another one has more of than a lower bound is an upper bound; of two bounds it is that of what was counted.
    """
    match first, other:
        case False, False:
            return words
        case False, True:
            return f"at least {words}"
        case True, False:
            return f"at most {words}"
        case _:
            return f"{words} counted"
