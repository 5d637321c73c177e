"""The learning rate over a training: what share of the highest one a mini-batch has."""

from __future__ import annotations

import math
from typing import assert_never

from archcost.fitspec import Schedule

_RISE = 0.25  # of a one-cycle
_FLAT = 0.3  # of flat-linear


def share(schedule: Schedule, step: int, total: int, warmup: int | None = None) -> float:
    """Return the factor of the learning rate in mini-batch `step` (0 is the first) of `total`; above 0, at most 1.

    `warmup`: over so many mini-batches it rises straight, on top of the schedule; None: a one-cycle rises for a quarter
    of all, the others begin at once.
    """
    if schedule == "one-cycle":
        rise = round(_RISE * total) if warmup is None else warmup
        return _risen(step, rise) if step < rise else (total - step) / max(total - rise, 1)
    return _falling(schedule, step, total) * _risen(step, warmup or 0)


def _risen(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


def _falling(schedule: Schedule, step: int, total: int) -> float:
    done = step / total
    match schedule:
        case "constant":
            return 1.0
        case "cosine":
            return (1 + math.cos(math.pi * done)) / 2
        case "step":
            return 0.01 if done >= 3 / 4 else 0.1 if done >= 1 / 2 else 1.0
        case "flat-linear":
            return min(1.0, (1 - done) / (1 - _FLAT))
        case "one-cycle":
            raise ValueError(schedule)  # our own bug: it has its own shape
        case _:
            assert_never(schedule)
