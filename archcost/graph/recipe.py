"""The recipe of a training: how weights begin, and how often paths are dropped.

Training a network needs it, its cost does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Init: TypeAlias = Literal["he", "nin", "xavier", "hornn"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained.

    `init`: he (He 2015, normal, fan out), nin (normal, std .05, biases 0), xavier (Glorot, uniform), hornn (small
    uniform tables, recurrent matrices of std .7/sqrt(H)). `drop_local`: chance that a join loses an input in a
    mini-batch; `drop_global`: share of mini-batches that train one column alone.
    """

    init: Init
    drop_local: float = 0.0
    drop_global: float = 0.0
