"""Where a study is stored: a file or the URL of a database, shown without a password."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from archcost import urls
from archcost.errors import InputError, Mistake, quoted

_URL: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+:/|:?//.*@|[^/]*://)")
_DRIVERS: Final = ("sqlite", "sqlite+pysqlite")
_MEMORY: Final = "a database in memory ends with its process"
_LONGEST: Final = 220
_TELLING: Final = 4  # characters: a shorter secret is in every other word
_FILE: Final = "a file, or the URL of a database"
_STORES: Final = frozenset({"s3", "gs", "gcs", "abfs", "az", "http", "https", "ftp", "sftp", "hdfs", "file", "memory"})
_STUDY: Final = "the URL of a database, or for a study that of its file, which ends in .yaml or .yml"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a study is stored; file: of an SQLite storage, with no link in its path; url: of another database."""

    file: Path | None = None
    url: str = field(default="", repr=False)

    def __str__(self) -> str:
        return urls.shown(os.path.relpath(self.file)) if self.file else shown(self.url)

    def hidden(self, text: str) -> str:
        """Return a text that a database gave, without what is secret in this address."""
        read = None if self.file else make_url(self.url)
        values = read.normalized_query.items() if read else ()
        secrets = [value for name, each in values if urls.is_secret(name) for value in each]
        text = urls.shown(text)
        for secret in [str(read.password) if read and read.password else "", *secrets]:
            if len(secret) >= _TELLING:
                text = text.replace(secret, urls.HIDDEN)
        return text


def address(storage: str, folder: Path) -> Address:
    """Return the address that a text stands for: of a URL that database, of a path the file, relative to `folder`.

    All URLs of an SQLite file are that file. Raises InputError for what is neither.
    """
    if not storage.strip() or "\0" in storage:
        raise _wrong(storage, _FILE)
    if is_url(storage):
        return _database(storage)
    if storage.startswith((":memory:", "file:")):
        raise _wrong(storage, f"{_FILE}; {_MEMORY}")
    return Address(_file(folder / storage, storage))


def is_url(text: str) -> bool:
    """Return whether a text is meant as a URL, also if it is none; a drive's letter is no scheme."""
    return _URL.match(text) is not None


def _database(storage: str) -> Address:
    try:
        url = make_url(storage.strip())
    except (ArgumentError, ValueError):  # the words of neither are shown: they hold parts of the URL
        raise _wrong(storage, "dialect://user@host:port/database") from None
    if url.get_backend_name() in _STORES:
        raise _wrong(storage, _STUDY)
    if url.get_backend_name() != "sqlite":
        if storage.count("@") > 1:  # what follows the first would be asked for as a host, and shown
            raise _wrong(storage, "one @, before the host; in a password or any other part it is written %40")
        return Address(None, storage.strip())
    if url.drivername not in _DRIVERS:
        raise _wrong(storage, " or ".join(f"{name}:///FILE" for name in _DRIVERS))
    if url.host or url.username or url.query:
        raise _wrong(storage, "sqlite:///FILE, with three slashes and no options")
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise _wrong(storage, f"sqlite:///FILE; {_MEMORY}")
    return Address(_file(Path(url.database), storage))


def _file(path: Path, storage: str) -> Path:
    try:
        resolved = path.resolve()
        str(resolved).encode()  # who trains is told by JSON, which has no other names
    except (OSError, RuntimeError, ValueError):  # a loop of links; characters that no file's name has
        raise _wrong(storage, _FILE) from None
    if len(resolved.name.encode()) > _LONGEST:
        raise _wrong(storage, f"a file's name of at most {_LONGEST} bytes: others are made of it")
    return resolved


def _wrong(storage: str, allowed: str) -> InputError:
    return InputError(Mistake(f"given {quoted(shown(storage))}; allowed: {allowed}", ("storage",)))


def shown(url: str) -> str:
    """Return a URL without what is secret in it, as SQLAlchemy reads it, or by a plain rule if it cannot."""
    try:
        read = make_url(url.strip())
        plain = read.render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return urls.shown(url)
    known = url.count("@") == (read.username is not None)
    return urls.shown(plain if known else url)  # with more of them, the password may go on after what was read as it
