"""The confirming of study.yaml: how the front is trained and measured again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from archcost.config.types import Count, Strict
from archcost.study.keys.types import Amount


class Confirm(Strict):
    """How the front is trained and measured again at the end."""

    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    """How often each member is trained again, each time with another seed."""
    epochs: Count | None = None
    """Epochs of each of these trainings, at least those of `fit`. Default: as many as there."""
    examples: Amount | None = None
    """Training examples (tokens of a text) of each, at least those of `data`; `all` there are. Default: as many."""
    members: Annotated[int, Field(ge=0, le=1000)] = 8
    """At most this many members of the front are confirmed; 0: none. Who leaves it makes room for another."""
    keep: Literal["median", "all"] = "median"
    """Whose weights are kept: those of the seed with the median validation result, of two the worse; or of all."""
