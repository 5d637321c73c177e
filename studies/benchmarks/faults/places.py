"""Where the studies are kept: a file beside each, or a database each in a server that is started for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from support import Server, postgresql

_NUMBERS = count()


@dataclass(frozen=True)
class Place:
    """A kind of storage; server: that of the databases, None of files."""

    name: str
    server: Server | None = None

    def new(self) -> str:
        """Return the URL of a new database, '' of a file."""
        if self.server is None:
            return ""
        name = f"study{next(_NUMBERS)}"
        self.server.sql(f"CREATE DATABASE {name}")
        return self.server.url(name)


@contextmanager
def place(name: str) -> Iterator[Place]:
    """Yield the place of a name: sqlite or postgresql."""
    if name == "sqlite":
        yield Place(name)
        return
    with postgresql() as server:
        yield Place(name, server)


@contextmanager
def listening(listen: str, **environment: str) -> Iterator[Place]:
    """Yield a server of its own that listens on other addresses, or has more in its environment."""
    with postgresql(listen, **environment) as server:
        yield Place("postgresql", server)
