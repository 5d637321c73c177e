"""Child processes, one for each job: a kill, hang or crash ends that job alone.

They are forked from a server that has loaded torch and nothing more, so that starting one takes milliseconds and no
thread, lock or file of this process is in it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.util import Finalize
from shutil import rmtree
from types import ModuleType
from typing import Final

from archcost import scratch
from archcost.study.records.reasons import JobKind, Reason
from archcost.study.workers import messages
from archcost.study.workers.isolation import isolate
from archcost.study.workers.messages import Done, Event, Failed
from archcost.study.workers.tasks import Job

ON: Final = b"on"
STOP: Final = b"stop"
"""Replies to an event that awaits one."""

LOADED: Final = ("archcost.study.workers.job", "torch._dynamo")
"""What children have in memory from the start; each would take a second to load the second, which optimisers need."""

_LONGEST: Final = 80
"""Bytes of a folder's name, from which a socket's in it may be longer than systems take: 104 bytes on macOS."""
_HIDING: Final = threading.Lock()
_GRACE_S: Final = 2.0
_KILLED: Final = {
    signal.SIGKILL: "killed by signal 9: by the system if memory ran short, or by somebody",
    signal.SIGSEGV: "crashed: segmentation fault (signal 11)",
    signal.SIGABRT: "crashed: aborted (signal 6)",
}


def server() -> ForkServerContext:
    """Return the context that children are forked from."""
    _keep_sockets()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LOADED))
    return context


@cache
def _keep_sockets() -> None:
    """Let multiprocessing keep its sockets in a folder that is removed later though this process is killed."""
    settings = getattr(multiprocessing.current_process(), "_config")  # noqa: B009  # there is no other way in
    if "tempdir" in settings:  # it has some already
        return
    with suppress(OSError):  # what is in its way is told when a child starts
        folder = str(scratch.made())
        # as multiprocessing's own folder goes: last, and not with a process that was forked from this one
        Finalize(None, rmtree, args=(folder, True), exitpriority=-100)
        if len(os.fsencode(folder)) <= _LONGEST:
            settings["tempdir"] = folder


@dataclass(eq=False)
class Child:
    """One running job; `last_s`: when it was last heard of, on a monotonic clock; leads: a group of its own."""

    process: ForkServerProcess
    pipe: Connection
    leads: bool = False
    last_s: float = field(default_factory=time.monotonic)

    def reply(self, word: bytes) -> None:
        """Answer an event that awaits it; a child that has died meanwhile is told of by its next event."""
        with suppress(OSError):
            self.pipe.send_bytes(word)

    def end(self) -> None:
        """End the process, with all that it has started on its own, if it is still there."""
        self.process.terminate()
        self.process.join(_GRACE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.end_group()
        self.pipe.close()

    def end_group(self) -> None:
        """End what code of the user's own has started and left."""
        if self.leads and self.process.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


def start(context: ForkServerContext, job: Job) -> Child:
    """Start a child on a job."""
    ours, theirs = context.Pipe()
    own = job.code is not None  # a daemon could not have children, which a DataLoader has
    process = context.Process(target=_enter, args=(theirs, messages.encode(job)), daemon=not own)
    with _hidden_main():
        process.start()
    theirs.close()
    return Child(process, ours, own)


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Hide the main module: multiprocessing would import it again in the child, and so run a script without a guard.

    What a child calls is in this module; it needs nothing of the main one.
    """
    with _HIDING:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _enter(pipe: Connection, text: bytes) -> None:
    """Run a job in the child: its end, and its parent's, end the process."""
    from archcost.study.workers.job import run  # noqa: PLC0415  # the child's own: the study's process needs no torch for it

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the study decides what ends
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _leave_no_lock()
    job, here = messages.decode_job(text), os.getpid()
    leave = partial(_leave, own=job.code is not None)
    if job.code is not None:
        isolate()
    replies = _Replies(pipe, leave)

    def tell(event: Event) -> None:
        if os.getpid() != here:  # a copy that code of the user's own has forked: the trial is not its own
            os._exit(1)
        try:
            pipe.send_bytes(messages.encode(event))
        except OSError:  # nobody is there any more
            leave(1)

    run(job, tell, replies.next)
    if os.getpid() == here:
        pipe.close()
        leave(0)  # nothing is left to tidy up, and the thread that reads may not hold the process
    os._exit(0)


def _leave_no_lock() -> None:
    """Let tqdm, by which torch's exporter would show how far it is, make no semaphore: a child that ends leaves it."""
    with suppress(ImportError):
        import_module("tqdm").tqdm.set_lock(threading.RLock())


def _leave(code: int, *, own: bool) -> None:
    """End the process, and with code of the user's own all that it has started."""
    if own:
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(code)


class _Replies:
    """What the parent answers, read by a thread that ends the process when the parent is gone."""

    def __init__(self, pipe: Connection, leave: Callable[[int], None]) -> None:
        self._pipe = pipe
        self._leave = leave
        self._words: list[bytes] = []
        self._come = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                word = self._pipe.recv_bytes()
            except (EOFError, OSError):
                self._leave(1)
            with self._come:
                self._words.append(word)
                self._come.notify()

    def next(self) -> bool:
        """Return whether to go on, as soon as the parent has said so."""
        with self._come:
            self._come.wait_for(lambda: self._words)
            return self._words.pop(0) == ON


def events(children: Sequence[Child], timeout_s: float, patience_s: float) -> Iterator[tuple[Child, Event]]:
    """Yield what children have to tell, after waiting for at most `timeout_s`.

    A child that died, or was silent for longer than `patience_s` and is killed for it, tells Failed.
    """
    # a process that ended is seen by its sentinel too: what it has forked may hold its pipe open
    ready = wait([each for child in children for each in (child.pipe, child.process.sentinel)], timeout_s)
    now = time.monotonic()
    for child in children:
        if child.pipe in ready:
            child.last_s = now
            yield child, _received(child)
        elif child.process.sentinel in ready and not child.pipe.poll():
            yield child, _ended(child)
        elif now - child.last_s > patience_s:
            child.end()
            words = f"hung: no progress for {patience_s:g} s, killed; 'search.patience' allows more"
            yield child, Failed(Reason("silent", words))


def told(job: Job, patience_s: float) -> Iterator[Event]:
    """Yield what one job tells in a child of its own, which goes on to its end; the last is Done or Failed."""
    child = start(server(), job)
    try:
        while True:
            for _, event in events([child], 1.0, patience_s):
                yield event
                if isinstance(event, Done | Failed):
                    return
                child.reply(ON)
    finally:
        child.end()


def _received(child: Child) -> Event:
    try:
        return messages.decode_event(child.pipe.recv_bytes())
    except (EOFError, OSError):
        return _ended(child)


def _by_itself(child: Child) -> JobKind:
    return "code" if child.leads else "bug"


def _ended(child: Child) -> Failed:
    """Return how a process ended that told nothing of it, after ending what it has left."""
    child.process.join(_GRACE_S)
    child.end_group()
    code, kind = child.process.exitcode, _by_itself(child)
    if code is not None and code < 0:
        known = _KILLED.get(signal.Signals(-code), f"killed by signal {-code}")
        return Failed(Reason("killed" if -code == signal.SIGKILL else kind, known))
    return Failed(Reason(kind, f"the process ended by itself with code {code}"))
