"""A machine with planted peaks: kernels that take the time which its rates say, on a clock of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from archcost.latency.roofline.peaks import Bench, Kernel
from archcost.latency.roofline.roof import FlopsPeak, Level, LevelName, Peak, Peaks
from archcost.latency.targets.fake import Machine

GIGA = 1e9


@dataclass(slots=True)
class Planted:
    """A machine: FLOP/s of each data type, bytes and bytes/s of each cache, bytes/s of memory, seconds of a call.

    slow: how much longer a burst may take by other work, at random.
    """

    flops: Mapping[str, float] = field(default_factory=lambda: {"float32": 100 * GIGA, "int8": 400 * GIGA})
    caches: tuple[tuple[int, float], ...] = ((48 << 10, 160 * GIGA), (1280 << 10, 80 * GIGA), (32 << 20, 40 * GIGA))
    memory: float = 15 * GIGA
    call_s: float = 1e-6
    slow: float = 0.0
    largest_bytes: int = 256 << 20
    threads: int = 1
    machine: Machine = field(default_factory=Machine)
    draw: random.Random = field(default_factory=lambda: random.Random(0))

    def rate(self, size: int) -> float:
        """Return the bytes/s of an array of so many bytes."""
        return next((rate for held, rate in self.caches if size <= held), self.memory)

    def kernel(self, name: str, work: float, span_s: float) -> Kernel:
        """Return a kernel that takes so long, or longer by other work."""

        def run(loops: int) -> None:
            self.machine.sleep(loops * span_s * (1 + self.slow * self.draw.random()))

        return Kernel(name, work, run)

    def bench(self, hints: Mapping[LevelName, int] | None = None) -> Bench:
        """Return this machine's kernels; of each size a poor one too."""
        known: Mapping[LevelName, int] = hints or {}

        def products(dtype: str) -> tuple[Kernel, ...]:
            flops = self.flops.get(dtype)
            return (self.kernel(f"good {dtype}", 1e6, 1e6 / flops), self.kernel("poor", 1e6, 1.0)) if flops else ()

        def traffic(size: int) -> tuple[Kernel, ...]:
            span_s = size / self.rate(size)
            return self.kernel(f"good {size}", size, span_s), self.kernel("poor", size, 2 * span_s)

        call = self.kernel("empty", 1, self.call_s)
        return Bench(self.threads, products, traffic, call, self.largest_bytes, known)

    @property
    def clock(self) -> Callable[[], float]:
        """The seconds that have passed."""
        return self.machine.clock


def steady(value: float, by: str = "kernel") -> Peak:
    """Return a peak that repeats."""
    return Peak(value, value, value, by)


def peaks(flops: float = 100 * GIGA, memory: float = 10 * GIGA, call_s: float = 1e-6, threads: int = 1) -> Peaks:
    """Return peaks of float32 and memory alone, with an L2 of 1 MiB that is five times as fast."""
    return Peaks(
        threads,
        (FlopsPeak("float32", steady(flops)), FlopsPeak("bfloat16", None)),
        (
            Level("L1", None, None),
            Level("L2", steady(5 * memory), 1 << 20),
            Level("L3", None, None),
            Level("memory", steady(memory), None),
        ),
        steady(call_s),
    )
