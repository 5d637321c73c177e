"""Targets: the machines a network can be measured on, each giving raw seconds for a source, a runtime and a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from archcost import errors
from archcost.errors import InputError
from archcost.measured import Plan, Samples
from archcost.runtimes import Runtime, Source


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a target before anything is measured; why_not is '' where it is here, memory None if unknown.

    threads: how many are used where none are asked for; cpus: how many may be.
    """

    target: str
    here: bool
    why_not: str
    device: str
    threads: int
    cpus: int
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Target:
    """A machine to measure on: `measure` raises TargetError where the network or the machine fails."""

    name: str
    describe: Callable[[], Facts]
    measure: Callable[[Source, Runtime, Plan], Samples]


# Places of modules with a TARGET, loaded where one is asked for.
TARGETS: Final[dict[str, str]] = {"cpu": "archcost.targets.cpu", "fake": "archcost.targets.fake"}
_HIDDEN: Final = frozenset({"fake"})  # measures nothing: for tests, and for trying the tool out


def names(*, hidden: bool = False) -> tuple[str, ...]:
    """Return the names of the targets, with `hidden` also of those that measure nothing."""
    return tuple(name for name in TARGETS if hidden or name not in _HIDDEN)


def check(name: str) -> None:
    """Raise InputError with the targets that are not hidden where `name` is none; nothing is loaded."""
    if name not in TARGETS:
        raise InputError(errors.unknown("target", name, names()))


def find(name: str) -> Target:
    """Return the target of that name, a hidden one too; raises InputError with those that are not hidden."""
    check(name)
    target: Target = import_module(TARGETS[name]).TARGET
    return target
