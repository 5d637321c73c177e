"""This machine as a measurement describes it: what it is, its settings, its waiting time."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from archcost.latency.samples import Conditions, Device
from archcost.machine import ROOT, field, quotas, read


def device_name(root: Path = ROOT) -> str:
    """Return the processor's model name as the system gives it."""
    for line in (read(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def waited_s(root: Path = ROOT) -> float | None:
    """Return the seconds for which this process's threads were ready and had no core; None if the system is silent.

    Linux, Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat: '2) time spent waiting on a runqueue (in
    nanoseconds)'.
    """
    texts = [read(path) for path in (root / "proc/self/task").glob("*/schedstat")]
    waits = [int(text.split()[1]) for text in texts if text]  # a thread may have ended since it was listed
    return sum(waits) / 1e9 if waits else None


def this_device(root: Path = ROOT) -> Device:
    """Return what this machine is."""
    total = field(root / "proc/meminfo", "MemTotal:")
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Device(device_name(root), os.cpu_count() or 1, total and total * 1024, system)


def this_conditions(root: Path = ROOT) -> Conditions:
    """Return what this machine is set to now."""
    limits = list(quotas(root))
    return Conditions(
        affinity=tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None,
        governor=read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        quota_cores=min(limits) if limits else None,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # Windows has none
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
