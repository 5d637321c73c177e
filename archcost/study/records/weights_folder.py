"""The folder of a study's weights: which one it is, and that it is this study's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

from archcost.errors import InputError, Mistake, quoted
from archcost.files import safe_name, write_whole
from archcost.study.records.database.addresses import Address
from archcost.study.records.database.snapshot import is_sqlite
from archcost.study.records.stored import Stored
from archcost.study.records.trials import Trial

_SAYS: Final = "study.json"  # whose the folder is
_ENDING: Final = ".weights"


def folder_of(address: Address, name: str, identity: str) -> Path:
    """Return a study's folder: beside its storage's file, of a database's server in the current folder.

    The file's whole name is in it, the study's only as far as it is a name, so that two storages never share one.
    """
    if address.file is not None:
        return address.file.with_name(f"{address.file.name}{_ENDING}")
    return Path.cwd() / f"{safe_name(name)}-{sha256(identity.encode()).hexdigest()[:12]}{_ENDING}"


def seed_file(folder: Path, trial: int, column: int, seed: int) -> Path:
    """Return the file of the weights of a network that was confirmed: 12.seed1.pt, of a column 12-2.seed1.pt."""
    return folder / f"{trial:d}{f'-{column:d}' if column else ''}.seed{seed:d}.pt"


def check(address: Address) -> None:
    """Raise InputError if a study that is not yet stored would find somebody else's folder in its place."""
    if address.file is not None and _filled(folder := folder_of(address, "", "")):
        raise _not_ours(folder)


def prepared(stored: Stored) -> Path:
    """Return the folder of a study that runs, made and marked as this study's; raises InputError if it is not."""
    folder = folder_of(stored.address, stored.name, stored.identity)
    try:
        folder.mkdir(exist_ok=True)
        if _owner(folder) == stored.identity:
            return folder
        if _owner(folder) or (_filled(folder) and not _was_ours(folder, stored)):
            raise _not_ours(folder)
    except OSError as error:
        raise InputError(
            Mistake(f"cannot keep weights in {quoted(os.path.relpath(folder))}: {error.strerror}")
        ) from None
    write_whole(folder / _SAYS, json.dumps({"study": stored.identity}) + "\n")
    return folder


def _was_ours(folder: Path, stored: Stored) -> bool:
    """Return whether a folder without an owner is the one that archcost 0.1.0 gave this study, made by it."""
    return folder == _old(stored.address) and not any(each.writes for each in stored.trials())


def files(stored: Stored) -> Callable[[Trial], tuple[Path, bool]]:
    """Return what gives the file of a trial's weights, and whether it is one of archcost 0.1.0, which has no mark.

    Whether the file is there is not asked. Raises InputError if the folder is another study's.
    """
    folder, old = folder_of(stored.address, stored.name, stored.identity), _old(stored.address)
    if _filled(folder) and folder != old and _owner(folder) != stored.identity:
        raise _not_ours(folder)

    def file(trial: Trial) -> tuple[Path, bool]:
        before = not trial.writes and old is not None  # that version did not keep which trials write
        return (old or folder) / f"{trial.number}.pt" if before else folder / f"{trial.number}.pt", before

    return file


def _owner(folder: Path) -> str:
    """Return the identity of the study whose folder it is, '' if it does not say so."""
    try:
        held = json.loads((folder / _SAYS).read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    return str(held.get("study", "")) if isinstance(held, dict) else ""


def _filled(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _old(address: Address) -> Path | None:
    """Return the folder that archcost 0.1.0 gave a storage, None if another storage had the same."""
    if address.file is None:
        return None
    old = address.file.with_suffix(_ENDING)
    # SQLite's files beside it are not opened: to close them would give up the locks that this process holds on them
    own = (address.file.name, f"{address.file.name}-wal", f"{address.file.name}-shm", f"{address.file.name}-journal")
    others = (each for each in address.file.parent.iterdir() if each.name not in own and each.suffix != _ENDING)
    return None if any(each.with_suffix(_ENDING) == old and is_sqlite(each) for each in others) else old


def _not_ours(folder: Path) -> InputError:
    what = (
        f"{quoted(os.path.relpath(folder))} has the weights of another study, or of one that is no longer stored here"
    )
    return InputError(Mistake(f"{what}; allowed: remove or rename it, or name another storage"))
