"""Runtimes: the ways a network can be run, each prepared from a source into one call without arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Final, TypeAlias

from archcost import errors
from archcost.errors import InputError
from archcost.measured import Plan

if TYPE_CHECKING:
    from torch import nn

Call: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What shall run: a network and the arguments of one call of it, the batch in them.

    cast: whether weights and inputs are brought to the plan's dtype; a module in its own dtype may hold several.
    """

    network: nn.Module
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)
    cast: bool = True


@dataclass(frozen=True, slots=True)
class Runtime:
    """A way to run a source: `prepare` gives a call that is good inside its context and leaves the source as it was."""

    name: str
    prepare: Callable[[Source, Plan], AbstractContextManager[Call]]
    versions: Callable[[], tuple[tuple[str, str], ...]]


# Places of modules with a RUNTIME, loaded where one is asked for: torch alone costs 2 s of CPU.
RUNTIMES: Final[dict[str, str]] = {"eager": "archcost.runtimes.eager"}


def check(name: str) -> None:
    """Raise InputError with the known runtimes where `name` is none; nothing is loaded."""
    if name not in RUNTIMES:
        raise InputError(errors.unknown("runtime", name, RUNTIMES))


def find(name: str) -> Runtime:
    """Return the runtime of that name; raises InputError with the known ones."""
    check(name)
    runtime: Runtime = import_module(RUNTIMES[name]).RUNTIME
    return runtime
