"""Workers forked from a process that has loaded what they need: they start in the same tenth of a second."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver
from pathlib import Path

from support import fork_server

from archcost import cli


@dataclass
class Fork:
    """A process that was forked, as `subprocess.Popen` shows one."""

    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float = 1e9) -> int:
        """Return its exit code once it has ended; raises TimeoutExpired."""
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired([], timeout)
            time.sleep(0.05)
        return code

    def kill(self) -> None:
        """Kill it."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


@cache
def _ready() -> None:
    fork_server.ready()


def trials_of_forks() -> int:
    """Return how many trials are under way in the processes of all forked workers."""
    tasks = Path(f"/proc/{forkserver._forkserver._forkserver_pid}/task")  # type: ignore[attr-defined]
    return sum(len((task / "children").read_text().split()) for task in tasks.iterdir())


def forked(words: Sequence[str], folder: Path, log: Path, environment: dict[str, str]) -> Fork:
    """Start a command of archcost's in a folder."""
    _ready()
    log.touch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from Python 3.12 on it warns of a BLAS's threads
        pid = os.fork()
    if pid:
        return Fork(pid)
    code = 1
    try:
        os.setsid()
        fork_server.become({"out": log, "err": log, "folder": str(folder), "environment": environment,
                            "arguments": list(words)})  # fmt: skip
        cli.main(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        os._exit(code)
