"""Ratios of networks that took turns: noise is no difference, a difference is found, what slows both cancels."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measurements import noisy, samples

from archcost.latency.samples import Samples
from archcost.latency.summary import ratio


def turns(times: float, *, rounds: int, seed: int, noise: float = 0.03) -> tuple[Samples, Samples]:
    """Return two networks, the second so many times as slow, on a machine whose speed wanders by half."""
    draw = random.Random(seed)
    speed, sides = 1.0, ([], [])  # type: tuple[list[list[float]], list[list[float]]]
    for _ in range(rounds):
        speed = min(1.5, max(1.0, speed * draw.lognormvariate(0, 0.1)))
        for side, base_s in zip(sides, (0.001, 0.001 * times), strict=True):
            side.append([base_s * speed * draw.lognormvariate(0, noise) for _ in range(5)])
    return samples(sides[0]), samples(sides[1])


def test_equal_networks_are_rarely_told_apart() -> None:
    """Of 500 seeded comparisons of a network with itself at most 2% find a difference."""
    found = [ratio(*turns(1.0, rounds=40, seed=seed)).differ for seed in range(500)]
    assert sum(differ is True for differ in found) <= 10


def test_five_percent_are_found() -> None:
    """Of 200 seeded comparisons of networks 5% apart at least 95% find it, with the ratio within 2%."""
    found = [ratio(*turns(1.05, rounds=40, seed=seed)) for seed in range(200)]
    assert sum(each.differ is True for each in found) >= 190
    assert sum(abs(each.ratio - 1.05) < 0.02 for each in found) >= 190


@given(st.integers(8, 40), st.integers(0, 1000))
def test_turned_round_the_ratio_is_the_inverse(rounds: int, seed: int) -> None:
    """B against A is the inverse of A against B, its interval too, and the verdict is the same."""
    a, b = turns(1.1, rounds=rounds, seed=seed)
    there, back = ratio(a, b), ratio(b, a)
    assert there.ratio * back.ratio == pytest.approx(1)
    assert there.interval is not None
    assert back.interval is not None
    assert there.interval == pytest.approx((1 / back.interval[1], 1 / back.interval[0]))
    assert there.interval[0] <= there.ratio <= there.interval[1]


def test_too_few_rounds_cannot_tell() -> None:
    """Seven rounds are none of 99%: there is a ratio, no interval and no verdict."""
    found = ratio(noisy(1.0, bursts=7), noisy(2.0, bursts=7))
    assert (None, None, 7, float("inf")) == (found.interval, found.differ, found.rounds, found.half_width)
