"""From the STUDY that is typed to what its storage holds, without torch."""

from __future__ import annotations

from pathlib import Path

import click

from archcost.config.validation import located
from archcost.errors import InputError
from archcost.study.records import holder
from archcost.study.records.addresses import Address, address, is_url
from archcost.study.records.stored import Stored, find
from archcost.study.spec import StudySpec, load_study


def opened(file: str, where: str | None) -> Stored:
    """Return the study that a file's storage holds; a file that ends in .db, or a URL, is the storage itself.

    How it was read is said on standard error if that is not as usual.
    """
    stored = find(_address(file, where))
    if stored.note:
        click.echo(f"note: {stored.note}", err=True)
    return stored


def opened_with_run(file: str, where: str | None) -> tuple[Stored, bool | None]:
    """Return the study as `opened` does, and whether a process runs it, None if that cannot be told.

    It is asked before and after the study is read: a run may end meanwhile.
    """
    kept = _address(file, where)
    before = holder.runs(kept)
    stored = opened(file, where)
    return stored, before or holder.runs(kept)


def _address(file: str, where: str | None) -> Address:
    typed = file if where is None and is_storage(file) else where
    return address_of(load_study(file), file) if typed is None else address(typed, Path.cwd())


def address_of(spec: StudySpec, file: str) -> Address:
    """Return where a study is stored by what its file says; raises InputError, with its place, for what is no address.

    A path that is typed is relative to where it is typed, one in a file to that file.
    """
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
    return stored.changed(load_study(file).fixed)
