"""An ONNX file in a runtime that profiles its kernels, beside runs without a profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Final, NamedTuple

from archcost.latency.layers.names import Named
from archcost.latency.layers.rounds import Round, Run, Told
from archcost.latency.player import Here, Instruments, once
from archcost.latency.runtimes import Call, OnnxFile, Prepared, spare
from archcost.machine import available_memory_bytes

_AGAIN: Final = 2  # runs that are no samples


class Profiled(NamedTuple):
    """A file that runs with a profile.

    begin: called before the runs that count; read: what each of these took by kernel, given their seconds from outside.
    """

    run: Call
    begin: Call
    read: Callable[[Sequence[float]], Sequence[Mapping[str, float]]]


class Side(NamedTuple):
    """A file in a runtime, opened anew by each call: without a profile, and with one."""

    file: OnnxFile
    plain: Callable[[], Call]
    profiled: Callable[[], Profiled]


class Sessions:
    """A file in the four ways: untouched, with a profile, and both of as many nodes that do nothing."""

    def __init__(self, real: Side, idle: Side, named: Named, note: str, instruments: Instruments) -> None:
        self._sides, self._named, self._note, self._instruments = (real, idle), named, note, instruments
        self._more = cycle((0, 1))  # of an odd number, so many come first: a round may have a single run
        self._open()

    def _open(self) -> None:
        self._plain = [Prepared(side.plain()) for side in self._sides]

    def warm(self, time_s: float) -> float:
        """Run it until its level lasts; return the seconds of one run in each way, a profile's as long as without."""
        Here(self._plain[0], self._instruments).warm(time_s)
        begun = self._instruments.clock()
        for each in self._plain:
            self._once(each)
        return 3 * (self._instruments.clock() - begun)

    def renew(self) -> bool:
        """Go on with others, whose memory is new; return whether there is room for them."""
        if not spare(self._sides[0].file.path, available_memory_bytes()):
            return False
        self._open()
        for each in self._plain:
            for _ in range(_AGAIN):
                self._once(each)
        return True

    def round(self, size: int) -> Round:
        """Run it untouched, with a profile, and untouched again; then the nodes that do nothing likewise.

        Calls of one kind follow each other, as both have weights of their own: those of some megabytes would
        push each other out of the caches at every change.
        """
        real, idle = (self._turns(*each, size) for each in zip(self._plain, self._sides, strict=True))
        return Round(*real, *idle)

    def told(self) -> Told:
        """Return which layers ran as one, and that it is the runtime's own profile."""
        return Told(self._named.fused, len(self._named.names), (self._note,))

    def _turns(self, plain: Prepared, side: Side, size: int) -> tuple[list[float], list[Run]]:
        profiled = side.profiled()
        timed = Prepared(profiled.run)
        first = (size + next(self._more)) // 2
        whole_s = self._several(plain, first, again=1)
        for _ in range(_AGAIN):
            self._once(timed)
        profiled.begin()
        totals_s = self._several(timed, size, again=0)
        whole_s += self._several(plain, size - first, again=1)
        kernels = [self._named.summed(run.items()) for run in profiled.read(totals_s)]
        return whole_s, [Run(*each) for each in zip(totals_s, kernels, strict=True)]

    def _several(self, prepared: Prepared, count: int, again: int) -> list[float]:
        """Return what calls took that follow each other, and `again` that are no samples, if there are any."""
        return [self._once(prepared) for _ in range(count + again)][again:] if count else []

    def _once(self, prepared: Prepared) -> float:
        return once(prepared, self._instruments.timer)
