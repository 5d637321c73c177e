"""Which engine is asked for: its name and options, and whether its package is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, assert_never

from archcost.errors import InputError, Mistake, quoted
from archcost.study.workers.engines.engine import Engine, Name
from archcost.study.workers.engines.ray import ray_engine
from archcost.study.workers.engines.slurm import slurm

_PACKAGES: Final[Mapping[Name, str]] = {"ray": "ray", "slurm": "submitit"}


def engine(name: Name, options: Sequence[str], folder: Path) -> Engine:
    """Return an engine; options: KEY=VALUE; folder: of its jobs.

    Raises InputError if its package is missing, or an option is wrong.
    """
    check(name)
    read = _read(options)
    match name:
        case "ray":
            return ray_engine(read)
        case "slurm":
            return slurm(read, folder)
        case other:
            assert_never(other)


def check(name: Name) -> None:
    """Raise InputError if the package of an engine is missing."""
    package = _PACKAGES[name]
    if find_spec(package) is None:
        raise InputError(Mistake(f"the engine {name} needs the package {package}; pip install 'archcost[{name}]'"))


def _read(options: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in options:
        key, sign, value = each.partition("=")
        if not sign or not key.strip() or not value.strip():
            raise InputError(Mistake(f"given {quoted(each)}; allowed: KEY=VALUE", ("--engine-option",)))
        found[key.strip()] = value.strip()
    return found
