"""How far two orders agree, against pairs that are counted by hand."""

from __future__ import annotations

from math import isnan, sqrt

import pytest

from archcost.search.ranks import tau, tau_interval


def test_orders_that_agree_and_that_are_reversed() -> None:
    assert tau([1, 2, 3, 4], [10, 20, 30, 40]) == 1.0
    assert tau([1, 2, 3, 4], [4, 3, 2, 1]) == -1.0


def test_pairs_are_counted() -> None:
    """Five of six pairs are in the same order, one is not."""
    assert tau([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)


def test_ties_are_in_neither_order() -> None:
    """Of three pairs one is tied in the second list: two agree."""
    assert tau([1, 2, 3], [1, 1, 2]) == pytest.approx(2 / sqrt(3 * 2))
    assert isnan(tau([1, 1, 1], [1, 2, 3]))


def test_an_interval_encloses_and_needs_six_pairs() -> None:
    first, second = list(range(12)), [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10]
    found = tau_interval(first, second)
    assert found is not None
    assert found == tau_interval(first, second)  # the same draws
    assert -1 <= found[0] < tau(first, second) < found[1] <= 1
    assert tau_interval([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]) is None
    assert tau_interval([1] * 6, [1, 2, 3, 4, 5, 6]) is None
