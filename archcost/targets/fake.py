"""The fake target: scripted, seeded durations on a clock of its own; it measures nothing and repeats exactly."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from archcost.measured import Origin, Plan, Samples
from archcost.runtimes import Call, Runtime, Source
from archcost.targets import Facts, Target
from archcost.targets.sampling import Clock, seconds, take


@dataclass(frozen=True, slots=True)
class Script:
    """What the fake machine does: durations fall from first_s to base_s over `warmup` calls, times lognormal noise.

    noise: standard deviation of the logarithm; waiting: share of the time for which its threads have no core.
    """

    base_s: float = 0.001
    first_s: float = 0.004
    warmup: int = 8
    noise: float = 0.01
    waiting: float = 0.0


def describe() -> Facts:
    """Return the facts of a machine that is everywhere the same."""
    return Facts("fake", True, "", "fake", 1, 64, None)


def measure(source: Source, runtime: Runtime, plan: Plan, *, script: Script = Script()) -> Samples:
    """Return scripted seconds, drawn with plan.seed; the network runs once, so that what fails elsewhere fails here."""
    origin = Origin("fake", runtime.name, "fake", runtime.versions())
    call, clock = scripted(durations(script, plan.seed))
    with runtime.prepare(source, plan) as prepared:
        seconds(prepared.call, clock)
    return take(call, plan, origin, clock, lambda: clock() * script.waiting * plan.threads)


TARGET: Final = Target("fake", describe, measure)


def durations(script: Script, seed: int) -> Iterator[float]:
    """Yield the durations of the script's calls, without end."""
    draw = random.Random(seed)
    call = 0
    while True:
        left = max(0.0, 1 - call / script.warmup) if script.warmup else 0.0
        call += 1
        yield (script.base_s + (script.first_s - script.base_s) * left) * draw.lognormvariate(0.0, script.noise)


def scripted(durations: Iterator[float]) -> tuple[Call, Clock]:
    """Return a call and a clock that shows the time those calls have taken."""
    now_s = 0.0

    def call() -> None:
        nonlocal now_s
        now_s += next(durations)

    def clock() -> float:
        return now_s

    return call, clock
