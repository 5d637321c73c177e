"""Targets: the machines to measure on, each giving raw seconds of networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Protocol

from archcost import errors
from archcost.errors import InputError
from archcost.latency.player import Instruments
from archcost.latency.roofline.roof import Peaks
from archcost.latency.runtimes import Runtime, Source
from archcost.latency.samples import Device, Plan, Samples
from archcost.urls import shown


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a target before anything is measured; why_not is '' if it is here, memory None if unknown.

    threads: how many are used if none are asked for; cpus: how many may be; memory_bytes: what is free now.
    """

    target: str
    here: bool
    why_not: str
    device: Device
    threads: int
    cpus: int
    memory_bytes: int | None


class Measure(Protocol):
    """Gives the samples of networks that take turns; raises TargetError if a network or the machine fails."""

    def __call__(self, sources: Sequence[Source], runtime: Runtime, plan: Plan) -> tuple[Samples, ...]:
        """Measure every source with the runtime as the plan says."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """A machine to measure on.

    describe: raises TargetError if the machine cannot be asked; lock: the device that one measurement has at a time,
    '' if there is none to lock from here; local: whether runtimes run in this process; gpu: whether it is no
    processor; deploys: whether networks are deployed on it, so that more than eager is measured if nobody says what;
    peaks: measures what it reaches at most on so many threads, as TargetError if it cannot; None: not measured there.
    ready: sets the machine as a plan says, and gives what layers are timed with; None: they cannot be yet.
    """

    name: str
    lock: str
    describe: Callable[[], Facts]
    measure: Measure
    local: bool = True
    gpu: bool = False
    deploys: bool = False
    peaks: Callable[[int], Peaks] | None = None
    ready: Callable[[Plan], AbstractContextManager[Instruments]] | None = None


# A kind is what stands before a target's first colon; its module has `target(name) -> Target`, which reads the rest and
# raises InputError for what it is not. Loaded where one is asked for.
KINDS: Final[dict[str, str]] = {
    "cpu": "archcost.latency.targets.cpu",
    "cuda": "archcost.latency.targets.cuda",
    "mps": "archcost.latency.targets.mps",
    "ssh": "archcost.latency.targets.ssh",
    "fake": "archcost.latency.targets.fake",
}
FORMS: Final = ("cpu[:LIST]", "cuda[:N]", "mps", "ssh://[USER@]HOST[:PORT]")
"""How targets are written; `fake`, which measures nothing, is for tests and for trying the tool out."""

LISTED: Final = ("cpu", "cuda", "mps")
"""The targets that can be described without an address."""


def shown_name(name: str) -> str:
    """Return a target's name for a message, without a password also if it is no URL for want of slashes."""
    return shown(name) if "/" in name else shown(f"//{name}").removeprefix("//")


def find(name: str) -> Target:
    """Return the target of that name, which may be a hidden one; raises InputError with the known forms."""
    kind = name.partition(":")[0]
    if kind not in KINDS:
        raise InputError(errors.unknown("target", shown_name(name), FORMS))
    target: Target = import_module(KINDS[kind]).target(name)
    return target
