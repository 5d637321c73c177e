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
    allowed = "--code-changed to go on all the same, or another 'storage'"
    refuse_other(known(study), files, f"and its trials may not be comparable; allowed: {allowed}")


def refuse_other_network(before: Mapping[str, str], files: Mapping[str, str]) -> None:
    """Raise InputError with the files that are not as they were when a network was trained."""
    allowed = "the files as they were, or --code-changed (Python: code_changed=True) if they make the same network"
    refuse_other(before, files, f"and its weights may be another network's; allowed: {allowed}")


def refuse_other(before: Mapping[str, str], files: Mapping[str, str], words: str) -> None:
    """Raise InputError with the files whose digests are others than before; words: what that means, and is allowed."""
    if changed := [name for name, digest in files.items() if before.get(name, digest) != digest]:
        raise InputError(Mistake(f"{', '.join(map(quoted, changed))} changed since the study ran, {words}"))
