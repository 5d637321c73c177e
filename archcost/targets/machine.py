"""The machine this process runs on: what it is, what it is set to and how much of it is ours, as the system says."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

from archcost.measured import Conditions, Device

_ROOT: Final = Path("/")  # the files of Linux stand under it; tests give another root
_UNLIMITED: Final = 2**60  # cgroup v1 writes 'no limit' as a number of bytes above this


def device_name(root: Path = _ROOT) -> str:
    """Return the processor's model name as the system gives it."""
    for line in (_read(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def physical_cores(root: Path = _ROOT, cpus: Collection[int] | None = None) -> int:
    """Return the physical cores this process may use: its CPUs, hardware siblings once, within its containers' quota.

    A quota of 1.5 cores counts as 1: a second thread would be throttled. Where no topology is known (macOS, Windows),
    every CPU counts as a core.
    """
    usable = allowed() if cpus is None else cpus
    cores = {_siblings(root, cpu) for cpu in usable}
    return max(1, min([len(cores), *(int(quota) for quota in _quotas(root))]))


def allowed() -> Collection[int]:
    """Return the CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _siblings(root: Path, cpu: int) -> str:
    return _read(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or str(cpu)


def available_memory_bytes(root: Path = _ROOT) -> int | None:
    """Return the bytes a new process could take without swapping, within its containers' limits; None if not known."""
    system = _field(root / "proc/meminfo", "MemAvailable:")
    known = [room for room in [system and system * 1024, *_rooms(root)] if room is not None]
    return max(0, min(known)) if known else None


def waited_s(root: Path = _ROOT) -> float | None:
    """Return the seconds for which this process's threads were ready and had no core; None where the system is silent.

    Linux, Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat: '2) time spent waiting on a runqueue (in
    nanoseconds)'.
    """
    texts = [_read(path) for path in (root / "proc/self/task").glob("*/schedstat")]
    waits = [int(text.split()[1]) for text in texts if text]  # a thread may have ended since it was listed
    return sum(waits) / 1e9 if waits else None


def device(root: Path = _ROOT) -> Device:
    """Return what this machine is."""
    total = _field(root / "proc/meminfo", "MemTotal:")
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Device(device_name(root), os.cpu_count() or 1, total and total * 1024, system)


def conditions(root: Path = _ROOT) -> Conditions:
    """Return what this machine is set to now."""
    quotas = list(_quotas(root))
    return Conditions(
        affinity=tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None,
        governor=_read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        quota_cores=min(quotas) if quotas else None,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # Windows has none
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _quotas(root: Path) -> Iterator[float]:
    """Yield the cores each enclosing cgroup allows: 'cpu.max' of v2 holds 'quota period' or 'max period'."""
    for folder in _cgroups(root, "cpu"):
        quota, _, period = (_read(folder / "cpu.max") or "max").partition(" ")
        if quota == "max":  # so it stands in v2, and v1 has two files, -1 for no quota
            quota, period = (_read(folder / f"cpu.cfs_{part}_us") or "" for part in ("quota", "period"))
        if quota.isdigit() and period.isdigit() and int(period):
            yield int(quota) / int(period)


def _rooms(root: Path) -> Iterator[int]:
    """Yield the bytes each enclosing cgroup leaves; cached files that can be dropped count as free."""
    for folder in _cgroups(root, "memory"):
        for limit_name, used_name, cached_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, used = _read(folder / limit_name) or "", _read(folder / used_name) or ""
            if limit.isdigit() and used.isdigit() and int(limit) < _UNLIMITED:
                yield int(limit) - int(used) + (_field(folder / "memory.stat", cached_name) or 0)


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's cgroups for `controller` and of all around them, in v2 and v1.

    A line of /proc/self/cgroup is 'number:controllers:path', v2's is '0::path'. Inside a container the path may be the
    host's: it does not exist then, and the mount's own folder, always yielded, holds the limit.
    """
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / controllers
        inner = PurePosixPath(path.lstrip("/"))
        yield from (mount / part for part in (inner, *inner.parents))


def _field(path: Path, key: str) -> int | None:
    rows = [line.split() for line in (_read(path) or "").splitlines()]
    return next((int(row[1]) for row in rows if len(row) > 1 and row[0] == key and row[1].isdigit()), None)


def _read(path: Path) -> str | None:
    """Return the stripped text of a file, None where this system has none or does not show it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
