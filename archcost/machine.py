"""The machine this process runs on: its cores, its memory, and what of them is ours."""

from __future__ import annotations

import gc
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from archcost.units import data_size

ROOT: Final = Path("/")  # the files of Linux stand under it; tests give another root
_BYTE_PRODUCTS: Final = frozenset({"amx_int8", "asimddp", "i8mm"})
_UNLIMITED: Final = 2**60  # cgroup v1 writes 'no limit' as a number of bytes above this


def physical_cores(root: Path = ROOT, cpus: Collection[int] | None = None) -> int:
    """Return the physical cores this process may use: its CPUs, hardware siblings once, within its containers' quota.

    A quota of 1.5 cores counts as 1: a second thread would be throttled. If no topology is known (macOS, Windows),
    every CPU counts as a core.
    """
    usable = allowed() if cpus is None else cpus
    cores = {_siblings(root, cpu) for cpu in usable}
    return max(1, min([len(cores), *(int(quota) for quota in quotas(root))]))


def allowed() -> Collection[int]:
    """Return the CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def byte_products(root: Path = ROOT) -> tuple[str, ...] | None:
    """Return this processor's instructions for products of 8 bits, as Linux names them; None if it does not say."""
    for line in (read(root / "proc/cpuinfo") or "").splitlines():
        key, _, flags = line.partition(":")
        if key.strip() in ("flags", "Features"):  # of x86, of Arm
            return tuple(sorted(flag for flag in flags.split() if "vnni" in flag or flag in _BYTE_PRODUCTS))
    return None


def saturates(root: Path = ROOT) -> bool:
    """Return whether this processor adds pairs of 8-bit products in 16 bits, which overflow: x86 without VNNI.

    False if the system does not say.
    """
    is_x86 = "\nflags" in f"\n{read(root / 'proc/cpuinfo') or ''}"
    return is_x86 and not any("vnni" in name for name in byte_products(root) or ())


def _siblings(root: Path, cpu: int) -> str:
    return read(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or str(cpu)


def available_memory_bytes(root: Path = ROOT) -> int | None:
    """Return the bytes a new process could take without swapping, within its containers' limits; None if not known."""
    system = field(root / "proc/meminfo", "MemAvailable:")
    known = [room for room in [system and system * 1024, *_rooms(root)] if room is not None]
    return max(0, min(known)) if known else None


def shortage(needed_bytes: int, free_bytes: int | None) -> str:
    """Return by how much memory is short, in words; '' if it suffices, or nobody knows how much is free."""
    if free_bytes is None or needed_bytes <= free_bytes:
        return ""
    return f"needs {data_size(needed_bytes)} of memory, {data_size(free_bytes)} are free"


def quotas(root: Path) -> Iterator[float]:
    """Yield the cores each enclosing cgroup allows: 'cpu.max' of v2 holds 'quota period' or 'max period'."""
    for folder in _cgroups(root, "cpu"):
        quota, _, period = (read(folder / "cpu.max") or "max").partition(" ")
        if quota == "max":  # so it stands in v2, and v1 has two files, -1 for no quota
            quota, period = (read(folder / f"cpu.cfs_{part}_us") or "" for part in ("quota", "period"))
        if quota.isdigit() and period.isdigit() and int(period):
            yield int(quota) / int(period)


def _rooms(root: Path) -> Iterator[int]:
    """Yield the bytes each enclosing cgroup leaves; cached files that can be dropped count as free."""
    for folder in _cgroups(root, "memory"):
        for limit_name, used_name, cached_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, used = read(folder / limit_name) or "", read(folder / used_name) or ""
            if limit.isdigit() and used.isdigit() and int(limit) < _UNLIMITED:
                yield int(limit) - int(used) + (field(folder / "memory.stat", cached_name) or 0)


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's cgroups for `controller` and of all around them, in v2 and v1.

    A line of /proc/self/cgroup is 'number:controllers:path', v2's is '0::path'. Inside a container the path may be the
    host's: it does not exist then, and the mount's own folder, always yielded, holds the limit.
    """
    for line in (read(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / controllers
        inner = PurePosixPath(path.lstrip("/"))
        yield from (mount / part for part in (inner, *inner.parents))


def field(path: Path, key: str) -> int | None:
    """Return the number behind `key` in a file of lines, None if there is none."""
    rows = [line.split() for line in (read(path) or "").splitlines()]
    return next((int(row[1]) for row in rows if len(row) > 1 and row[0] == key and row[1].isdigit()), None)


def read(path: Path) -> str | None:
    """Return the stripped text of a file, None if this system has none or does not show it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


@contextmanager
def collector_off() -> Iterator[None]:
    """Collect no garbage inside the context."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def keep_to_itself() -> None:
    """Let ONNX Runtime send no usage data, as it does by itself from 1.29 on: files' names and hashes among them.

    It asks when it is first imported, so this comes before. What the user has set stays.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
