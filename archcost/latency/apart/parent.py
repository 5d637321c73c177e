"""The parent of networks in processes of their own: one runs, the others are stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from archcost import scratch
from archcost.errors import TargetError, shorten, visible
from archcost.latency.bursts import Burst
from archcost.latency.player import Turn, Warm
from archcost.latency.runtimes import OnnxFile, Prepared, Runtime, spare
from archcost.latency.samples import Plan
from archcost.machine import available_memory_bytes, shortage

if TYPE_CHECKING:
    from archcost.nets.calls.contents import Held

_MAIN: Final = "from archcost.latency.apart.child import main; main()"
_PATIENCE_S: Final = 600.0  # to load a network, and for any answer more than its calls should take
_SLOWER: Final = 20  # times what a burst should take
_LEAVE_S: Final = 5.0
_CHILD_BYTES: Final = 100_000_000  # Python, numpy and a runtime, without the network
_KEPT_BYTES: Final = 4096  # of standard error


@dataclass(eq=False)
class Child:
    """A process that runs one network, stopped while it is not asked: its threads, which may spin, disturb nobody."""

    process: subprocess.Popen[str]
    errors: IO[bytes]
    _due: list[str] = field(default_factory=list)

    def ask(self, question: dict[str, Any], most_s: float = _PATIENCE_S) -> dict[str, Any]:
        """Return the answer; raises TargetError with the child's reason, also if it died, or hung and was killed."""
        self.begin(question)
        return self.end(most_s)

    def begin(self, question: dict[str, Any]) -> None:
        """Ask, and let the child run; `end` waits for the answer."""
        assert self.process.stdin is not None
        _signal(self.process, "SIGCONT")
        with suppress(OSError):  # one that died is told of by its answer, which does not come
            self.process.stdin.write(f"{json.dumps(question)}\n")
            self.process.stdin.flush()

    def end(self, most_s: float = _PATIENCE_S) -> dict[str, Any]:
        """Return the answer to what was asked last, and stop the child."""
        assert self.process.stdout is not None
        late = threading.Event()
        timer = threading.Timer(min(most_s, threading.TIMEOUT_MAX), _late, (self.process, late))
        timer.daemon = True
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        if line:
            _signal(self.process, "SIGSTOP")
        try:
            answer = json.loads(line)
        except ValueError:
            raise TargetError(self._end_words(most_s if late.is_set() else None)) from None
        if "error" in answer:
            raise TargetError(str(answer["error"]))
        return dict(answer)

    def close(self) -> None:
        """End the process, stopped or not."""
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_LEAVE_S)
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            if stream is not None:
                with suppress(OSError):  # what it was asked and has not read
                    stream.close()

    def _end_words(self, most_s: float | None) -> str:
        """Return how a process ended that did not answer."""
        if most_s is not None:
            return f"the process that runs this network hung: no answer within {most_s:g} s, killed"
        try:
            code = self.process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:  # it closed its output, or wrote what is no answer, and stays
            self.process.kill()
            code = self.process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended by itself with code {code}"
        self.errors.seek(max(0, self.errors.seek(0, os.SEEK_END) - _KEPT_BYTES))
        lines = self.errors.read().decode("utf-8", "replace").split("\n")
        last = next((f": {visible(shorten(each.strip(), 300))}" for each in reversed(lines) if each.strip()), "")
        return f"the process that runs this network {how}{last}"


def _signal(process: subprocess.Popen[str], name: str) -> None:
    """Send a signal that Windows has not; there threads of a child that is not asked go to sleep by themselves."""
    if hasattr(signal, name) and process.poll() is None:
        with suppress(OSError):
            process.send_signal(getattr(signal, name))


def _late(process: subprocess.Popen[str], late: threading.Event) -> None:
    late.set()
    process.kill()


@contextmanager
def started(count: int, runtime: Runtime) -> Iterator[list[Child]]:
    """Yield children that are loading a runtime, each in a process group of its own; they end with the context.

    A group of a stopped process that loses its parent is sent SIGHUP and SIGCONT (POSIX), and so ends too.
    Raises TargetError if they cannot be started, or memory is short.
    """
    if short := shortage(count * _CHILD_BYTES, available_memory_bytes()):
        raise TargetError(f"processes for networks, {count} of them: {short}")
    with ExitStack() as stack:
        children = []
        for _ in range(count):
            child = _started(stack)
            child.begin({"ask": "import", "runtime": runtime.name})
            children.append(child)
        yield children


def _started(stack: ExitStack) -> Child:
    path = os.pathsep.join(each for each in sys.path if each)
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
    command = [sys.executable, "-P", "-c", _MAIN, str(os.getpid())]
    apart: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(  # noqa: S603 - a list, and no shell
            command, stdin=pipe, stdout=pipe, stderr=errors, text=True, encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path}, **apart,
        )  # fmt: skip
    except OSError as error:
        raise TargetError(f"cannot start a process for a network: {visible(error.strerror or str(error))}") from None
    child = Child(process, errors)
    stack.callback(child.close)
    return child


@dataclass(eq=False)
class Apart:
    """A network in processes of its own, which take its bursts in turn."""

    prepared: Prepared
    children: Sequence[Child]
    apart: bool = True
    _bursts: int = 0
    _sample_s: float = 0.0

    def network(self) -> Prepared:
        """Return what is known of the network as it was prepared."""
        return self.prepared

    def held(self) -> Held | None:
        """Return None: a file keeps nothing from call to call that could be seen."""
        return None

    def warm(self, time_s: float) -> Warm:
        """Run it in the first process until it is steady; in the others it begins as a fresh copy does."""
        answer = self.children[0].ask({"ask": "warm", "time_s": time_s}, _PATIENCE_S + _SLOWER * time_s)
        answer["warmup_s"] = tuple(answer["warmup_s"])
        self._sample_s = max(answer["warmup_s"]) * answer["loops"]
        first_s = self.prepared.first_s
        return Warm(**answer if first_s is None else {**answer, "first_s": first_s})

    def burst(self, turn: Turn, calibration_s: float | None) -> Burst:
        """Take samples in a row, in the next process."""
        child = self.children[self._bursts % len(self.children)]
        self._bursts += 1
        most_s = _PATIENCE_S + _SLOWER * self._sample_s * turn.size
        answer = child.ask({"ask": "burst", **turn._asdict()}, most_s)
        return Burst(**{**answer, "samples_s": tuple(answer["samples_s"]), "calibration_s": calibration_s})


@contextmanager
def players(
    prepared: Sequence[Prepared], children: Sequence[Child], runtime: Runtime, plan: Plan
) -> Iterator[list[Apart]]:
    """Yield networks in the children, as many for each, one if memory is short: opened in turn, each then stopped."""
    import numpy as np

    free = available_memory_bytes()
    roomy = all(one.file is not None and spare(one.file.path, free) for one in prepared)
    each = len(children) // len(prepared) if roomy else 1
    for child in children:
        child.end()
    with scratch.folder() as folder:
        found = []
        for place, one in enumerate(prepared):
            assert one.file is not None
            mine = children[place * each : (place + 1) * each]
            arrays = folder / f"{place}.npz"
            np.savez(arrays, *one.file.arrays.values())
            for number, child in enumerate(mine):
                child.ask(_opening(one.file, arrays, number, runtime, plan))
            found.append(Apart(one, mine))
        yield found


def _opening(file: OnnxFile, arrays: Path, number: int, runtime: Runtime, plan: Plan) -> dict[str, Any]:
    return {
        "ask": "open",
        "runtime": runtime.name,
        "path": str(file.path.resolve()),
        "names": list(file.arrays),
        "arrays": str(arrays),
        "process": number,
        "plan": asdict(plan),
    }
