"""Time that no change of a clock moves: seconds since the boot, sleep included."""

from __future__ import annotations

import time


def now_s() -> float:
    """Return the seconds since this machine was started; elsewhere than on Linux, of a clock that may stop in sleep."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
