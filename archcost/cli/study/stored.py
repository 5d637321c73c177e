"""From the STUDY that is typed to what its storage holds, without torch."""

from __future__ import annotations

from pathlib import Path

import click

from archcost.study.records.addresses import Address, address, is_url
from archcost.study.records.stored import Stored, find
from archcost.study.spec import load_study
from archcost.study.study import address_of


def opened(file: str, where: str | None) -> Stored:
    """Return the study that a file's storage holds; a file that ends in .db, or a URL, is the storage itself.

    How it was read is said on standard error if that is not as usual.
    """
    stored = find(_address(file, where))
    if stored.note:
        click.echo(f"note: {stored.note}", err=True)
    return stored


def _address(file: str, where: str | None) -> Address:
    """Return where a study is stored: a path that is typed is relative to where it is typed, one in a file to it."""
    typed = file if where is None and is_storage(file) else where
    return address_of(load_study(file), Path(file).parent) if typed is None else address(typed, Path.cwd())


def is_storage(source: str) -> bool:
    """Return whether what was typed is a storage itself, and no study's file."""
    return source.endswith(".db") or is_url(source)


def differing(file: str, stored: Stored) -> list[str]:
    """Return the keys of a study's file that say something else than the study that is stored; of a storage none."""
    if is_storage(file):
        return []
    return stored.changed(load_study(file).fixed)
