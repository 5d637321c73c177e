"""Runtimes: the ways a network can be run, each prepared from a source into one call without arguments."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from archcost import errors
from archcost.errors import InputError
from archcost.measured import Plan, Source


@dataclass(frozen=True, slots=True)
class Runtime:
    """A way to run a source: `prepare` gives a call that is good inside its context and leaves the source as it was."""

    name: str
    prepare: Callable[[Source, Plan], AbstractContextManager[Callable[[], None]]]
    versions: Callable[[], tuple[tuple[str, str], ...]]


def _eager() -> Runtime:
    from archcost.runtimes import eager  # here and not above: torch costs 2 s of CPU and is loaded when it is to run

    return Runtime("eager", eager.prepare, eager.versions)


RUNTIMES: Final[dict[str, Callable[[], Runtime]]] = {"eager": _eager}


def find(name: str) -> Runtime:
    """Return the runtime of that name; raises InputError with the known ones."""
    if name not in RUNTIMES:
        raise InputError(errors.unknown("runtime", name, RUNTIMES))
    return RUNTIMES[name]()
