"""How good a network is on a split, as a value without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """What a network reaches on a split: the mean loss in nats over `count` examples or tokens.

    error: the share of them that is not the most likely one; perplexity, bpc (bits per character): of a text's tokens,
    None of other data. error is None in what knows the loss alone.
    """

    loss: float
    count: int
    error: float | None = None
    perplexity: float | None = None
    bpc: float | None = None


def score(total: float, count: int, wrong: int, *, text: bool) -> Score:
    """Return the score of `count` examples or tokens whose losses add up to `total` nats, `wrong` of them missed.

    The perplexity is e to the power of the loss, infinite from 10^308 on; bits are the loss over ln 2.
    """
    loss, error = total / count, wrong / count
    if not text:
        return Score(loss, count, error)
    perplexity = math.exp(loss) if loss < math.log(1e308) else math.inf
    return Score(loss, count, error, perplexity, loss / math.log(2))
