"""A second place of weights and checkpoints, which several machines reach."""

from __future__ import annotations

import logging
import os
import posixpath
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from archcost.errors import InputError, Mistake, one_line, quoted
from archcost.files import safe_name

System: TypeAlias = Any
"""A file system as fsspec has it, which has no annotations."""

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
            self._tried("written", file, lambda system, at: _put(system, file, at))

    def fetch(self, path: str | Path) -> None:
        """Copy a file from there to the study's folder, if it is not in it, and is there."""
        if not (file := Path(path)).exists():
            self._tried("read", file, lambda system, at: _get(system, at, file))

    def discard(self, path: str | Path) -> None:
        """Remove a file there."""
        self._tried("removed", Path(path), lambda system, at: system.rm_file(at) if system.exists(at) else None)

    def names(self) -> tuple[str, ...]:
        """Return the names of the files there."""
        found: list[str] = []
        self._tried("listed", self.folder, lambda system, at: found.extend(_names(system, posixpath.dirname(at))))
        return tuple(found)

    def _tried(self, what: str, file: Path, do: Callable[[System, str], object]) -> None:
        try:
            system, root = _opened(self.url)
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
    parts = urlsplit(given)
    if parts.scheme and (parts.password or "@" in parts.netloc):
        words = "given a URL with a user or password, which are kept nowhere"
        allowed = "one without, and the environment or a profile of that service"
        raise InputError(Mistake(f"{words}; allowed: {allowed}", _KEY))
    try:
        _opened(given)
    except (ImportError, ValueError) as error:
        words = f"given {quoted(given)}, which cannot be opened: {one_line(error, 200)}"
        allowed = "a folder, or a URL of fsspec, some of which need pip install 'archcost[remote]'"
        raise InputError(Mistake(f"{words}; allowed: {allowed}", _KEY)) from None


def _opened(url: str) -> tuple[System, str]:
    from fsspec.core import url_to_fs  # noqa: PLC0415  # only who has a second place needs it

    system, root = url_to_fs(url)
    return system, str(root)


def _put(system: System, file: Path, at: str) -> None:
    system.makedirs(posixpath.dirname(at), exist_ok=True)
    part = f"{at}.{os.getpid()}.part"  # whoever reads it finds it whole
    system.put_file(str(file), part)
    system.mv(part, at)


def _get(system: System, at: str, file: Path) -> None:
    if not system.exists(at):
        return
    with _beside(file) as part:
        system.get_file(at, str(part))
        part.replace(file)


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


def _names(system: System, root: str) -> list[str]:
    return [posixpath.basename(each) for each in system.ls(root, detail=False)] if system.exists(root) else []
