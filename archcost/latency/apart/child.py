"""A child process that runs one network when asked: lines of JSON in, lines of JSON out.

It loads the runtime and numpy, not torch, and ends when its standard input does, however its parent died.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

from archcost.errors import ArchcostError, named, one_line
from archcost.latency import runtimes
from archcost.latency.player import Here, Instruments, Timer, Turn, timed_by
from archcost.latency.runtimes import Call, OnnxFile
from archcost.latency.samples import Plan
from archcost.latency.targets.device import waited_s

FLUSHED_BYTES: Final = 128 * 2**20  # more than the last-level caches of most processors
_DIES_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG of Linux's prctl(2)


def main() -> None:
    """Answer the questions on standard input; what anybody else prints goes to standard error."""
    _follow(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    gc.disable()
    child = Child()
    for line in sys.stdin:
        _answered(child, json.loads(line), answers)


def _follow(parent: int) -> None:
    """Let Linux kill this process when its parent ends, stopped or not; another system closes standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what ends
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:  # it died before
            os._exit(1)


def _answered(child: Child, asked: dict[str, Any], answers: IO[str]) -> None:
    try:
        answer = child.answer(**asked)
    except ArchcostError as error:
        answer = {"error": str(error)}
    except Exception as error:  # a runtime's own; the parent says which network it was
        answer = {"error": f"it cannot run this network: {one_line(named(error), 300)}"}
    answers.write(f"{json.dumps(answer)}\n")
    answers.flush()


class Child:
    """The one network of this process."""

    def __init__(self) -> None:
        self._here: Here | None = None

    def answer(self, ask: str, **given: Any) -> dict[str, Any]:
        """Do what was asked for, and return what the parent is told."""
        match ask:
            case "import":
                if load := runtimes.find(given["runtime"]).loaded:
                    load()
                return {}
            case "open":
                return self._open(**given)
            case "warm":
                assert self._here is not None
                return self._here.warm(**given)._asdict()
            case _:
                assert self._here is not None
                return asdict(self._here.burst(Turn(**given), None))

    def _open(
        self, runtime: str, path: str, names: list[str], arrays: str, process: int, plan: dict[str, Any]
    ) -> dict[str, Any]:
        import numpy as np

        opened = runtimes.find(runtime).opened
        assert opened is not None
        known = Plan(**plan)
        with np.load(arrays, allow_pickle=False) as held:
            inputs = {name: held[f"arr_{place}"] for place, name in enumerate(names)}
        prepared = opened(OnnxFile(Path(path), inputs), known)
        self._here = Here(prepared, instruments(known), process)
        return {}


def instruments(plan: Plan) -> Instruments:
    """Return what a child times with: its own threads' clock and waiting; the kernel is the parent's."""
    timer = timed_by(time.perf_counter)
    return Instruments(
        timer=_cold(timer, plan.threads) if plan.cold_cache else timer,
        clock=time.perf_counter,
        pause=time.sleep,
        calibrate=lambda: None,
        cpu_s=time.process_time,
        waited_s=waited_s,
    )


def _cold(timer: Timer, threads: int) -> Timer:
    """Return a timer that reads and writes a large array before every call, on so many threads."""
    import numpy as np

    parts = np.array_split(np.zeros(FLUSHED_BYTES // 4, np.float32), threads)
    pool = ThreadPoolExecutor(threads)

    def add(part: Any) -> None:
        np.add(part, 1, out=part)

    def timed(call: Call, loops: int) -> float:
        total = 0.0
        for _ in range(loops):
            list(pool.map(add, parts))
            total += timer(call, 1)
        return total

    return timed
