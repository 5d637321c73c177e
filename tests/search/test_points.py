"""Points drawn at random and one after another, and the values of domains."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.search.domains import Choice, Domain, Pick, Real, Whole, at_random, contains, neighbours, points, sample
from archcost.search.points import distribution, key, meant, stored, untried

DOMAINS: dict[str, Domain] = {
    "integers": Whole(1, 4),
    "steps that do not reach the end": Whole(8, 61, step=8),
    "integers, log": Whole(1, 512, log=True),
    "numbers": Real(0.0, 0.5),
    "numbers, log": Real(1e-4, 1e-1, log=True),
    "one number": Real(0.5, 0.5),
    "options": Choice(("a", None, 2)),
    "options that are equal": Choice((1, True, 1.0, "1")),
}


def shaped(pick: Pick) -> object:
    """Build a list of as many numbers as its first parameter says: 3 + 9 points."""
    times = pick("times", Whole(1, 2))
    assert isinstance(times, int)
    return [pick(f"{place}", Whole(1, 3)) for place in range(times)]


@pytest.mark.parametrize("name", DOMAINS)
@given(seed=st.integers(0, 10**6))
def test_random_values_are_the_domains_own(name: str, seed: int) -> None:
    """A value drawn at random is in its domain, comes back from a storage as it was, and Optuna's domain holds it."""
    domain = DOMAINS[name]
    value = at_random(domain, random.Random(seed))
    assert contains(domain, value)
    back = meant(domain, stored(domain, value))
    assert (type(value), value) == (type(back), back)
    optunas = distribution(domain)
    assert optunas._contains(optunas.to_internal_repr(stored(domain, value)))


@pytest.mark.parametrize("name", [name for name, domain in DOMAINS.items() if domain.size <= 10])
def test_every_value_is_drawn(name: str) -> None:
    """Of a domain of a few values each one comes, in about as many draws as it should."""
    domain, chance = DOMAINS[name], random.Random(0)
    drawn = [key({"": at_random(domain, chance)}) for _ in range(1000)]
    counts = [drawn.count(key({"": value})) for value in domain.grid()]
    assert min(counts) > 0.7 * 1000 / domain.size


def test_small_values_of_a_log_domain_are_as_frequent() -> None:
    """Of 1 to 512 in its logarithm about half of the draws are below 23."""
    chance = random.Random(0)
    drawn = [at_random(Whole(1, 512, log=True), chance) for _ in range(2000)]
    assert abs(sum(isinstance(each, int) and each < 23 for each in drawn) / 2000 - 0.5) < 0.07


def test_points_one_after_another() -> None:
    """All points of a space whose parameters depend on each other come once, the last parameter fastest."""
    found = list(points(shaped))
    assert len({key(point) for point in found}) == len(found) == 12
    assert [{"times": 1, "0": 1}, {"times": 1, "0": 2}] == found[:2]
    assert [{"times": 2, "0": 1, "1": 1}, {"times": 2, "0": 1, "1": 2}] == found[3:5]


def test_untried_points_run_out() -> None:
    """Each call gives a point that is not known, until there is none."""
    known = set()
    while (point := untried(shaped, known, random.Random(len(known)))) is not None:
        assert key(point) not in known
        known.add(key(point))
    assert len(known) == 12


def test_a_grid_has_five_values_of_a_number() -> None:
    """The grid of a float's domain ends, the domain does not."""
    known = set()
    while (point := untried(lambda pick: pick("x", Real(0, 1)), known, random.Random(0), grid=True)) is not None:
        known.add(key(point))
    assert len(known) == 5
    assert untried(lambda pick: pick("x", Real(0, 1)), known, random.Random(0)) is not None


@given(st.integers(0, 10**6))
def test_neighbours_differ_in_one_parameter(seed: int) -> None:
    """Neighbours are points of the space, and what both have differs in one parameter only."""
    chance = random.Random(seed)
    point = sample(shaped, chance)
    every = {key(each) for each in points(shaped)}
    for near in neighbours(shaped, point, chance):
        assert key(near) in every
        assert sum(near[name] != point[name] for name in near.keys() & point.keys()) == 1
