"""From the STUDY that is typed to what its storage holds, without torch."""

from __future__ import annotations

import json
from pathlib import Path

from archcost import storage
from archcost.stored import Stored, find
from archcost.studyspec import load_study
from archcost.trials import remembered


def opened(file: str, where: str | None) -> Stored:
    """Return the study that a file's storage holds; a file that ends in .db, or a URL, is the storage itself."""
    if where is None and (file.endswith(".db") or "://" in file):
        return find(storage.address(file, Path.cwd()))
    if where is None:
        where_is = storage.address(load_study(file, ()).study.storage, Path(file).parent)
        return find(where_is)
    return find(storage.address(where, Path.cwd()))


def differing(file: str, stored: Stored) -> list[str]:
    """Return the keys of a study's file that say something else than the study that is stored; of a storage none."""
    if file.endswith(".db") or "://" in file:
        return []
    spec = load_study(file, ())
    kept, study = remembered(stored.study, "about").get("same", {}), spec.study
    said = {
        "models": spec.templates,
        "objectives": [each.model_dump(mode="json", exclude_unset=True) for each in study.objectives],
        "limits": study.limits.model_dump(mode="json") if study.limits else None,
        "fit": study.fit.model_dump(mode="json", by_alias=True),
    }
    plain = json.loads(json.dumps(said))
    return [key for key, value in plain.items() if key in kept and value != kept[key]]
