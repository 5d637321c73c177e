"""Training that went astray: a loss that is no number any more, or far above that of guessing."""

from __future__ import annotations

import math
from typing import ClassVar, Final

from archcost.errors import ArchcostError

_ABOVE: Final = 20.0  # times the loss of guessing; a spike from which training came back was never above 8


class Diverged(ArchcostError):  # noqa: N818  # it names what happened to a training
    """Training was ended, because its loss or gradient is no finite number or the loss has exploded."""

    exit_code: ClassVar[int] = 3


def limit(classes: int) -> float:
    """Return the loss, in nats, above which training of a network with so many classes has exploded."""
    return _ABOVE * max(1.0, math.log(classes))


def check(value: float, most: float, what: str) -> None:
    """Raise Diverged where a value, named by `what`, is not finite or above `most`."""
    if not math.isfinite(value):
        raise Diverged(f"training diverged: {what} is {value}; a smaller lr, or clip, may help")
    if value > most:
        raise Diverged(f"training diverged: {what} is {value:.4g}, above {most:.4g}; a smaller lr, or clip, may help")
