"""From the STUDY that is named, a file, storage or URL, to where it is stored."""

from __future__ import annotations

from pathlib import Path

from archcost.config.validation import located
from archcost.errors import InputError
from archcost.study.code.neighbours import is_far
from archcost.study.records.database.addresses import Address, address, is_url
from archcost.study.spec import StudySpec, load_study


def address_named(file: str, where: str | None = None) -> Address:
    """Return where a study is stored; a .db file, or a URL of no YAML, is the storage itself.

    where: the storage that is given beside the file. Raises InputError for what is no study and no address.
    """
    typed = file if where is None and is_storage(file) else where
    return address_of(load_study(file), Path(file).parent) if typed is None else address(typed, Path.cwd())


def address_of(spec: StudySpec, folder: Path) -> Address:
    """Return where a study is stored by what its file says; raises InputError, with its place, for what is no address.

    A path in a file is relative to the folder of that file, in a file at a URL to the current one.
    """
    try:
        return address(spec.study.storage, Path.cwd() if spec.url else folder)
    except InputError as error:
        raise InputError(*(located(spec.source, mistake) for mistake in error.mistakes)) from None


def is_storage(source: str) -> bool:
    """Return whether what was typed is a storage itself, and no study's file."""
    return source.endswith(".db") or (is_url(source) and not is_far(source))


def is_readable(source: str) -> bool:
    """Return whether what was typed is a study's file, at a URL or one that is here."""
    return not is_storage(source) and (is_far(source) or Path(source).is_file())
