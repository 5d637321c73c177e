"""How likely the next measurement keeps a limit: from blocks, from second measurements, and from how many there are."""

from __future__ import annotations

import math
import random
from statistics import fmean

import optuna
import pytest
from fronts import OBJECTIVES, again, part, taken, told
from hypothesis import given
from hypothesis import strategies as st
from measurements import noisy, samples

from archcost.study.records import confirmed, trials
from archcost.study.records.best.chances import Measured, measured, student
from archcost.study.records.front import candidates


def found(study: optuna.Study) -> Measured:
    """Return what is known of a study's only way to measure."""
    return measured(candidates(study, trials.read(study, {}), OBJECTIVES), 0)


@pytest.mark.parametrize(
    ("t", "freedom", "share"),
    [(6.314, 1, 0.95), (2.920, 2, 0.95), (2.353, 3, 0.95), (2.132, 4, 0.95), (1.812, 10, 0.95), (2.042, 30, 0.975)],
)
def test_student_as_in_tables(t: float, freedom: int, share: float) -> None:
    """The published quantiles, on both sides of nothing."""
    assert (share, 1 - share, 0.5) == (
        pytest.approx(student(t, freedom), abs=1e-4),
        pytest.approx(student(-t, freedom), abs=1e-4),
        pytest.approx(student(0.0, freedom)),
    )


@given(st.floats(-50, 50), st.floats(0, 5), st.integers(1, 200))
def test_student_rises(t: float, more: float, freedom: int) -> None:
    """A share of a distribution is between 0 and 1, and never falls."""
    assert -1e-9 <= student(t, freedom) <= student(t + more, freedom) + 1e-9 <= 1 + 2e-9


def test_above_its_own_median_it_is_even() -> None:
    """By what those that are chosen were lucky by; and what was never measured keeps no limit."""
    ways = found(told(part("a", 0.1, 0.1)))
    assert ways.chance("a", 0.1) < 0.5
    assert (pytest.approx(0.5), 0.0) == (ways.chance("a", 0.1 * math.exp(0.75 * ways.drift)), ways.chance("b", 0.1))


def test_a_second_measurement_makes_it_surer() -> None:
    """Of two that agree, the next one is known better; below the limit it is then likelier kept."""
    study = told(part("a", 0.1, 0.1), part("b", 0.2, 0.1))
    confirmed.keep(study, "0", again(0.1, 0.1, by_turns=(samples([[0.1]] * 9),)))
    ways = found(study)
    assert (2, 1, 1) == (len(ways.occasions["a"]), len(ways.occasions["b"]), ways.again)
    assert ways.chance("a", 0.103) > ways.chance("b", 0.103) > 0.5


def test_what_measurements_differed_by_decides() -> None:
    """If second measurements of networks were a third off, a limit a tenth above is no safe one."""
    quiet, restless = (told(*(part(name, 0.1, 0.1) for name in "abcdefgh")) for _ in range(2))
    for place in range(8):
        off = 1.3 if place % 2 else 1 / 1.3
        confirmed.keep(quiet, str(place), again(0.1, by_turns=(samples([[0.1]] * 9),)))
        confirmed.keep(restless, str(place), again(0.1, by_turns=(samples([[0.1 * off]] * 9),)))
    assert found(quiet).chance("a", 0.11) > 0.98
    assert found(restless).chance("b", 0.11) < 0.6


def test_few_blocks_are_less_sure() -> None:
    """One block does not say how much blocks spread: that of the others is supposed, over one block."""
    study = told(part("a", 0.1), part("b", 0.1), part("c", 0.1, bursts=1))
    restless = noisy(0.1, noise=0.2, size=1, seed=3)
    confirmed.keep(study, "0", again(0.1, by_turns=(restless,)))
    ways = found(study)
    assert ways.chance("c", 0.15) < ways.chance("b", 0.15)


def test_networks_that_took_turns_share_what_disturbed_them() -> None:
    """All of them were a fifth slower by turns: that was the hour, not the networks."""
    study = told(*(part(name, 0.1, 0.1 * 2**place) for place, name in enumerate("abcdefgh")))
    for place in range(8):
        confirmed.keep(study, str(place), again(0.1, by_turns=(taken(0.12 * 2**place, 9),)))
    ways = found(study)
    assert ways.shared == pytest.approx(math.log(1.2) * 8 / 9, abs=0.05)
    assert ways.chance("a", 0.13) == pytest.approx(ways.chance("h", 0.13 * 2**7))
    assert ways.chance("a", 0.13) > 0.9


def test_what_is_said_comes_true() -> None:
    """Over made-up studies that confirm the fastest two thirds, the mean of what is stated is what came true."""
    draw = random.Random(5)
    stated, kept = [], []
    for _ in range(40):
        seen = sorted(draw.lognormvariate(0, 0.1) for _ in range(9))
        study = told(*(part(str(place), 0.1, one) for place, one in enumerate(seen)))
        shared = draw.lognormvariate(0, 0.1)
        for place in range(6):
            turn = taken(shared * draw.lognormvariate(0, 0.01), 9)
            confirmed.keep(study, str(place), again(0.1, by_turns=(turn,)))
        ways = found(study)
        stated += [ways.chance(str(place), 1.1) for place in range(6)]
        kept += [draw.lognormvariate(0, 0.1) <= 1.1 for _ in range(6)]
    assert fmean(kept) == pytest.approx(fmean(stated), abs=0.08)
