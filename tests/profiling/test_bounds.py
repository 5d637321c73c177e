"""What is said of counts that leave operators out: they are lower bounds, and what follows from them is a bound too."""

from __future__ import annotations

import pytest

from archcost.profiling.bounds import against, is_least, said
from archcost.profiling.compare import TOTALS


def test_only_what_an_operator_adds_to_is_a_bound() -> None:
    """Parameters and bytes are exact whatever has no count."""
    assert ["macs", "elementwise", "flops"] == [name for name in TOTALS if is_least(name, ["fft"])]
    assert [] == [name for name in TOTALS if is_least(name, ())]


@pytest.mark.parametrize(
    ("first", "other", "expected"),
    [
        (False, False, "2.00"),
        (False, True, "at least 2.00"),
        (True, False, "at most 2.00"),
        (True, True, "2.00 counted"),
    ],
)
def test_what_follows_from_a_bound_is_one(first: bool, other: bool, expected: str) -> None:
    """More against a lower bound is at most so much more; of two bounds it is what was counted."""
    assert expected == against("2.00", first, other)


def test_a_bound_is_said() -> None:
    """An exact count is said as it is."""
    assert ("at least 4 k", "4 k") == (said("4 k", least=True), said("4 k", least=False))
