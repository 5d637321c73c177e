"""Python programs as processes of their own, forked from one that has loaded what a study needs: each starts at once.

A new Python takes two seconds to load it, and the server of a study's children as long again.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, Final, Self

ARCHCOST: Final = "import sys\nfrom archcost import cli\ncli.main(sys.argv[1:])"
"""The program that `python -m archcost` is."""

_TEMPORARY: Final = tempfile.gettempdir()  # a test's own folder for such files goes with the test


class Forked:
    """One process: looked at, sent a signal, waited for; left before its end, it is killed. One runs at a time."""

    def __init__(self, program: str, arguments: Sequence[str], folder: Path, *, also: str = "", **more: str) -> None:
        """also: a module that the children of studies have in memory too; more: environment variables."""
        self._far, self._log = _server(also)
        self._began, self._files = self._log.seek(0, os.SEEK_END), [_empty() for _ in range(2)]
        out, err = (each.name for each in self._files)
        asked = {"program": program, "arguments": [*arguments], "folder": str(folder), "out": out, "err": err}
        self._far.sendall(json.dumps({**asked, "environment": {**os.environ, **more}}).encode() + b"\n")
        self.pid, self._code = self._answer(), None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.ended()
        for each in self._files:
            each.close()

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        if self._code is None and select.select([self._far], [], [], 0)[0]:
            self._code = self._answer()
        return self._code

    def ended(self) -> subprocess.CompletedProcess[str]:
        """Return how it ended, and what it and the children of its study printed, after waiting for that."""
        if self._code is None:
            self._code = self._answer()
        out, err = (each.read() for each in self._files)
        self._log.seek(self._began)
        return subprocess.CompletedProcess([], self._code, out, err + self._log.read())

    def _answer(self) -> int:
        number = b""
        while not number.endswith(b"\n"):
            byte = self._far.recv(1)
            assert byte, f"the server is gone: {self._log.seek(0)}{self._log.read()}"
            number += byte
        return int(number)


def _empty() -> IO[str]:
    return tempfile.NamedTemporaryFile("r+")  # closed, and so removed, by whoever holds it


def _nameless() -> IO[str]:
    return tempfile.TemporaryFile("r+")  # its name could be gone before this process ends


@cache
def _server(also: str) -> tuple[socket.socket, IO[str]]:
    """Return the far side of a server and what it and its children print; it ends with this process."""
    ours, theirs = socket.socketpair()
    ours.settimeout(120)
    log = _nameless()
    script = Path(__file__).with_name("fork_server.py")
    typed = [sys.executable, script, str(theirs.fileno()), *filter(None, [also])]
    paths = os.pathsep.join([str(script.parent), os.environ.get("PYTHONPATH", "")])
    found = {**os.environ, "PYTHONPATH": paths, "TMPDIR": _TEMPORARY}
    with theirs:
        passed = [theirs.fileno()]
        process = subprocess.Popen(typed, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=passed, env=found)
    atexit.register(_end, process, ours, log)
    return ours, log


def _end(process: subprocess.Popen[bytes], ours: socket.socket, log: IO[str]) -> None:
    ours.close()
    process.wait()
    log.close()
