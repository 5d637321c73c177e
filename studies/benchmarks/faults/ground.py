"""A study of tiny networks in a folder of its own, the processes that work on it, and what its storage holds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

from forks import Fork, forked
from processes import alive, marked
from support import ROOT

from archcost.errors import InputError
from archcost.study.records.database.addresses import address
from archcost.study.records.stored import Stored, find
from archcost.study.records.trials import Trial

MARK: Final = "ARCHCOST_FAULTS_MARK"
"""The environment variable by which a process and all that it has started are found."""
TRAINED: Final = """
name: faults
models: [{family: bottleneck, block: basic, depths: [1], widths: [{int: [4, 400]}]}]
data: {name: digits, examples: 200}
objectives: [{error: min}, {latency: min, target: fake, threads: 1, time: 0.05}]
fit: {epochs: 2, rungs: [2]}
search: {trials: 20}
confirm: {members: 0}
"""
CODE: Final = '''
import time

import torch
from torch.nn import functional


def fit(network, data, context, rest_s=1.0):
    """Train for the epochs of the study, each a mini-batch and a rest."""
    inputs, targets = data.train
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
    if (state := context.load()) is not None:
        network.load_state_dict(state["network"])
    for _ in range(context.start, context.epochs):
        with context.turn():
            loss = functional.cross_entropy(network(inputs[:50]), targets[:50])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        time.sleep(rest_s)
        context.save({"network": network.state_dict()})
        yield {"loss": loss.item()}
'''


def trained(trials: int) -> str:
    """Return a study that archcost itself trains: as fast as the machine is."""
    return TRAINED.replace("trials: 20", f"trials: {trials}")


def paced(trials: int, epochs: int = 10) -> str:
    """Return a study trained by code that rests a second after each epoch: it takes time, and little of a processor."""
    fit = f"fit: {{code: 'paced:fit', epochs: {epochs}, rungs: [{epochs}]}}"
    return trained(trials).replace("fit: {epochs: 2, rungs: [2]}", fit)


@dataclass
class Worker:
    """A process that works on a study; mark: what it and its children have in their environment."""

    process: subprocess.Popen[bytes] | Fork
    mark: str
    log: Path

    def send(self, number: signal.Signals, *, all_of_it: bool = False) -> None:
        """Send a signal to it, or to its children too."""
        for pid in marked(MARK, self.mark) if all_of_it else [self.process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def family(self) -> list[int]:
        """Return the numbers of it and of its children."""
        return marked(MARK, self.mark)

    def kill(self) -> list[int]:
        """Kill it alone and at once; return the numbers that it and its children had."""
        family = self.family()
        self.process.kill()
        self.process.wait()
        return family

    def gone(self, family: Sequence[int] = (), within_s: float = 10.0) -> bool:
        """Return whether nothing is left soon of what it has started, nor of processes of some numbers."""
        return soon(lambda: not marked(MARK, self.mark) and not any(map(alive, family)), within_s)

    def ended(self, within_s: float = 1200.0) -> int | None:
        """Return its exit code, None if it has not ended after some time."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            return None

    @property
    def said(self) -> str:
        """All that it printed."""
        return self.log.read_text("utf-8", "replace")


@dataclass
class Ground:
    """A folder with a study; storage: its URL, '' of a file beside it; more: what workers have in their environment."""

    folder: Path
    storage: str = ""
    more: dict[str, str] = field(default_factory=dict)
    every: list[Worker] = field(default_factory=list)
    known: Stored | None = None

    def start(self, *words: str, prefix: Sequence[str] = (), **more: str) -> Worker:
        """Start a command of archcost's; prefix: of the command line."""
        mark = uuid4().hex
        log = self.folder / f"{mark}.log"
        command = [*prefix, sys.executable, "-m", "archcost", *words]
        with log.open("wb") as told:
            process = subprocess.Popen(  # noqa: S603  # our own words
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=told, stderr=told,
                env={**self.environment(), **more, MARK: mark}, start_new_session=True,
            )  # fmt: skip
        self.every.append(Worker(process, mark, log))
        return self.every[-1]

    def worker(self, *words: str, prefix: Sequence[str] = (), role: str = "worker", **more: str) -> Worker:
        """Start a worker, or a run, of one trial at a time."""
        return self.start(*self._work(role), *words, prefix=prefix, **more)

    def fork(self) -> Worker:
        """Start a worker that has loaded all it needs; neither it nor its children are found by a mark."""
        log = self.folder / f"{uuid4().hex}.log"
        self.every.append(Worker(forked(self._work("worker"), self.folder, log, self.environment()), "-", log))
        return self.every[-1]

    def _work(self, role: str) -> tuple[str, ...]:
        where = ("--storage", self.storage) if self.storage else ()
        return ("study", role, "study.yaml", "--workers", "1", "--allow-code", *where)

    def environment(self) -> dict[str, str]:
        """Return the environment of a command: folders of its own, and bytecode that is kept."""
        held = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        own = {"TMPDIR": str(self.temporary), "XDG_RUNTIME_DIR": str(self.temporary)}
        return {**held, **own, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **self.more}

    @property
    def temporary(self) -> Path:
        """The folder of temporary files of its processes."""
        return self.folder / "tmp"

    @property
    def left_over(self) -> list[Path]:
        """The temporary folders that processes have, or have left."""
        return sorted(self.temporary.glob("archcost-*-*"))

    def stored(self) -> Stored | None:
        """Return the study as it is now, None if there is none that can be read."""
        with suppress(InputError):
            return find(address(self.storage or "study.db", self.folder))
        return None

    def trials(self) -> tuple[Trial, ...]:
        """Return the trials as they are now."""
        held = self.stored()
        return held.trials() if held else ()

    def acknowledged(self) -> dict[int, Trial]:
        """Return the trials that have ended with a result, by their numbers."""
        return {each.number: each for each in self.trials() if each.state in ("complete", "pruned")}

    def counted(self) -> int:
        """Return how many trials count."""
        return sum(each.counts and each.state in ("complete", "pruned", "failed") for each in self.trials())

    def checkpoints(self) -> list[str]:
        """Return the names of the checkpoints that are kept."""
        return sorted(path.stem for path in self.folder.glob("*.weights/*.checkpoint"))


def soon(holds: Callable[[], object], within_s: float, every_s: float = 0.2) -> bool:
    """Return whether something holds, now or before some time is over."""
    end = time.monotonic() + within_s
    while not (found := bool(holds())) and time.monotonic() < end:
        time.sleep(every_s)
    return found


@contextmanager
def ground(storage: str, study: str = TRAINED, within: Path | None = None, **files: str) -> Iterator[Ground]:
    """Yield a study in a new folder, and end its processes; storage: a URL, '' of a file beside it."""
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=within))
    made = Ground(folder, storage)
    try:
        made.temporary.mkdir(mode=0o700)
        (folder / "study.yaml").write_text(study, "utf-8")
        for name, text in {"paced": CODE, **files}.items():
            (folder / f"{name}.py").write_text(text, "utf-8")
        yield made
    finally:
        for each in made.every:
            each.send(signal.SIGCONT, all_of_it=True)
            each.send(signal.SIGKILL, all_of_it=True)
            each.process.kill()
            each.process.wait()
        if "ARCHCOST_FAULTS_KEEP" not in os.environ:
            shutil.rmtree(folder, ignore_errors=True)
