"""ONNX Runtime's kernels timed by its own profile, beside sessions without one.

A profile makes a run longer between kernels, and each of them by what it notes of its inputs and outputs: as many nodes
with as many inputs that do nothing are profiled too, and subtracted. It counts whole microseconds, cut, of both alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from archcost import scratch
from archcost.latency.layers.empty import Idle, written
from archcost.latency.layers.kernels import joined
from archcost.latency.layers.names import named, nodes
from archcost.latency.layers.sessions import Profiled, Sessions, Side
from archcost.latency.player import Instruments
from archcost.latency.runtimes import Call, OnnxFile, Source
from archcost.latency.runtimes import onnxruntime as runtime
from archcost.latency.runtimes.onnxruntime_profile import Kernel, profiled
from archcost.latency.samples import Plan

_NOTE: Final = (
    "kernels as ONNX Runtime's profile has them, in whole microseconds; fused kernels are named by the layer that "
    "multiplies most"
)


@contextmanager
def staged(source: Source, plan: Plan, instruments: Instruments) -> Iterator[Sessions]:
    """Yield sessions of a source's file; raises TargetError as the runtime does."""
    with runtime.prepare(source, plan) as prepared, scratch.folder() as folder:
        assert prepared.file is not None  # as the runtime prepares it
        file = prepared.file
        real = _side(file, plan.threads, folder, optimised=True)
        kernels = _first(file, plan.threads, folder)
        empty = written(folder / "empty.onnx", [_idle(kernel) for kernel in kernels])
        idle = _side(empty, plan.threads, folder, optimised=False)  # of nodes that do nothing, none shall be left out
        found = nodes(file.path)
        called = named(found, joined(found, {kernel.name: kernel.op for kernel in kernels}), source.graph)
        yield Sessions(real, idle, called, _NOTE, instruments)


def _side(file: OnnxFile, threads: int, folder: Path, *, optimised: bool) -> Side:
    def opened(profile: Path | None) -> tuple[Any, Call]:
        session = runtime.session(file.path, threads, profile=profile, by_turns=threads > 1, optimised=optimised)
        binding = runtime.bound(session, file.arrays)
        return session, lambda: session.run_with_iobinding(binding)

    def with_profile() -> Profiled:
        session, run = opened(folder / "profile")
        return Profiled(run, _nothing, lambda totals_s: [_sums(run) for run in _last(session, len(totals_s))])

    return Side(file, lambda: opened(None)[1], with_profile)


def _nothing() -> None:
    """Do nothing: every run has its own events."""


def _last(session: Any, size: int) -> list[list[Kernel]]:
    return profiled(session)[-size:]


def _first(file: OnnxFile, threads: int, folder: Path) -> list[Kernel]:
    """Return the kernels of a run, each name once, in their order."""
    session = runtime.session(file.path, threads, profile=folder / "profile")
    session.run_with_iobinding(runtime.bound(session, file.arrays))
    return list({kernel.name: kernel for run in profiled(session) for kernel in run}.values())


def _idle(kernel: Kernel) -> Idle:
    """Return a node that does nothing, with as many inputs, three at most: a profile takes longer for each."""
    bounds = ("least", "most")[: max(0, kernel.inputs - 1)]
    return Idle(kernel.name, "Clip" if bounds else "Identity", bounds)


def _sums(run: Sequence[Kernel]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for kernel in run:
        sums[kernel.name] = sums.get(kernel.name, 0.0) + kernel.time_s
    return sums
