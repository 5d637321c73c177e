"""Processes as Linux shows them: found by a mark in their environment, whoever their parent is by now."""

from __future__ import annotations

from pathlib import Path


def marked(name: str, value: str) -> list[int]:
    """Return the numbers of the processes that have a variable in their environment, none of which has ended."""
    wanted = f"{name}={value}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


def alive(pid: int) -> bool:
    """Return whether there is a process of that number, one that has ended and was not waited for among them."""
    return Path(f"/proc/{pid}").exists()
