"""Targets: the machines a network can be measured on, each giving raw seconds for a source, a runtime and a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from archcost import errors
from archcost.errors import InputError
from archcost.measured import Facts, Plan, Samples, Source
from archcost.runtimes import Runtime
from archcost.targets import cpu, fake


@dataclass(frozen=True, slots=True)
class Target:
    """A machine to measure on: `measure` raises TargetError where the network or the machine fails."""

    name: str
    describe: Callable[[], Facts]
    measure: Callable[[Source, Runtime, Plan], Samples]
    hidden: bool = False


TARGETS: Final[dict[str, Target]] = {
    "cpu": Target("cpu", cpu.describe, cpu.measure),
    "fake": Target("fake", fake.describe, fake.measure, hidden=True),  # measures nothing: for trying and testing
}


def names(*, hidden: bool = False) -> tuple[str, ...]:
    """Return the names of the targets, with `hidden` also of those that measure nothing."""
    return tuple(name for name, target in TARGETS.items() if hidden or not target.hidden)


def find(name: str) -> Target:
    """Return the target of that name, a hidden one too; raises InputError with those that are not hidden."""
    if name not in TARGETS:
        raise InputError(errors.unknown("target", name, names()))
    return TARGETS[name]
