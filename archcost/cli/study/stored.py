"""From the STUDY that is typed to what its storage holds, without torch."""

from __future__ import annotations

import json
from pathlib import Path

import click

from archcost.config.validation import located
from archcost.errors import InputError
from archcost.study.records.addresses import Address, address, is_url
from archcost.study.records.stored import Stored, find
from archcost.study.records.trials import remembered
from archcost.study.spec import load_study


def opened(file: str, where: str | None) -> Stored:
    """Return the study that a file's storage holds; a file that ends in .db, or a URL, is the storage itself.

    How it was read is said on standard error where that is not as usual.
    """
    stored = find(_address(file, where))
    if stored.note:
        click.echo(f"note: {stored.note}", err=True)
    return stored


def _address(file: str, where: str | None) -> Address:
    if where is not None:
        return address(where, Path.cwd())
    if is_storage(file):
        return address(file, Path.cwd())
    spec = load_study(file, ())
    try:
        return address(spec.study.storage, Path(file).parent)
    except InputError as error:
        raise InputError(*(located(spec.source, mistake) for mistake in error.mistakes)) from None


def is_storage(source: str) -> bool:
    """Return whether what was typed is a storage itself, and no study's file."""
    return source.endswith(".db") or is_url(source)


def differing(file: str, stored: Stored) -> list[str]:
    """Return the keys of a study's file that say something else than the study that is stored; of a storage none."""
    if is_storage(file):
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
