"""A second place of weights and checkpoints, which several machines reach."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from archcost.data.remote.systems import System, get, has_secret, names, opened, put
from archcost.errors import InputError, Mistake, one_line, quoted
from archcost.files import safe_name

_LOG: Final = logging.getLogger(__name__)
_KEY: Final = ("weights",)


@dataclass(frozen=True)
class Mirror:
    """Where files of a study's folder are kept a second time.

    What cannot be written or read there is logged, and kept in the folder as without a mirror: it is never needed for a
    training, which then begins again if another machine goes on with it. url: of the study's own folder there.
    """

    url: str
    folder: Path

    def push(self, path: str | Path) -> None:
        """Copy a file there, if it is in the study's folder."""
        if (file := Path(path)).is_file():
            self._tried("written", file, lambda system, at: put(system, file, at))

    def fetch(self, path: str | Path) -> None:
        """Copy a file from there to the study's folder, if it is not in it, and is there."""
        if not (file := Path(path)).exists():
            self._tried("read", file, lambda system, at: get(system, at, file) if system.exists(at) else None)

    def discard(self, path: str | Path) -> None:
        """Remove a file there."""
        self._tried("removed", Path(path), lambda system, at: system.rm_file(at) if system.exists(at) else None)

    def names(self) -> tuple[str, ...]:
        """Return the names of the files there."""
        found: list[str] = []
        self._tried("listed", self.folder, lambda system, at: found.extend(names(system, posixpath.dirname(at))))
        return tuple(found)

    def _tried(self, what: str, file: Path, do: Callable[[System, str], object]) -> None:
        try:
            system, root = opened(self.url)
            do(system, f"{root}/{file.name}")
        except Exception as error:  # a server's own, of any kind
            _LOG.warning("%s cannot be %s in %s: %s", file.name, what, quoted(self.url), one_line(error, 200))


def mirror(given: str | None, folder: Path, name: str, identity: str) -> Mirror | None:
    """Return the second place that a study names, None if it names none; raises InputError if it cannot be used.

    folder: that of the study's weights; name, identity: of the study, which has a folder of its own there.
    """
    if given is None:
        return None
    check(given)
    return Mirror(f"{given.rstrip('/')}/{safe_name(name)}-{identity[:12]}", folder)


def check(given: str) -> None:
    """Raise InputError for a place with a password in it, and for one that no installed package opens."""
    if has_secret(given):
        words = "given a URL with a user or password, which are kept nowhere"
        allowed = "one without, and the environment or a profile of that service"
        raise InputError(Mistake(f"{words}; allowed: {allowed}", _KEY))
    try:
        opened(given)
    except (ImportError, ValueError) as error:
        words = f"given {quoted(given)}, which cannot be opened: {one_line(error, 200)}"
        allowed = "a folder, or a URL of fsspec, some of which need pip install 'archcost[remote]'"
        raise InputError(Mistake(f"{words}; allowed: {allowed}", _KEY)) from None
