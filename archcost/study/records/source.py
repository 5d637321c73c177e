"""From the STUDY that is named, a file, storage or URL, to where it is stored."""

from __future__ import annotations

from pathlib import Path

from archcost.config.validation import located
from archcost.errors import InputError
from archcost.study.records.database.addresses import Address, address, is_url
from archcost.study.spec import StudySpec, load_study


def address_named(file: str, where: str | None = None) -> Address:
    """Return where a study is stored; a file that ends in .db, or a URL, is the storage itself.

    where: the storage that is given beside the file. Raises InputError for what is no study and no address.
    """
    typed = file if where is None and is_storage(file) else where
    return address_of(load_study(file), Path(file).parent) if typed is None else address(typed, Path.cwd())


def address_of(spec: StudySpec, folder: Path) -> Address:
    """Return where a study is stored by what its file says; raises InputError, with its place, for what is no address.

    A path in a file is relative to the folder of that file.
    """
    try:
        return address(spec.study.storage, folder)
    except InputError as error:
        raise InputError(*(located(spec.source, mistake) for mistake in error.mistakes)) from None


def is_storage(source: str) -> bool:
    """Return whether what was typed is a storage itself, and no study's file."""
    return source.endswith(".db") or is_url(source)
