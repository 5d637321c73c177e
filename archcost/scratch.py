"""Folders for temporary files with an owner: what a killed process left is removed.

A name is archcost-PID-START-BOOT-SPACE-MACHINE-XXXXXXXX: the process, when it began, and digests of the boot, of the
namespaces that numbers of processes and times are good in, and of the machine; UNKNOWN where the system does not say.
The owner is in the name, so that there is no moment at which a folder has none.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from archcost.errors import quoted

_PREFIX: Final = "archcost-"
_OWNED: Final = re.compile(rf"{_PREFIX}([0-9]+)-([0-9]+)-([0-9a-f]{{8}})-([0-9a-f]{{8}})-([0-9a-f]{{8}})-\w+")
UNKNOWN: Final = "00000000"
_ENDED: Final = frozenset("ZXx")  # states of a process that has ended and was not waited for, as proc(5) writes them


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, told apart from all that had or will have its number, on this machine and on others.

    start: in ticks since the boot, 0 if not known; boot, space, machine: digests.
    """

    pid: int
    start: int
    boot: str
    space: str
    machine: str


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a new folder of this process, gone with the context; folders of processes that died are removed before.

    Raises OSError if it cannot be made.
    """
    path = made()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def made() -> Path:
    """Return a new folder of this process, which the caller removes; raises OSError if it cannot be made."""
    sweep()
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{'-'.join(map(str, astuple(this())))}-"))


def sweep() -> None:
    """Remove the folders of this user whose owners are known to be dead; what cannot be removed is left."""
    own = this()
    for path in _folders():
        owner = _owner(path.name)
        if owner is not None and is_dead(owner, own):
            shutil.rmtree(path, ignore_errors=True)  # never follows a link; another process may remove it as well


def ownerless() -> tuple[Path, ...]:
    """Return this user's folders that no process is known to own: nobody can tell when they may be removed."""
    return tuple(path for path in _folders() if _owner(path.name) is None)


def where() -> str:
    """Return the folder of temporary files as it stands in a message: ' in '/tmp'', '' if there is none."""
    try:
        return f" in {quoted(tempfile.gettempdir())}"
    except OSError:
        return ""


def this() -> Owner:
    """Return this process as an owner."""
    pid, machine = os.getpid(), _digest(socket.gethostname())
    try:
        if str(Path("/proc/self").readlink()) == str(pid):  # else /proc is that of another namespace of processes
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
            space = "".join(str(link.readlink()) for link in _namespaces())
            return Owner(pid, _start(pid) or 0, _digest(boot), _digest(space), machine)
    except OSError:  # there is no /proc, or it shows less
        pass
    return Owner(pid, 0, UNKNOWN, UNKNOWN, machine)


def _namespaces() -> list[Path]:
    # a process of another time namespace is told another start; Linux before 5.6 has none
    return [link for kind in ("pid", "time") if (link := Path(f"/proc/self/ns/{kind}")).is_symlink()]


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[: len(UNKNOWN)]


def _folders() -> list[Path]:
    """Return what this user has in the folder of temporary files under our prefix, but for its locks."""
    if not hasattr(os, "getuid"):  # Windows: nothing is known of processes there
        return []
    locks = f"{_PREFIX}{os.getuid()}"
    found = []
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.name != locks and _is_ours(entry):
                found.append(Path(entry.path))
    return sorted(found)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):  # it was removed meanwhile
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid()
    return False


def _owner(name: str) -> Owner | None:
    found = _OWNED.fullmatch(name)
    return Owner(int(found[1]), int(found[2]), found[3], found[4], found[5]) if found else None


def is_dead(owner: Owner, own: Owner | None = None) -> bool:
    """Return whether a process is known to have ended: False wherever it may be out of sight; own: this process."""
    own = own or this()
    if owner.machine != own.machine:  # one that has the same folder by a network, or a container
        return False
    if UNKNOWN in (owner.boot, own.boot):
        return sys.platform == "darwin" and owner.boot == own.boot and _is_gone(owner.pid)
    if owner.boot != own.boot:
        return True
    if owner.space != own.space:  # a container whose processes have numbers of their own
        return False
    try:
        return _start(owner.pid) != owner.start
    except OSError:  # there is none, or it is hidden
        return _is_gone(owner.pid)


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # asks, and sends nothing
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _start(pid: int) -> int | None:
    """Return when a process began, None if it has ended and was not waited for; raises OSError if none is seen.

    proc(5), /proc/pid/stat: '(3) state', '(22) starttime: The time the process started after system boot', behind
    '(2) comm: The filename of the executable, in parentheses', which may hold anything.
    """
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return None if fields[0].decode() in _ENDED else int(fields[19])
