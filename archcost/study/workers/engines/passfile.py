"""How a PostgreSQL's password is handed to workers: in a private file that is named."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url

from archcost import urls
from archcost.errors import InputError, Mistake
from archcost.study.records.database.addresses import Address
from archcost.study.records.database.outage import LIBPQ

VARIABLE: Final = "PGPASSFILE"
"""Where PostgreSQL's own library reads the name of the file from (libpq, "The Password File")."""
_NAMES: Final = frozenset({"passfile", "sslkey"})  # of files: no secrets themselves
_INSTEAD: Final = "write the URL as the 'storage' of STUDY, where each worker reads it, or into a password file"


@dataclass(frozen=True, slots=True)
class Handed:
    """The URL of a database without a secret, and the line of a password file that makes up for it, '' if none is."""

    url: str
    line: str = field(default="", repr=False)


def handed(address: Address) -> Handed:
    """Return how a worker is given the address of a database.

    Raises InputError if its secret is not the password of a PostgreSQL, which alone can be handed on.
    """
    url = make_url(address.url)
    named = [name for name in url.query if urls.is_secret(name) and name not in _NAMES]
    if named:
        names = ", ".join(f"'{name}'" for name in named)
        raise _refused(f"{address} has a secret in {names}, which is not put into a command line")
    if not url.password:
        return Handed(address.url)
    if url.drivername not in LIBPQ:
        raise _refused(f"{address} has a password, which is not put into a command line")
    plain = URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query)
    return Handed(plain.render_as_string(hide_password=False), _line(url))


def _refused(words: str) -> InputError:
    return InputError(Mistake(f"{words}; allowed: {_INSTEAD}", ("storage",)))


def _line(url: URL) -> str:
    """Return `hostname:port:database:username:password`, an asterisk for what the URL leaves open."""
    password = str(url.password)
    if "\n" in password or "\r" in password:
        raise InputError(Mistake("a password with a line break cannot be handed to workers", ("storage",)))
    open_host = not url.host or "host" in url.query
    parts = ("" if open_host else url.host, str(url.port or ""), url.database, url.username)
    return ":".join([*(_escaped(part) if part else "*" for part in parts), _escaped(password)])


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace(":", r"\:")


def written(line: str, file: Path) -> None:
    """Write a password file that nobody but its owner can read; libpq ignores any other."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as made:
        made.write(f"{line}\n")
