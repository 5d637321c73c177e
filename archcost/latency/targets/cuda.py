"""The cuda targets: `cuda` or `cuda:N`, an NVIDIA GPU that torch drives, timed by events."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from archcost import machine
from archcost.errors import InputError, Mistake, TargetError, one_line, quoted
from archcost.latency.player import Instruments, Timer
from archcost.latency.runtimes import Call, Runtime, Source, version
from archcost.latency.samples import Conditions, Device, Origin, Plan, Samples
from archcost.latency.sampling import take
from archcost.latency.statistics import median
from archcost.latency.targets import Facts, Target, shown_name
from archcost.latency.targets.device import this_conditions, this_device
from archcost.latency.targets.gpu_events import Event, timed_by_events
from archcost.units import counted_words

_NAME: Final = re.compile(r"cuda(?::([0-9]{1,3}))?")
_DRIVER: Final = re.compile(r"Kernel Module .*?([0-9]+(?:\.[0-9]+)+) ")
_CUDA: Final = re.compile(r"\+cu[0-9]")  # how torch's versions name a build for CUDA
_KERNEL: Final = 1024  # side of the calibration kernel's matrices
_KERNELS: Final = 7
_FLUSHED_BYTES: Final = 256 * 2**20  # where the size of the L2 cache is not known


def target(name: str) -> Target:
    """Return the target of one GPU; raises InputError if the name is no `cuda` or `cuda:N`."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise InputError(
            Mistake(f"given {quoted(shown_name(name))}; allowed: cuda or the number of a GPU, cuda:1", ("target",))
        )
    number = int(match[1] or 0)
    describing, measuring = partial(describe, name, number), partial(measure, name=name, number=number)
    return Target(name, f"cuda-{number}", describing, measuring, gpu=True)


def describe(name: str, number: int) -> Facts:
    """Return what torch knows of the GPU, or why there is none; raises TargetError if the GPU does not answer."""
    cpus, threads = os.cpu_count() or 1, machine.physical_cores()
    if reason := why_not(number):
        return Facts(name, False, reason, Device("none", 0, None, ""), threads, cpus, None)
    import torch

    try:
        found = torch.cuda.get_device_properties(number)
        free, _ = torch.cuda.mem_get_info(number)
    except RuntimeError as error:  # no memory is left for a context, or the GPU is in a mode that refuses it
        raise TargetError(f"the GPU cuda:{number} cannot be asked what it is: {one_line(error)}") from error
    parts = (f"CUDA {torch.version.cuda}", driver(), f"compute capability {found.major}.{found.minor}")
    system = ", ".join([*filter(None, parts), this_device().system])
    device = Device(found.name, found.multi_processor_count, found.total_memory, system)
    return Facts(name, True, "", device, threads, cpus, free)


def driver(root: Path = Path("/")) -> str:
    """Return NVIDIA's driver and its version, as Linux gives it, '' if it gives none."""
    try:
        text = (root / "proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = _DRIVER.search(text)
    return f"driver {match[1]}" if match else ""


def has_driver() -> bool:
    """Return whether there is the library of NVIDIA's driver, which every CUDA program loads before anything else."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def why_not(number: int) -> str:
    """Return why GPU `number` cannot be measured on, '' if it can; torch is loaded only if there may be one."""
    installed = version("torch")
    without, absent = f"torch {installed} is built without CUDA", f"torch {installed} finds no GPU, or no driver for it"
    if installed.endswith("+cpu"):
        return without
    if _CUDA.search(installed) and not has_driver():
        return absent
    import torch

    if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]  # torch's
        return without
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a driver that is too old, which is then not available
        available = torch.cuda.is_available()
    if not available:
        return absent
    count = torch.cuda.device_count()
    return "" if number < count else f"this machine has {counted_words(count, 'GPU')}, numbered from 0"


def measure(
    sources: Sequence[Source], runtime: Runtime, plan: Plan, *, name: str = "cuda", number: int = 0
) -> tuple[Samples, ...]:
    """Return raw seconds of the sources on the GPU; raises TargetError if it is not here or a network fails."""
    facts = describe(name, number)
    if facts.why_not:
        raise TargetError(facts.why_not)
    import torch

    from archcost.latency.targets.cpu import threads

    with ExitStack() as stack:
        stack.enter_context(threads(plan.threads))
        stack.enter_context(torch.cuda.device(number))
        there = [replace(source, device=f"cuda:{number}") for source in sources]
        prepared = [stack.enter_context(runtime.prepare(source, plan)) for source in there]
        origin = Origin(name, runtime.name, facts.device, conditions(torch), runtime.versions())
        flush = flushing(torch, number) if plan.cold_cache else None
        timer = timed_by_events(partial(event, torch), flush)
        return take(prepared, plan, origin, instruments(timer, torch, f"cuda:{number}"))


def conditions(torch: Any) -> Conditions:
    """Return what the machine is set to, and whether torch may run float32 in TensorFloat-32."""
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    products, convolutions = (_allows_tf32(backend) for backend in backends)
    return replace(this_conditions(), tf32_products=products, tf32_convolutions=convolutions)


def _allows_tf32(backend: Any) -> bool | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has newer names for these settings, and may say so
        try:
            return bool(backend.allow_tf32)
        except RuntimeError:  # they were set under both names, and contradict each other
            return None


def event(torch: Any) -> Event:
    """Return an event that times; recorded once, since CUDA makes it only then and would be timed making it."""
    made: Event = torch.cuda.Event(enable_timing=True)
    made.record()
    return made


def flushing(torch: Any, number: int) -> Call:
    """Return what overwrites an array twice as large as the L2 cache, and waits until the GPU has done so."""
    size = 2 * torch.cuda.get_device_properties(number).L2_cache_size or _FLUSHED_BYTES
    large = torch.empty(size, dtype=torch.int8, device=f"cuda:{number}")

    def flush() -> None:
        large.zero_()
        torch.cuda.synchronize(number)

    return flush


def instruments(timer: Timer, torch: Any, device: str) -> Instruments:
    """Return what a GPU is measured with; a host thread that waits for it is no contention, so its time is not read."""
    return Instruments(
        timer=timer,
        clock=time.perf_counter,
        pause=time.sleep,
        calibrate=calibration(timer, torch, device),
        cpu_s=lambda: None,
        waited_s=lambda: None,
    )


def calibration(timer: Timer, torch: Any, device: str) -> Callable[[], float]:
    """Return what gives the seconds one product of two 1024 x 1024 matrices takes now: the median of seven."""
    a = torch.rand(_KERNEL, _KERNEL, device=device)

    def multiply() -> None:
        torch.mm(a, a)

    return lambda: median([timer(multiply, 1) for _ in range(_KERNELS)])
