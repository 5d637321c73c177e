"""An objective of study.yaml: a quantity to minimise, and how it is measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic import model_validator

from archcost.config.types import Count, Each, Strict, all_wrong, wrong
from archcost.errors import one_of
from archcost.graph.dtypes import Floating, Precision
from archcost.study.keys.types import Metric, Minimised, Seconds, Share
from archcost.study.objectives import QUANTITIES, Goal, of_metric

_WAY: Final = ("target", "runtime", "batch", "threads", "dtype", "precision", "time", "predict", "ways")
_MEASURED: Final = (*_WAY[:5], "ways")  # precision and time say how well, not what is measured
_ONE: Final = ("runtime", "dtype")  # what each of several ways has of its own


class RunWay(Strict):
    """A way to run each network: what runs it, and in which type. Each trained network gets a point for each way."""

    runtime: str = "eager"
    """The runtime that runs the network on the objective's target."""
    dtype: Precision = "float32"
    """The data type; `int8`: quantised after training, and scored as the file of 8 bits that runs."""


class Objective(Strict):
    """One quantity to minimise, or a metric of your own. The keys from `target` on are for a latency only."""

    error: Minimised | None = None
    """The share of wrong answers on the validation split."""
    perplexity: Minimised | None = None
    """Perplexity of a text's validation split, all its tokens."""
    bpc: Minimised | None = None
    """Bits per character (or token) of a text's validation split."""
    metric: Metric | None = None
    """A number that `fit.evaluate`, an evaluation of your own, gives under this name."""
    goal: Goal | None = None
    """Of a `metric`: whether it is to be small (`min`) or large (`max`)."""
    latency: Minimised | None = None
    """The median time of a call, measured on `target`."""
    params: Minimised | None = None
    """Parameters."""
    macs: Minimised | None = None
    """Multiply-accumulates of one example."""
    memory: Minimised | None = None
    """Weights and the largest set of values alive at once, in bytes."""
    target: str = "cpu"
    """The device that measures a latency."""
    runtime: str = "eager"
    """The runtime that runs the network there."""
    batch: Count = 1
    """Examples in a call."""
    threads: Count | None = None
    """Threads of a call. Default: the physical cores."""
    dtype: Floating = "float32"
    """The data type of the network."""
    precision: Share = 0.02
    """A measurement stops when half its interval is this share of the latency: `2%` or `0.02`."""
    time: Seconds = 2.0
    """The longest time for one measurement: `2s`, or a number of seconds."""
    predict: bool = False
    """Whether `archcost calibrate` stands in for measuring: only networks that may enter the front are measured."""
    ways: Each[RunWay] | None = None
    """In place of `runtime` and `dtype`: several ways to run each network, the one that the search hears first."""

    @model_validator(mode="after")
    def _one(self) -> Objective:
        chosen = self.model_fields_set & {*QUANTITIES, "metric"}
        if len(chosen) != 1:
            allowed = f"one of {one_of(QUANTITIES)} with 'min', or 'metric' with its 'goal'"
            raise wrong(f"names {len(chosen)} quantities; allowed: {allowed}")
        if ("metric" in chosen) != ("goal" in self.model_fields_set):
            raise wrong("a 'metric' and its 'goal', min or max, go together")
        if "latency" not in chosen and (beside := [key for key in _WAY if key in self.model_fields_set]):
            raise all_wrong([(f"goes with 'latency' only: {one_of(chosen)} is not measured", (key,)) for key in beside])
        if self.predict and all(each.dtype != "float32" for each in self.run_ways):
            given = self.run_ways[0].dtype
            raise all_wrong([(f"goes with dtype float32 alone, given {given}: all else is measured", ("predict",))])
        if mistakes := list(self._of_ways()):
            raise all_wrong(mistakes)
        return self

    def _of_ways(self) -> Iterator[tuple[str, tuple[str | int, ...]]]:
        """Yield what is wrong with the ways, with where."""
        if self.ways is None:
            return
        for key in (key for key in _ONE if key in self.model_fields_set):
            yield "'ways' says it of each way; allowed: one of them", (key,)
        for place, each in enumerate(self.ways):
            if each in self.ways[:place]:
                yield f"the way {each.runtime} {each.dtype} is given twice", ("ways", place)

    @property
    def run_ways(self) -> tuple[RunWay, ...]:
        """Every way in which it runs a network: its one way, or its `ways`."""
        return self.ways or (RunWay(runtime=self.runtime, dtype=self.dtype),)

    @property
    def quantity(self) -> str:
        """The name of what is minimised, as a study keeps it."""
        if self.metric and self.goal:
            return of_metric(self.metric, self.goal)
        return next(name for name in QUANTITIES if name in self.model_fields_set)

    @property
    def key(self) -> str:
        """The key that names it in the file."""
        return "metric" if self.metric else self.quantity

    def same(self, other: Objective) -> bool:
        """Return whether two objectives are one: the same quantity, measured in the same way."""
        ways = [[getattr(each, key) for key in _MEASURED] for each in (self, other)]
        return self.quantity == other.quantity and ways[0] == ways[1]
