"""A score follows from the sum of the losses and the misses; perplexity and bits are a text's alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from specs import laws

from archcost.training.score import Score, score

SCORES: dict[str, tuple[Score, Score]] = {
    "of images": (score(8.0, 4, 1, text=False), Score(2.0, 4, 0.25)),
    "of a text": (score(4 * math.log(2), 4, 3, text=True), Score(math.log(2), 4, 0.75, math.exp(math.log(2)), 1.0)),
    "without end": (score(800.0, 1, 1, text=True), Score(800.0, 1, 1.0, math.inf, 800 / math.log(2))),
}


@pytest.mark.parametrize("case", SCORES)
def test_a_score_is_means(case: str) -> None:
    """Of the loss and the misses; what a kind of data has not is None, what is beyond a float is infinite."""
    given_, expected = SCORES[case]
    assert expected == given_


@given(st.floats(1e-3, 1e5), st.integers(1, 10**6))
@laws(50)
def test_bits_are_the_logarithm_of_the_perplexity(total: float, count: int) -> None:
    """Perplexity is 2 to the power of the bits of a token."""
    found = score(total, count, 0, text=True)
    assert found.perplexity is not None
    assert found.bpc is not None
    assert math.isinf(found.perplexity) or math.isclose(math.log2(found.perplexity), found.bpc, abs_tol=1e-9)
