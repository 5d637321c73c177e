"""A worker under an engine: log and exit code are files, and it ends with its parent.

Called as `python -m archcost.study.workers.engines.launch LOG EXIT FOLDER [NAME=VALUE ...] -- ARGUMENT ...`. The
worker is Python with these arguments, in that folder. Only the standard library is loaded here.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

MODULE: Final = "archcost.study.workers.engines.launch"
"""By which Python finds this file."""
_POLL_S: Final = 0.5
_GRACE_S: Final = 20.0  # between asking a worker to end and killing it: it gives back what it works on
_WRONG: Final = 2  # the exit code of a wrong input
_DEATH: Final = 1  # prctl(2), PR_SET_PDEATHSIG
_ENDS: Final = tuple(filter(None, (getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGUSR2"))))
"""Ctrl-C; a cancelled job; a job whose time is nearly over, as submitit lets Slurm say it."""


def launch(log: Path, code: Path, folder: Path, environment: dict[str, str], arguments: Sequence[str]) -> int:
    """Run a worker to its end and return its exit code, which is then in the file `code`; of a signal 128 more."""
    parent, asked = os.getppid(), False

    def ask(*_: object) -> None:
        nonlocal asked
        asked = True

    if not folder.is_dir():
        log.write_text(f"there is no folder {folder} on this machine\n", "utf-8", "backslashreplace")
        return _kept(code, _WRONG)
    for number in _ENDS:
        signal.signal(number, ask)
    with log.open("ab") as file:
        worker = subprocess.Popen(  # noqa: S603 - Python, with what this process was called with
            [sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=folder,
            env={**os.environ, **environment}, preexec_fn=_tied,  # noqa: PLW1509 - there are no threads here
        )  # fmt: skip
    while worker.poll() is None and not asked and os.getppid() == parent:
        time.sleep(_POLL_S)
    return _kept(code, _ended(worker))


def _kept(code: Path, found: int) -> int:
    """Write an exit code to its file, whole at once, and return it."""
    part = code.with_name(f"{code.name}.part")
    part.write_text(f"{found}\n", "ascii")
    part.replace(code)
    return found


def _tied() -> None:
    """Let a worker be ended by SIGTERM alone, so that it gives back what it works on, and with this process.

    If this one is killed, the system ends it where it can do that.
    """
    for number in _ENDS:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_DEATH, signal.SIGTERM)


def _ended(worker: subprocess.Popen[bytes]) -> int:
    """End a worker, if it has not ended by itself."""
    if worker.poll() is None:
        worker.terminate()
        try:
            worker.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            worker.kill()
    code = worker.wait()
    return 128 - code if code < 0 else code


def _main(words: Sequence[str]) -> int:
    place = words.index("--")
    log, code, folder, *pairs = words[:place]
    environment = dict(pair.split("=", 1) for pair in pairs)
    return launch(Path(log), Path(code), Path(folder), environment, words[place + 1 :])


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
