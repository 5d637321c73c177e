"""The command line of a worker, as an engine gets it: strings, none of them a secret."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from archcost import urls
from archcost.errors import InputError, Mistake
from archcost.study.code.consent import Consent
from archcost.study.code.neighbours import is_far
from archcost.study.options import Wanted
from archcost.study.records.database.addresses import Address
from archcost.study.workers.engines import passfile

_STORAGE: Final = "storage"
VARIABLE: Final = "ARCHCOST_STORAGE"
"""Where a worker looks for its storage if no option says it."""


@dataclass(frozen=True, slots=True)
class Command:
    """What Python is called with for a worker; environment: NAME=VALUE, more than it has; line: of a password file."""

    arguments: tuple[str, ...]
    environment: tuple[str, ...] = ()
    line: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed: the file of a study, what overrides it, and where it is stored, None if that was left out."""

    file: str
    overrides: tuple[str, ...] = ()
    storage: str | None = None


def command(asked: Asked, kept: Address, wanted: Wanted, consent: Consent) -> Command:
    """Return the command line of a worker on a study that is kept at an address.

    Raises InputError if it would hold a secret that cannot be handed on in another way.
    """
    overrides = [each for each in asked.overrides if each.partition("=")[0].strip() != _STORAGE]
    _refuse_secrets(overrides)
    explicit = asked.storage is not None or len(overrides) < len(asked.overrides)
    given = _stored(kept, explicit)
    words = ["-m", "archcost", "study", "worker", _study(asked.file), *given.arguments]
    for each in overrides:
        words += ["--set", each]
    words += [] if wanted.trials is None else ["--trials", str(wanted.trials)]
    words += [] if wanted.time_s is None else ["--time", f"{wanted.time_s:.9f}s"]
    words += [] if wanted.workers is None else ["--workers", str(wanted.workers)]
    words += ["--allow-code"] * consent.allow_code + ["--code-changed"] * consent.code_changed
    unset = f"{VARIABLE}="  # what an engine's machines have there is another study's
    return Command(tuple(words), (unset, *given.environment), given.line)


def _study(file: str) -> str:
    return file if is_far(file) else str(Path(file).resolve())


def _stored(kept: Address, explicit: bool) -> Command:
    """Return what names the storage; one that STUDY names is read there by the worker, its password too."""
    if kept.file is not None:
        return Command(("--storage", str(kept.file)))
    own = os.environ.get(passfile.VARIABLE)  # an engine's machines may have another environment
    environment = (f"{passfile.VARIABLE}={Path(own).resolve()}",) if own else ()
    if not explicit:
        return Command((), environment)
    given = passfile.handed(kept)
    return Command(("--storage", given.url), () if given.line else environment, given.line)


def _refuse_secrets(overrides: list[str]) -> None:
    for each in overrides:
        key, _, value = each.partition("=")
        if urls.shown(value) != value:
            words = "its value has a secret, which is not put into a command line; allowed: to write it into STUDY"
            raise InputError(Mistake(words, ("--set", key)))
