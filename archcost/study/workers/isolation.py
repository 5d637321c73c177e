"""A process that runs code of the user's own, which reaches no other process."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from archcost.errors import InputError, quoted
from archcost.machine import available_memory_bytes

_SHARE: Final = 0.9  # of the memory that is free when a process begins
_FIRST_TO_GO: Final = "500"  # of -1000 to 1000: whom the system ends if memory runs short
_INSTALLED: Final = frozenset({"site-packages", "dist-packages", "__pycache__"})


def isolate() -> None:
    """Make this process the leader of a group of its own, print to standard error, and take no more than what is free.

    Standard output is the command's own result. What is forked belongs to the group, and ends with it.
    """
    os.setsid()
    os.dup2(2, 1)
    with suppress(OSError):  # not on every system
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    _limit_memory()


def _limit_memory() -> None:
    """Let what allocates beyond the free memory fail here, before the system ends whatever process it likes."""
    free = available_memory_bytes()
    try:
        import resource  # noqa: PLC0415  # not on every system

        held = _data_bytes()
        if free is not None and held is not None:
            _, most = resource.getrlimit(resource.RLIMIT_DATA)
            wanted = int(held + _SHARE * free)
            limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
    except (ImportError, OSError, ValueError):
        pass


def _data_bytes() -> int | None:
    """Return the bytes of data that this process has, as RLIMIT_DATA counts them; None if the system does not say."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return None
    line = next((line for line in text.splitlines() if line.startswith("VmData:")), None)
    return int(line.split()[1]) * 1024 if line else None


def imported(folder: Path) -> dict[str, str]:
    """Return the files under a folder that this process has imported, by their paths in it, with their SHA-256."""
    root, found = folder.resolve(), {}
    resolved = cache(Path.resolve)  # thousands of modules share some hundreds of folders
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py"):
            continue
        path = resolved(Path(file).parent) / Path(file).name
        path = path.resolve() if path.is_symlink() else path
        if path.is_relative_to(root) and not _INSTALLED & set(path.relative_to(root).parts):
            with suppress(OSError):
                found[path.relative_to(root).as_posix()] = sha256(path.read_bytes()).hexdigest()
    return dict(sorted(found.items()))


def refuse_changed(files: dict[str, str], known: dict[str, str]) -> None:
    """Raise InputError if a file is another one than the study knows."""
    changed = [name for name, digest in files.items() if known.get(name, digest) != digest]
    if changed:
        names = ", ".join(map(quoted, changed))
        raise InputError(f"{names} changed while the study ran; run again with --code-changed to go on with it")
