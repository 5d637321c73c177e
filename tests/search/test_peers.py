"""The benchmark of searches on recorded curves: which network answers a point, and who goes on by MO-ASHA."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rung_curves import EPOCHS, OUT
from rung_rules import Curves, Past
from search_peers import METHODS, Record, domains, mo_asha, record, search, spread


@pytest.fixture(scope="module")
def digits() -> Record:
    """The networks on record of the digits that ship with archcost."""
    return record("digits", OUT["digits"])


def test_a_network_answers_its_own_point(digits: Record) -> None:
    """A point on record is answered by its network; once that was tried, by another one of the family."""
    every = list(range(len(digits.networks)))
    for nth, network in enumerate(digits.networks):
        assert digits.networks[digits.nearest(network.point, every)].point == network.point
        other = digits.nearest(network.point, [each for each in every if each != nth])
        assert other != nth
        assert digits.networks[other].curves.family == network.curves.family


def test_points_on_record_are_points_of_the_space(digits: Record) -> None:
    """The space of all families draws just the parameters that each network has."""
    assert all(domains(digits.draw, each.point).keys() == each.point.keys() for each in digits.networks)


def test_an_epsilon_net_goes_to_what_is_farthest() -> None:
    """First the least error, then the other end, then the middle of the widest gap."""
    values = np.array([[0.5, 0.5], [0.0, 1.0], [0.3, 0.7], [1.0, 0.0], [0.9, 0.1]])
    assert list(spread(values, range(5))) == [1, 3, 0, 2, 4]
    assert list(spread(values, [4, 2])) == [2, 4]


@pytest.mark.parametrize(
    ("error", "cost", "goes_on"),
    [(0.2, 2.0, True), (0.9, 0.0, True), (0.6, 6.0, False), (0.31, 1.05, False)],
    ids=["the least error", "the other end", "dominated", "too near to its front's first"],
)
def test_a_third_goes_on(error: float, cost: float, goes_on: bool) -> None:
    """Of six at a rung those in the places 0 to 2 go on, fronts first, in each what is farthest from the others."""
    came = [made(0.3, 1.1), made(0.35, 1.0), made(0.5, 0.5), made(0.4, 3.0), made(0.7, 5.0)]
    assert mo_asha(3)(made(error, cost), 1, Past(came, ())) is goes_on


def made(error: float, cost: float) -> Curves:
    """Return a network without columns that has one error all the time."""
    return Curves(0, 0, np.full((1, EPOCHS), error), np.array([cost]))


@pytest.mark.parametrize("as_proposed", [False, True])
def test_without_rungs_every_search_gets_there(digits: Record, *, as_proposed: bool) -> None:
    """The budget is every network on record: what ends none of them has all of the front at the end."""
    found = search(digits, METHODS["NSGA-II"], 0, as_proposed=as_proposed)
    assert all(math.isfinite(each) and each % EPOCHS == 0 for each in found)
    assert max(found) <= EPOCHS * len(digits.networks)
