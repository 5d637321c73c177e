"""The cpu target: the processor of this process, all its CPUs or those of `cpu:0-1,3`."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Final

from archcost.errors import InputError, Mistake, TargetError, quoted
from archcost.latency.apart.parent import players, started
from archcost.latency.player import Clock, Instruments, Timer, timed_by
from archcost.latency.roofline.roof import Peaks
from archcost.latency.runtimes import Call, Runtime, Source
from archcost.latency.samples import Origin, Plan, Samples
from archcost.latency.sampling import rounds, take
from archcost.latency.statistics import median
from archcost.latency.targets import Facts, Target, shown_name
from archcost.latency.targets.device import this_conditions, this_device, waited_s
from archcost.machine import allowed, available_memory_bytes, physical_cores

_LIST: Final = re.compile(r"[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*")
_PROCESSES: Final = 2  # that the samples of one network come from
_KERNELS: Final = 5  # runs of the calibration kernel of which the median is taken
_FLUSHED_BYTES: Final = 128 * 2**20  # more than the last-level caches of most processors


def target(name: str) -> Target:
    """Return the target `cpu`, or of `cpu:LIST` one pinned to those CPUs; raises InputError for another list."""
    cpus = _pinned(name)
    asked, set_up, reached = partial(describe, name, cpus), partial(ready, cpus=cpus), partial(peaks, cpus=cpus)
    measuring = partial(measure, name=name, cpus=cpus)
    return Target(name, "cpu", asked, measuring, deploys=True, peaks=reached, ready=set_up)


def _pinned(name: str) -> frozenset[int] | None:
    _, colon, text = name.partition(":")
    if not colon:
        return None
    if not _LIST.fullmatch(text):
        allowed_forms = "cpu, or with a list of CPUs cpu:0-1,3"
        raise InputError(Mistake(f"given {quoted(shown_name(name))}; allowed: {allowed_forms}", ("target",)))
    ranges = [part.partition("-") for part in text.split(",")]
    if backwards := [(low, high) for low, _, high in ranges if high and int(high) < int(low)]:
        told = ", ".join(f"{low}-{high} runs backwards; allowed: {high}-{low}" for low, high in backwards)
        raise InputError(Mistake(f"given {quoted(shown_name(name))}; {told}", ("target",)))
    chosen = frozenset(cpu for low, _, high in ranges for cpu in range(int(low), int(high or low) + 1))
    if not chosen <= set(allowed()):
        has = ",".join(map(str, sorted(allowed())))
        raise InputError(Mistake(f"given {quoted(shown_name(name))}; this process may use the CPUs {has}", ("target",)))
    return chosen


def describe(name: str = "cpu", cpus: frozenset[int] | None = None) -> Facts:
    """Return what is known of this processor; it is always here."""
    most = len(cpus) if cpus else os.cpu_count() or 1
    return Facts(name, True, "", this_device(), physical_cores(cpus=cpus), most, available_memory_bytes())


def measure(
    sources: Sequence[Source],
    runtime: Runtime,
    plan: Plan,
    *,
    name: str = "cpu",
    cpus: frozenset[int] | None = None,
    clock: Clock = time.perf_counter,
) -> tuple[Samples, ...]:
    """Return raw seconds of the sources on plan.threads threads; raises TargetError if a network fails."""
    with ExitStack() as stack:
        # first: other runtimes read the number of threads when they are prepared
        with_these = stack.enter_context(ready(plan, cpus=cpus, clock=clock))
        # also before: they load the runtime while this process exports; one network's samples come from two of them
        count = len(sources) if len(sources) > 1 else _PROCESSES
        children = [] if runtime.opened is None or runtime.why_not() else stack.enter_context(started(count, runtime))
        prepared = [stack.enter_context(runtime.prepare(source, plan)) for source in sources]
        origin = Origin(name, runtime.name, this_device(), this_conditions(), runtime.versions())
        if not children:
            return take(prepared, plan, origin, with_these)
        return rounds(stack.enter_context(players(prepared, children, runtime, plan)), plan, origin, with_these)


def peaks(count: int, *, cpus: frozenset[int] | None = None, clock: Clock = time.perf_counter) -> Peaks:
    """Return what this processor reaches at most on `count` threads; raises TargetError if its clock stands still."""
    from archcost.latency.roofline.kernels import processor
    from archcost.latency.roofline.peaks import measure as measured

    with ExitStack() as stack:
        if cpus:
            stack.enter_context(pinned(cpus))
        stack.enter_context(threads(count))
        return measured(stack.enter_context(processor(count, clock)), clock)


@contextmanager
def ready(plan: Plan, *, cpus: frozenset[int] | None = None, clock: Clock = time.perf_counter) -> Iterator[Instruments]:
    """Yield what is measured with, on plan.threads threads of those CPUs, of all if none are named."""
    with pinned(cpus) if cpus else nullcontext(), threads(plan.threads):
        yield instruments(clock, cold_cache=plan.cold_cache)


def instruments(clock: Clock, *, cold_cache: bool = False) -> Instruments:
    """Return what a processor is measured with; cold_cache: a large array is read and written before every sample."""
    timer = timed_by(clock)
    return Instruments(
        timer=_cold(timer) if cold_cache else timer,
        clock=clock,
        pause=time.sleep,
        calibrate=calibration(clock),
        cpu_s=time.process_time,
        waited_s=waited_s,
    )


def calibration(clock: Clock) -> Callable[[], float]:
    """Return what gives the seconds that a fixed piece of work takes now: the median of five.

    It is what networks are made of: three 3x3 convolutions of 32 channels at 32 x 32, each with a ReLU, and a product
    of two 192 x 192 matrices.
    """
    import torch
    from torch.nn import functional as F

    x, weight = torch.rand(1, 32, 32, 32), torch.rand(32, 32, 3, 3) / 288  # 288 inputs each: values stay as they are
    matrix, product = torch.rand(192, 192), torch.empty(192, 192)

    def once() -> None:
        y = x
        for _ in range(3):
            y = F.relu(F.conv2d(y, weight, padding=1))
        torch.mm(matrix, matrix, out=product)

    def calibrate() -> float:
        with torch.inference_mode():
            return median([timed_by(clock)(once, 1) for _ in range(_KERNELS)])

    return calibrate


def _cold(timer: Timer) -> Timer:
    import torch

    large = torch.zeros(_FLUSHED_BYTES // 4)

    def timed(call: Call, loops: int) -> float:
        total = 0.0
        for _ in range(loops):
            large.add_(1)
            total += timer(call, 1)
        return total

    return timed


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch's operators use `count` threads inside the context, and as many as before after it."""
    import torch  # here and not above: describing the machine shall not cost the 2 s of loading torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def pinned(cpus: frozenset[int]) -> Iterator[None]:
    """Let every thread of this process run on `cpus` alone inside the context; new ones inherit it.

    Raises TargetError if the system cannot pin.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise TargetError("this system cannot pin a process to CPUs")
    before = os.sched_getaffinity(0)
    _affine(cpus)
    try:
        yield
    finally:
        _affine(before)


def _affine(cpus: Iterable[int]) -> None:
    for task in Path("/proc/self/task").iterdir():  # thread pools that are there already, too
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cpus)
