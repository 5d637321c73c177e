"""From the STUDY that is typed to what its storage holds, without torch."""

from __future__ import annotations

from pathlib import Path

from archcost import storage
from archcost.stored import Stored, find
from archcost.studyspec import load_study


def opened(file: str, where: str | None) -> Stored:
    """Return the study that a file's storage holds; a file that ends in .db, or a URL, is the storage itself."""
    if where is None and (file.endswith(".db") or "://" in file):
        return find(storage.address(file, Path.cwd()))
    if where is None:
        where_is = storage.address(load_study(file, ()).study.storage, Path(file).parent)
        return find(where_is)
    return find(storage.address(where, Path.cwd()))
