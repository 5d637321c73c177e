"""OpenVINO's kernels timed by its own profile, beside inferences without one.

The profile of a kernel is the mean of all runs since a network was compiled: each is compiled for its round, and what
it ran before is taken out. A run counts whole microseconds, cut, and the mean is cut once more: each cut loses half a
microsecond on average, which kernels that are seen at all are given back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import fsum
from typing import Any, Final

from archcost import scratch
from archcost.latency.layers.empty import Idle, written
from archcost.latency.layers.kernels import listed
from archcost.latency.layers.names import named, nodes
from archcost.latency.layers.sessions import Profiled, Sessions, Side
from archcost.latency.player import Instruments
from archcost.latency.runtimes import Call, OnnxFile, Source
from archcost.latency.runtimes import openvino as runtime
from archcost.latency.samples import Plan

_CUT_S: Final = 1e-6  # what two cuts to whole microseconds lose, half of one each
_FEW: Final = 3
_NOTE: Final = (
    "kernels as OpenVINO's profile has them: means of a round's runs in whole microseconds, cut twice, for which 1 us "
    "is added; kernels that it sees at 0 us have no time; fused kernels are named by the layer that multiplies most"
)


@contextmanager
def staged(source: Source, plan: Plan, instruments: Instruments) -> Iterator[Sessions]:
    """Yield inferences of a source's file; raises TargetError as the runtime does."""
    with runtime.prepare(source, plan) as prepared, scratch.folder() as folder:
        assert prepared.file is not None  # as the runtime prepares it
        file = prepared.file
        kernels = runtime.kernels(runtime.inference(file, plan))
        names = [kernel.name for kernel in kernels]
        real = _side(file, plan, names)
        busy = _busy(real, names)
        run = [kernel.name for kernel in kernels if kernel.implemented or kernel.name in busy]
        empty = written(folder / "empty.onnx", [Idle(name, "ReverseSequence", ("length",)) for name in run])
        found = nodes(file.path)
        called = named(found, listed(found, {kernel.name: kernel.made_of for kernel in kernels}), source.graph)
        yield Sessions(real, _side(empty, plan, ()), called, _NOTE, instruments)


def _busy(real: Side, names: Sequence[str]) -> set[str]:
    """Return the kernels that a few runs see at work."""
    profiled = real.profiled()
    profiled.begin()
    for _ in range(_FEW):
        profiled.run()
    (took_s,) = profiled.read([1.0])
    return {name for name in names if took_s[name] > 0}


def _side(file: OnnxFile, plan: Plan, names: Sequence[str]) -> Side:
    """Return a file's inferences; names: of the kernels that are asked for."""

    def plain() -> Call:
        return partial(runtime.inference(file, plan).infer, share_outputs=True)

    return Side(file, plain, lambda: _Profile(runtime.inference(file, plan, PERF_COUNT=True), names).profiled())


class _Profile:
    """What a request's kernels took in the runs that count."""

    def __init__(self, request: Any, names: Sequence[str]) -> None:
        self._request, self._runs = request, 0
        own = [kernel.name for kernel in runtime.kernels(request)] if names else []
        self._names = renamed(names, own)
        self._before = self._state()

    def profiled(self) -> Profiled:
        """Return its runs, and what reads them."""
        return Profiled(self._run, self._begin, self._read)

    def _state(self) -> tuple[int, Mapping[str, float]]:
        return self._runs, runtime.averages(self._request)

    def _run(self) -> None:
        self._request.infer(share_outputs=True)
        self._runs += 1

    def _begin(self) -> None:
        self._before = self._state()

    def _read(self, totals_s: Sequence[float]) -> list[dict[str, float]]:
        now = self._state()
        return shared({name: since(own, self._before, now) for name, own in self._names.items()}, totals_s)


def renamed(names: Sequence[str], own: Sequence[str]) -> dict[str, str]:
    """Return what kernels are called in another compilation, which numbers some anew: those in their order."""
    here, there = set(names), set(own)
    new = (name for name in own if name not in here)
    return {name: name if name in there else next(new) for name in names}


def since(name: str, before: tuple[int, Mapping[str, float]], now: tuple[int, Mapping[str, float]]) -> float:
    """Return the mean seconds of a kernel in the runs between two means of all runs so far, the cuts given back."""
    (runs, mean_s), (later, later_s) = before, now
    if not later_s.get(name):
        return 0.0
    return (later * later_s[name] - runs * mean_s.get(name, 0.0)) / (later - runs) + _CUT_S


def shared(means_s: Mapping[str, float], totals_s: Sequence[float]) -> list[dict[str, float]]:
    """Return the kernels of each run: of one that took longer than the mean, each took as much longer."""
    whole_s = fsum(totals_s) / len(totals_s)
    return [{name: mean_s * total_s / whole_s for name, mean_s in means_s.items()} for total_s in totals_s]
