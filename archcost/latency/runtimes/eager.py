"""The eager runtime: torch runs a copy of the module, operator by operator."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from archcost.latency.runtimes import Prepared, Runtime, Source, installed
from archcost.latency.samples import Plan


@contextmanager
def prepare(source: Source, plan: Plan) -> Iterator[Prepared]:
    """Yield a call of a copy of the module; raises TargetError if it cannot be copied to plan.dtype on the CPU."""
    from archcost.latency.runtimes.copied import running, with_copies
    from archcost.nets.calls.denormals import share

    with running(source, plan) as copied:
        yield with_copies(copied, source, plan)._replace(denormals=share(copied))


def versions() -> tuple[tuple[str, str], ...]:
    """Return what an eager latency depends on besides the device: torch, and Python, which calls every operator."""
    return (*installed("torch"), ("python", platform.python_version()))


def why_not() -> str:
    """Return '': archcost depends on torch."""
    return ""


RUNTIME: Final = Runtime("eager", prepare, versions, why_not)
