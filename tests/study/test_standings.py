"""How sure it is that a network belongs to a front."""

from __future__ import annotations

import pytest

from archcost.study.records.best.standings import Repeated, standings
from archcost.study.records.confirmed import Confirmed

SURE, NOISY = False, True


def test_a_network_that_is_better_in_all_is_on_the_front_for_certain() -> None:
    """Far apart, one draws nothing of the other."""
    good = Repeated(((0.10, 0.11, 0.12), (1.0, 1.1, 1.2)), (NOISY, SURE))
    bad = Repeated(((0.50, 0.51, 0.52), (9.0, 9.1, 9.2)), (NOISY, SURE))
    one, other = standings([good, bad])
    assert (1.0, 0.0) == (one.probability, other.probability)


def test_equal_networks_share_the_front() -> None:
    """Two networks of equal cost, trained to the same mean, are each on the front in about half of the draws."""
    twin = Repeated(((0.10, 0.12, 0.14), (5.0,)), (NOISY, SURE))
    one, other = standings([twin, twin])
    assert 0.5 == pytest.approx(one.probability, abs=0.05)
    assert 0.5 == pytest.approx(other.probability, abs=0.05)


def test_blocks_that_were_disturbed_together_change_no_order() -> None:
    """The n-th block of two networks is one moment: where all are twice as slow, the faster stays the faster."""
    fast = Repeated(((0.2,), (1.0, 1.0, 2.0, 1.0)), (SURE, SURE))
    slow = Repeated(((0.2,), (1.1, 1.1, 2.2, 1.1)), (SURE, SURE))
    one, other = standings([fast, slow])
    assert (1.0, 0.0) == (one.probability, other.probability)


def test_intervals_narrow_with_seeds() -> None:
    """95% of the draws of a mean: with 16 seeds of the same spread half as wide as with four."""
    four = Repeated(((0.1, 0.2, 0.1, 0.2),), (NOISY,))
    sixteen = Repeated(((0.1, 0.2) * 8,), (NOISY,))
    wide, narrow = (stand.intervals[0] for stand in standings([four, sixteen]))
    assert 0.5 == pytest.approx((narrow[1] - narrow[0]) / (wide[1] - wide[0]), abs=0.1)


def test_the_same_seed_gives_the_same() -> None:
    """Draws follow from the seed alone."""
    twin = Repeated(((0.10, 0.12, 0.14),), (NOISY,))
    assert standings([twin, twin], 3) == standings([twin, twin], 3)
    assert () == standings([])


def test_no_seed_is_trained_twice() -> None:
    """If the second of three failed, it alone is missing: the third again would count one training as two."""
    assert (2,) == Confirmed(seeds=(1, 3)).missing(3)
    assert () == Confirmed(seeds=(1, 2, 3)).missing(3)


def test_ways_of_one_training_move_together() -> None:
    """Of two that its seeds gave the same, the slower one is never on the front; alone it would be by half."""
    fast, slow = ((0.1, 0.2), (1.0,)), ((0.1, 0.2), (2.0,))
    noisy = (True, False)
    together = standings([Repeated(fast, noisy, "0"), Repeated(slow, noisy, "0")])
    apart = standings([Repeated(fast, noisy), Repeated(slow, noisy)])
    assert [1.0, 0.0] == [each.probability for each in together]
    assert 1.0 == apart[0].probability
    assert 0.4 < apart[1].probability < 0.6
