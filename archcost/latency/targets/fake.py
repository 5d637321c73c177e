"""The fake target: scripted, seeded durations on a clock of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from archcost.errors import InputError, Mistake, quoted
from archcost.latency.player import Instruments, once, timed_by
from archcost.latency.runtimes import Call, Prepared, Runtime, Source
from archcost.latency.samples import Conditions, Device, Origin, Plan, Samples
from archcost.latency.sampling import take
from archcost.latency.targets import Facts, Target, shown_name


@dataclass(frozen=True, slots=True)
class Script:
    """What the fake machine does: durations fall from first_s to base_s over `warmup` calls, times lognormal noise.

    noise: standard deviation of the logarithm; waiting: share of the time for which its threads have no core;
    kernel_s: the calibration kernel's time.
    """

    base_s: float = 0.001
    first_s: float = 0.004
    warmup: int = 8
    noise: float = 0.01
    waiting: float = 0.0
    kernel_s: float = 0.0001


def target(name: str) -> Target:
    """Return the target `fake`; raises InputError for a name that goes on."""
    if name != "fake":
        raise InputError(Mistake(f"given {quoted(shown_name(name))}; allowed: fake", ("target",)))
    return Target("fake", "", describe, measure)


DEVICE = Device("fake", 64, None, "fake")


def describe() -> Facts:
    """Return the facts of a machine that is everywhere the same."""
    return Facts("fake", True, "", DEVICE, 1, 64, None)


def measure(
    sources: Sequence[Source], runtime: Runtime, plan: Plan, *, scripts: Sequence[Script] = (Script(),)
) -> tuple[Samples, ...]:
    """Return scripted seconds, drawn with plan.seed; each network runs once, so that what fails elsewhere fails here.

    The networks follow the scripts in turn. In 8 bits no layer is left in float32 but those that are known: what layers
    take here is not known.
    """
    origin = Origin("fake", runtime.name, DEVICE, Conditions(), runtime.versions())
    machine = Machine()
    each = [scripts[i % len(scripts)] for i in range(len(sources))]
    calls = [Prepared(machine.call(durations(script, plan.seed + i))) for i, script in enumerate(each)]
    with ExitStack() as stack:
        for place, source in enumerate(sources):
            known = replace(source, float_layers=source.float_layers or frozenset())
            ready = stack.enter_context(runtime.prepare(known, plan))
            once(ready, timed_by(machine.clock))
            calls[place] = calls[place]._replace(findings=ready.findings)
    return take(calls, plan, origin, machine.instruments(each[0], plan))


class Machine:
    """A clock that shows the time its calls have taken."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def clock(self) -> float:
        """Return the seconds that have passed."""
        return self.now_s

    def sleep(self, span_s: float) -> None:
        """Let time pass."""
        self.now_s += span_s

    def call(self, taking: Iterator[float]) -> Call:
        """Return a call that takes the next of the durations each time."""
        return lambda: self.sleep(next(taking))

    def instruments(self, script: Script, plan: Plan) -> Instruments:
        """Return instruments that show this machine's time, and what the script says of it."""
        return Instruments(
            timer=timed_by(self.clock),
            clock=self.clock,
            pause=self.sleep,
            calibrate=lambda: script.kernel_s,
            cpu_s=lambda: self.now_s * plan.threads,
            waited_s=lambda: self.now_s * script.waiting * plan.threads,
        )


def durations(script: Script, seed: int) -> Iterator[float]:
    """Yield the durations of the script's calls, without end."""
    draw = random.Random(seed)
    call = 0
    while True:
        left = max(0.0, 1 - call / script.warmup) if script.warmup else 0.0
        call += 1
        yield (script.base_s + (script.first_s - script.base_s) * left) * draw.lognormvariate(0.0, script.noise)
