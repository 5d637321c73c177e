"""The search of study.yaml: how points are proposed, and how many."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from archcost.config.types import Strict
from archcost.study.keys.types import Natural, Seconds, Share, Source


class Search(Strict):
    """How points are proposed, and how many."""

    sampler: Literal["tpe", "nsga2", "random", "grid"] = "tpe"
    """What proposes points."""
    trials: Annotated[int, Field(ge=1, le=10**6)] = 40
    """Trials in all, those of earlier runs included."""
    time: Seconds | None = None
    """The longest time of one run, confirming included: `10m`."""
    seed: Natural = 0
    """Seed of everything that is random in the search."""
    start: Annotated[tuple[Source, ...], Field(strict=False)] = ()
    """Networks that are tried first: model.yaml files, from the study's folder, or shipped networks by name."""
    share: Share | None = None
    """Of the trials that come to a rung of `fit`, those that go on: `25%` or `0.25`. Default: a third."""
    patience: Seconds = 600.0
    """A trial that is silent for so long is taken to hang: `10m`. Training reports every 5 s, measuring at its end."""
