"""One measurement at a time on a device: measurers queue, trainers pause meanwhile.

A measurer locks `cpu.lock`, makes `cpu.held` with its process's number in it, then waits for each file `cpu.turn-*`
that is locked. A trainer locks a `cpu.turn-*` of its own, then looks for `cpu.held`. Both write before they read, so at
least one sees the other. The system drops the locks of a process that dies, and by its free lock a `cpu.held` is known
to be left behind.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from filelock import BaseFileLock, FileLock, Timeout, lock_descriptor, unlock_descriptor

from archcost.errors import TargetError, quoted

if TYPE_CHECKING:
    import torch

_POLL_S: Final = 0.05  # far below what a measurement or a start-up takes, and 20 looks a second cost nothing
_WAY_OUT: Final = "set XDG_RUNTIME_DIR to a folder of yours"
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_TURNS: Final[dict[Path, int]] = {}  # descriptors of the turns this process is in; each name has its process and thread

Waiting: TypeAlias = Callable[[int | None], AbstractContextManager[object]]
"""Told which process has the device, None if that is not known; the context lasts until it is this one's."""

_LATE_S: Final = 1.0  # a turn is a mini-batch: what takes longer is worth a word
_TRAINER: Final = re.compile(r"\.turn-([0-9]{1,10})-")


@contextmanager
def held(device: str, waiting: Waiting = nullcontext, training: Waiting = nullcontext) -> Iterator[None]:
    """Keep other measurements and all mini-batches off `device`, a key such as 'cpu' or 'cuda-0', inside the context.

    Queues without a limit, inside `waiting(holder)` where another thread or process has the device, then waits for the
    mini-batches under way, after a second inside `training(trainer)`: one may be long, or its process stopped. A thread
    that has the device already passes; its own turn pauses.
    Raises TargetError if the lock cannot be made or taken.
    """
    stem = _stem(device)
    lock = _device_lock(stem)
    if lock.is_locked:  # by this thread: filelock keeps one object per file, and in it a state per thread
        yield
        return
    with _paused(stem):
        try:
            _queue(lock, stem, waiting)
            _clear(stem, training)
            yield
        finally:
            if lock.is_locked:  # not where the queue was left early, nor in a child that was forked inside
                _release(lock, stem)


@contextmanager
def turn(device: str) -> Iterator[None]:
    """Run one mini-batch on `device` inside the context, which is entered only while no measurement has the device.

    Turns of several trainers overlap, and a measurement waits for all of them; a turn within a turn or within its own
    thread's measurement passes. Raises TargetError if the lock cannot be made or taken.
    """
    stem = _stem(device)
    own = _own(stem)
    if own in _TURNS:
        yield
        return
    process = os.getpid()
    try:
        _begin(stem, own)
        yield
    finally:
        if process == os.getpid():  # a child that was forked inside shares the lock, and would end its parent's turn
            _end(stem, own)


def folder() -> Path:
    """Return this user's folder of locks, made if there is none: $XDG_RUNTIME_DIR/archcost, or one in /tmp.

    Raises TargetError if it cannot be made, or others could remove the locks in it.
    """
    try:
        path = _place()
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        why = _not_ours(path.lstat())
    except OSError as error:
        where = f" {quoted(error.filename)}" if error.filename else ""  # none if tempfile finds no folder at all
        raise TargetError(f"cannot make a folder of locks{where}: {error.strerror}; {_WAY_OUT}") from error
    if why:
        raise TargetError(f"cannot keep locks in {quoted(str(path))}: {why}; {_WAY_OUT}")
    return path


def _place() -> Path:
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    with suppress(PermissionError):  # what this user may not look at is not this user's
        # the XDG base directory specification: 'The directory MUST be owned by the user', 'must be absolute'
        if runtime.is_absolute() and runtime.is_dir() and runtime.stat().st_uid == _user():
            return runtime / "archcost"
    return Path(tempfile.gettempdir()) / f"archcost-{_user()}"


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0  # Windows has no such number, and its files have owner 0


def _not_ours(status: os.stat_result) -> str:
    """Return why a folder's locks could be tampered with, '' if only this user can change what is in it."""
    if not stat.S_ISDIR(status.st_mode):  # a symbolic link leads where somebody else may have wanted it
        return "it is not a folder"
    if status.st_uid != _user():
        return "it belongs to another user"
    # Windows shows every folder with all rights; its folder for temporary files is the user's own
    if sys.platform != "win32" and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others may write to it"
    return ""


def _stem(device: str) -> Path:
    assert re.fullmatch(r"[A-Za-z0-9_-]+", device), device
    return folder() / device


def _own(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.turn-{os.getpid()}-{threading.get_native_id()}")


def _device_lock(stem: Path) -> BaseFileLock:
    # a soft lock, filelock's answer to a file system without locks, would outlive its holder
    return FileLock(stem.with_suffix(".lock"), is_singleton=True, fallback_to_soft=False)


@contextmanager
def _refusing(stem: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = quoted(str(stem.parent))
        why = error.strerror or str(error)
        raise TargetError(f"cannot lock device {quoted(stem.name)} in {where}: {why}; {_WAY_OUT}") from error


def _queue(lock: BaseFileLock, stem: Path, waiting: Waiting) -> None:
    with _refusing(stem):
        at_once = _tried(lock)
    if not at_once:
        with waiting(_holder(stem)), _refusing(stem):
            lock.acquire(poll_interval=_POLL_S)


def _holder(stem: Path) -> int | None:
    """Return the process that has the device, None if it has not written so yet: it may only be looking."""
    try:
        text = stem.with_suffix(".held").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return int(text) if _NUMBER.fullmatch(text) else None


def _tried(lock: BaseFileLock) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


def _clear(stem: Path, training: Waiting) -> None:
    """Let no new turn begin and wait for those under way; their files, and those of trainers that died, are removed."""
    with _refusing(stem):
        stem.with_suffix(".held").write_text(str(os.getpid()), encoding="ascii")
        files = list(stem.parent.glob(f"{stem.name}.turn-*"))
    for file in files:
        descriptor = _ended(stem, file, training)
        with _refusing(stem):
            try:
                with suppress(PermissionError):  # Windows removes no open file
                    file.unlink(missing_ok=True)
            finally:
                _unlock(descriptor)


def _ended(stem: Path, file: Path, training: Waiting) -> int:
    """Wait for the end of a turn; return a descriptor that locks its file."""
    late = time.monotonic() + _LATE_S
    while time.monotonic() < late:
        if (descriptor := _tried_turn(stem, file)) is not None:
            return descriptor
        time.sleep(_POLL_S)
    name = _TRAINER.search(file.name)
    with training(int(name[1]) if name else None):
        while (descriptor := _tried_turn(stem, file)) is None:
            time.sleep(_POLL_S)
    return descriptor


def _tried_turn(stem: Path, file: Path) -> int | None:
    with _refusing(stem):
        return _locked(file)


def _release(lock: BaseFileLock, stem: Path) -> None:
    with _refusing(stem):
        try:
            stem.with_suffix(".held").unlink(missing_ok=True)
        finally:
            lock.release()


@contextmanager
def _paused(stem: Path) -> Iterator[None]:
    """Step out of this thread's own turn, if it is in one: whoever has the device may be waiting for its end."""
    own = _own(stem)
    inside = own in _TURNS
    if inside:
        _end(stem, own)
    try:
        yield
    finally:
        if inside:
            _begin(stem, own)


def _begin(stem: Path, own: Path) -> None:
    """Lock this thread's own turn in `_TURNS` at a moment when no measurement has the device."""
    with _refusing(stem):
        while True:
            if _free(stem) and (descriptor := _locked(own)) is not None:
                _TURNS[own] = descriptor
                if _free(stem):
                    return
                _end(stem, own)
            time.sleep(_POLL_S)


def _free(stem: Path) -> bool:
    """Return whether no other thread or process measures on the device."""
    if not stem.with_suffix(".held").exists():
        return True
    lock = _device_lock(stem)
    if lock.is_locked:
        return True
    if not _tried(lock):
        return False
    _release(lock, stem)  # whoever left the mark has died
    return True


def _end(stem: Path, own: Path) -> None:
    descriptor = _TURNS.pop(own, None)
    if descriptor is not None:  # None if it was not begun: an error or an interrupt came first
        with _refusing(stem):
            _unlock(descriptor)


def _locked(file: Path) -> int | None:
    """Return a descriptor that locks a file, made if there is none; None if it is locked or was just removed."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    with ExitStack() as closing:
        closing.callback(os.close, descriptor)
        # who had the lock before may have removed the file since it was opened: nobody else would find this one
        if lock_descriptor(descriptor, blocking=False) and os.fstat(descriptor).st_nlink:
            closing.pop_all()
            return descriptor
    return None


def _unlock(descriptor: int) -> None:
    """Unlock and close: closing alone would not be enough where a forked child shares the lock."""
    try:
        unlock_descriptor(descriptor)
    finally:
        os.close(descriptor)


def device_key(device: torch.device) -> str:
    """Return what a device is called where measurements and trainings take turns."""
    return "cpu" if device.type == "cpu" else f"{device.type}-{device.index or 0}" if device.type == "cuda" else "mps"
