"""Measurements as tests make them: samples of known durations on a device that is nowhere."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from archcost.latency.bursts import Burst
from archcost.latency.samples import Conditions, Device, Origin, Plan, Samples

DEVICE = Device("AMD EPYC", 2, 8_000_000_000, "Linux 6 x86_64")
ORIGIN = Origin("cpu", "eager", DEVICE, Conditions((0, 1), "performance", 1.5, 0.25), (("torch", "2.13.0"),))
STEADY_WARMUP = (0.001,) * 12


def burst(*samples_s: float, wall_s: float | None = None, **known: Any) -> Burst:
    """Return a burst that took as long as its samples."""
    return Burst(samples_s, sum(samples_s) if wall_s is None else wall_s, **known)


def samples(bursts: Sequence[Burst | Sequence[float]], plan: Plan | None = None, **changes: Any) -> Samples:
    """Return a measurement with these bursts, behind a warm-up that settled."""
    made = tuple(each if isinstance(each, Burst) else burst(*each) for each in bursts)
    given = {"first_s": 0.5, "warmup_s": STEADY_WARMUP, **changes}
    return Samples(ORIGIN, plan or Plan(), bursts=made, **given)


def noisy(base_s: float, *, bursts: int = 8, size: int = 5, seed: int = 0, noise: float = 0.01, **plan: Any) -> Samples:
    """Return a measurement around `base_s`."""
    draw = random.Random(seed)
    made = [[base_s * draw.lognormvariate(0, noise) for _ in range(size)] for _ in range(bursts)]
    return samples(made, Plan(**plan))
