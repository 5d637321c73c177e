"""The mps target: the GPU of an Apple machine, where torch has it, timed by events."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from platform import system
from typing import Any

from archcost import machine
from archcost.errors import InputError, Mistake, TargetError, quoted
from archcost.latency.runtimes import Runtime, Source, version
from archcost.latency.samples import Device, Origin, Plan, Samples
from archcost.latency.sampling import take
from archcost.latency.targets import Facts, Target, shown_name
from archcost.latency.targets.cuda import instruments
from archcost.latency.targets.device import this_conditions, this_device
from archcost.latency.targets.gpu_events import timed_by_events


def target(name: str) -> Target:
    """Return the target `mps`; raises InputError for a name that goes on."""
    if name != "mps":
        raise InputError(Mistake(f"given {quoted(shown_name(name))}; allowed: mps", ("target",)))
    return Target("mps", "mps", describe, measure, gpu=True)


def describe() -> Facts:
    """Return what is known of the GPU, which shares the processor's memory, or why there is none."""
    here = this_device()
    cpus, threads, reason = os.cpu_count() or 1, machine.physical_cores(), why_not()
    device = Device("none", 0, None, "") if reason else replace(here, name=f"GPU of {here.name}")
    return Facts("mps", not reason, reason, device, threads, cpus, None if reason else machine.available_memory_bytes())


def why_not() -> str:
    """Return why there is no such GPU here, '' if there is; elsewhere than on macOS torch need not be loaded."""
    if system() != "Darwin":
        return "Metal (MPS) exists on macOS only"
    import torch

    return "" if torch.backends.mps.is_available() else f"torch {version('torch')} finds no Metal device"


class Mark:
    """An event of torch.mps, which is never waited for: elapsed_time waits for the whole queue, and for its own news.

    torch, aten/src/ATen/mps/MPSEvent.mm: synchronize and elapsedTime both take the one flag that a recorded event sets,
    so that after the first the second may wait for ever.
    """

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._event = torch.mps.Event(enable_timing=True)

    def record(self) -> None:
        """Put the mark behind what is queued."""
        self._event.record()

    def synchronize(self) -> None:
        """Wait until the queue is empty."""
        self._torch.mps.synchronize()

    def elapsed_time(self, end_event: Mark) -> float:
        """Return the milliseconds, on the host's clock, between the news that this mark and a later one are reached."""
        taken: float = self._event.elapsed_time(end_event._event)
        return taken


def measure(sources: Sequence[Source], runtime: Runtime, plan: Plan) -> tuple[Samples, ...]:
    """Return raw seconds of the sources on the GPU; raises TargetError if it is not here or a network fails.

    A cold cache is refused: what empties it is not known of these GPUs.
    """
    facts = describe()
    if reason := facts.why_not or ("mps cannot empty the GPU's caches" if plan.cold_cache else ""):
        raise TargetError(reason)
    import torch

    from archcost.latency.targets.cpu import threads

    with ExitStack() as stack:
        stack.enter_context(threads(plan.threads))
        prepared = [stack.enter_context(runtime.prepare(replace(source, device="mps"), plan)) for source in sources]
        origin = Origin("mps", runtime.name, facts.device, this_conditions(), runtime.versions())
        timer = timed_by_events(partial(Mark, torch))
        return take(prepared, plan, origin, instruments(timer, torch, "mps"))
