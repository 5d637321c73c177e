"""File systems of fsspec: a URL is opened, and a file is copied there or from there whole."""

from __future__ import annotations

import os
import posixpath
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

from archcost.errors import InputError, named, one_line, quoted
from archcost.urls import shown

System: TypeAlias = Any
"""A file system as fsspec has it, which has no annotations."""

Listing: TypeAlias = Callable[[System, str], Mapping[str, Mapping[str, Any]]]
"""Gives what a file system says of the files below a folder, by their whole names."""

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*://")
_USER: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*://[^/]*@")


def is_url(text: str) -> bool:
    """Return whether a text is a URL, and no path."""
    return _URL.match(text) is not None


def has_secret(url: str) -> bool:
    """Return whether a URL holds a user, a password or another secret."""
    return _USER.match(url) is not None or shown(url) != url


def opened(url: str) -> tuple[System, str]:
    """Return the file system of a URL or path, and what the file or folder is called in it.

    What was listed before is forgotten: another process may have written since. Raises ImportError or ValueError if no
    installed package opens it.
    """
    from fsspec.core import url_to_fs  # noqa: PLC0415  # only who has something at a URL needs it

    system, root = url_to_fs(url)
    system.invalidate_cache()
    return system, str(root)


def put(system: System, file: Path, at: str) -> None:
    """Copy a file there, whole or not at all."""
    system.makedirs(posixpath.dirname(at), exist_ok=True)
    part = f"{at}.{os.getpid()}.part"  # whoever reads it finds it whole
    system.put_file(str(file), part)
    system.mv(part, at)


def get(system: System, at: str, file: Path) -> None:
    """Copy a file from there into a folder that exists, whole or not at all; several processes may do that at once."""
    with _beside(file) as part:
        system.get_file(at, str(part))
        part.replace(file)


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name[:100]}.", suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


def names(system: System, root: str) -> list[str]:
    """Return the names of the files in a folder there, none if it is not there."""
    return [posixpath.basename(each) for each in system.ls(root, detail=False)] if system.exists(root) else []


def below(*parts: str) -> Listing:
    """Return what lists all files below some folders of a folder."""

    def listing(system: System, at: str) -> Mapping[str, Mapping[str, Any]]:
        return {name: about for part in parts for name, about in system.find(f"{at}/{part}", detail=True).items()}

    return listing


def near(depth: int, most: int, allowed: str) -> Listing:
    """Return what lists the files in a folder and in those below it that may be Python packages, by their names.

    It raises InputError, with what is allowed, after more than so many files and folders.
    """

    def listing(system: System, at: str) -> Mapping[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        level, seen = [at], 0
        for _ in range(depth):
            every = [about for folder in level for about in system.ls(folder, detail=True)]
            seen += len(every)
            if seen > most:
                raise InputError(f"{quoted(at)} has more than {most} files to look at; allowed: {allowed}")
            found |= {about["name"]: about for about in every if about["type"] == "file"}
            folders = [about["name"].rstrip("/") for about in every if about["type"] == "directory"]
            level = [each for each in folders if posixpath.basename(each).isidentifier() and each not in level]
        return found

    return listing


def why(error: Exception) -> str:
    """Return in words why something there cannot be read or written."""
    match error:
        case FileNotFoundError():
            return "there is no such file or folder"
        case PermissionError():
            return "this is not permitted"
        case ImportError():
            return f"{one_line(error, 120)}: pip install 'archcost[remote]' brings what opens s3://"
        case _:
            return one_line(named(error), 200)
