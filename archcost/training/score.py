"""How good a network is on a split, as a value without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

NAMED: Final = ("error", "perplexity", "bpc")
"""The metrics that archcost knows by name."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a network reaches on a split: the mean loss in nats over `count` examples or tokens.

    error: the share of them that is not the most likely one; perplexity, bpc (bits per character): of a text's tokens,
    None of other data. error is None in what knows the loss alone. metrics: what an evaluation of the user's own gave
    besides; loss and count are not known of such a one.
    """

    loss: float | None
    count: int | None
    error: float | None = None
    perplexity: float | None = None
    bpc: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    def value(self, name: str) -> float | None:
        """Return what it says of a metric, None if nothing."""
        return getattr(self, name) if name in NAMED else self.metrics.get(name)


def score(total: float, count: int, wrong: int, *, text: bool) -> Score:
    """Return the score of `count` examples or tokens whose losses add up to `total` nats, `wrong` of them missed.

    The perplexity is e to the power of the loss, infinite from 10^308 on; bits are the loss over ln 2.
    """
    loss, error = total / count, wrong / count
    if not text:
        return Score(loss, count, error)
    perplexity = math.exp(loss) if loss < math.log(1e308) else math.inf
    return Score(loss, count, error, perplexity, loss / math.log(2))


def of_metrics(metrics: Mapping[str, float]) -> Score:
    """Return the score that an evaluation of the user's own is: metrics that archcost knows, and others."""
    named = {name: value for name, value in metrics.items() if name in NAMED}
    return Score(None, None, **named, metrics={name: value for name, value in metrics.items() if name not in NAMED})
