"""The files of the user's own code that a study was made with, and which have changed."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import optuna

from archcost.errors import InputError, Mistake, quoted
from archcost.study.records.trials import Recorded, remember, remembered

_KEY = "code"


def known(study: Recorded) -> dict[str, str]:
    """Return the SHA-256 of every file, by its path in the study's folder."""
    held = remembered(study, _KEY)
    return {str(name): str(digest) for name, digest in held.items()} if isinstance(held, dict) else {}


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file as it is now, '' if it cannot be read."""
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def keep(study: optuna.Study, files: Mapping[str, str]) -> None:
    """Keep files that the study has not seen before, or with another content."""
    before = known(study)
    if (now := {**before, **files}) != before:
        remember(study, _KEY, now)


def refuse_changed(study: Recorded, files: Mapping[str, str]) -> None:
    """Raise InputError with the files that are not as they were when the study last ran."""
    before = known(study)
    if changed := [name for name, digest in files.items() if before.get(name, digest) != digest]:
        names = ", ".join(map(quoted, changed))
        message = f"{names} changed since the study ran, and its trials may not be comparable"
        raise InputError(Mistake(f"{message}; allowed: --code-changed to go on all the same, or another 'storage'"))
