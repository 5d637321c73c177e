"""A process that has loaded what a study needs, and forks: each request is a Python program to become.

Started by forked.py: its arguments are a socket, and modules that the children of studies have in memory besides.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
import tempfile
import warnings
from multiprocessing import forkserver
from typing import Any, Final

from archcost.study.workers import processes

LOADED: Final = (
    "archcost.cli.study.run",
    "archcost.cli.study.group",
    "archcost.study.run",
    "sqlalchemy.dialects.sqlite",
)


def ready(*more: str) -> None:
    """Load what commands of studies load, and start the server of their children: all that is forked here shares it."""
    for name in LOADED:
        importlib.import_module(name)
    processes.LOADED = (*processes.LOADED, *more)  # type: ignore[misc]
    processes.server()
    with processes._hidden_main():
        forkserver.ensure_running()
    forkserver._forkserver.ensure_running = lambda: None  # it is; but only this process, its parent, could ask


def asked(near: socket.socket) -> dict[str, Any]:
    """Return a request in a process of its own, whose number and exit code this one answers with."""
    for line in near.makefile("rb"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from Python 3.12 on it warns of a BLAS's threads
            pid = os.fork()
        if not pid:
            near.close()
            request: dict[str, Any] = json.loads(line)
            return request
        near.sendall(b"%d\n" % pid)
        near.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    sys.exit()


def become(request: dict[str, Any]) -> None:
    """Take the streams, folder, environment and arguments of a request, as a new Python would have them."""
    for stream, name in ((1, request["out"]), (2, request["err"])):
        written = os.open(name, os.O_WRONLY)
        os.dup2(written, stream)
        os.close(written)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    sys.argv = ["-c", *request["arguments"]]
    sys.path[0] = request["folder"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    ready(*sys.argv[2:])
    own = asked(socket.socket(fileno=int(sys.argv[1])))
    become(own)
    exec(compile(own["program"], "<forked>", "exec"), {"__name__": "__main__"})  # noqa: S102  # a test's own
