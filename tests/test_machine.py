"""Memory is short or not, in the same words wherever it is asked."""

from __future__ import annotations

import pytest

from archcost.machine import shortage

SHORTAGES: list[tuple[int, int | None, str]] = [
    (1001, 1000, "needs 1.00 kB of memory, 1.00 kB are free"),
    (2 * 10**9, 103, "needs 2.00 GB of memory, 103 B are free"),
    (1000, 1000, ""),
    (10**15, None, ""),
]


@pytest.mark.parametrize(("needed", "free", "expected"), SHORTAGES)
def test_memory_is_short(needed: int, free: int | None, expected: str) -> None:
    """From the first byte that is too many; never where nobody knows what is free."""
    assert expected == shortage(needed, free)
