"""A study's file at a URL, and the files beside it: each is copied when it is used."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from pathlib import Path
from typing import Final

from archcost.config import document
from archcost.config.document import Document
from archcost.data.remote import copies, systems
from archcost.data.remote.copies import Most
from archcost.data.remote.systems import is_url

_DATABASES: Final = frozenset({"sqlite", "postgresql", "postgres", "mysql", "mariadb", "oracle", "mssql"})
_ENDINGS: Final = (".yaml", ".yml")
_MOST: Final = Most(500, 2**24)  # of code
_DEPTH: Final = 4
_LISTED: Final = 10_000


def is_far(source: str) -> bool:
    """Return whether what is typed for a study is the URL of its file; that of a database is none."""
    dialect = source.partition(":")[0].partition("+")[0].lower()
    return is_url(source) and source.lower().endswith(_ENDINGS) and dialect not in _DATABASES


def read(url: str) -> Document:
    """Return the document of a study's file at a URL, which names the URL; raises InputError if it cannot be read."""
    return document.read_bytes(copies.file(url, document.MAX_BYTES).read_bytes(), url)


def local(source: Document) -> Document:
    """Return a document that was read at a URL as that of its copy; its places still name the URL."""
    return replace(source, file=str(copies.path(source.file)))


def joined(folder: str, name: str) -> str:
    """Return what a name means that is from a study's folder at a URL on: a URL, or an absolute path."""
    if is_url(name) or posixpath.isabs(name):
        return name
    scheme, _, rest = folder.partition("://")
    path = posixpath.normpath(f"/{rest.lstrip('/')}/{name}")
    return f"{scheme}://{path if rest.startswith('/') else path[1:]}"


def beside(folder: str, name: str) -> Path | None:
    """Return the copy of a YAML file that a study's file names, None if it is not there."""
    where = joined(folder, name)
    if not is_url(where):
        return Path(where)
    return copies.file(where, document.MAX_BYTES) if copies.is_file(where) else None


def code(folder: str) -> Path:
    """Return a folder with copies of the Python files in a study's folder at a URL, and up to three folders down.

    Only folders are looked into that may be packages. Raises InputError if there are too many, or too large ones.
    """
    listing = systems.near(_DEPTH, _LISTED, "a study with code in a folder of its own")
    return copies.folder(folder, listing, lambda parts: parts[-1].endswith(".py"), _MOST)
