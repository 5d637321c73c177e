"""Copies of files at a URL, in the cache: each whole, and renewed if that there differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeAlias

from filelock import FileLock

from archcost.data.remote.systems import Listing, System, get, has_secret, opened, why
from archcost.errors import InputError, Mistake, quoted, visible
from archcost.errors import Path as Key
from archcost.files import cache, safe_name, write_whole
from archcost.units import counted_words, data_size
from archcost.urls import shown

Stamp: TypeAlias = list[str]
"""What changes with a file there, as far as its file system says it: size, time, digest."""

_TELLING: Final = ("size", "ETag", "etag", "mtime", "LastModified", "last_modified", "modified", "updated", "md5")
_AT_ONCE: Final = 8
_FOLDER: Final = "copies"
_ALLOWED: Final = "a URL that this machine reaches and may read"


@dataclass(frozen=True, slots=True)
class Most:
    """How many files of a folder, and how many bytes of all of them, are copied at most."""

    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the copies of a folder's files are; url: of the folder."""

    url: str

    @property
    def root(self) -> Path:
        return cache() / _FOLDER / sha256(self.url.encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """A folder of the same name, by which studies and data sets are called."""
        name = self.url.rpartition("/")[2]
        return self.root / "files" / (name if _is_plain(name) else safe_name(name))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one process that changes the copies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / "lock"):
            if not (self.root / "url").is_file():
                write_whole(self.root / "url", self.url)
            yield

    def stamps(self) -> dict[str, Stamp]:
        """Return what each file was when it was copied, by its name; nothing of what cannot be read."""
        try:
            held = json.loads((self.root / "stamps.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return held if isinstance(held, dict) else {}

    def keep(self, stamps: Mapping[str, Stamp]) -> None:
        write_whole(self.root / "stamps.json", json.dumps(stamps))


def file(url: str, most_bytes: int, key: Key = ()) -> Path:
    """Return the copy of a file, made or renewed if that is needed; key: the one that names it, for mistakes.

    Raises InputError if it is not there, is no file or is larger, or the place is not reached.
    """
    above, _, name = _checked(url, key).rpartition("/")
    with _explained(url, key):
        system, at = opened(url)
        about = system.info(at)
    if about["type"] != "file":
        raise InputError(Mistake(f"{seen(url)} is not a file; allowed: a file", key))
    found = _Found(_Place(above), system, key)
    found.copy({name: (at, about)}, Most(1, most_bytes))
    return found.place.folder / name


def is_file(url: str, key: Key = ()) -> bool:
    """Return whether there is a file; raises InputError if the place is not reached."""
    with _explained(_checked(url, key), key):
        system, at = opened(url)
        return bool(system.isfile(at))


def names(url: str, key: Key = ()) -> frozenset[str]:
    """Return the names of the files in a folder, none if it is not there; raises InputError if it is not reached."""
    with _explained(_checked(url, key), key):
        system, at = opened(url)
        listed = system.ls(at, detail=True) if system.exists(at) else ()
        return frozenset(each["name"].rstrip("/").rpartition("/")[2] for each in listed if each["type"] == "file")


def path(url: str) -> Path:
    """Return where the copy of a file is, if it was made."""
    above, _, name = url.rpartition("/")
    return _Place(above).folder / name


def folder(url: str, listing: Listing, wanted: Callable[[tuple[str, ...]], bool], most: Most, key: Key = ()) -> Path:
    """Return a folder with copies of the files below a folder there; those that are gone there are removed.

    wanted: whether a file is copied, by the parts of its name from the folder on. Copies of other files do not change.
    Raises InputError if the folder is not reached, has more than may be copied, or a file whose name leaves it.
    """
    place = _Place(_checked(url, key))
    with _explained(url, key):
        system, at = opened(url)
        there = listing(system, at)
    listed = {name: about for name, about in _below(at, there) if wanted(tuple(name.split("/")))}
    found = _Found(place, system, key)
    found.copy({name: (str(about["name"]), about) for name, about in listed.items()}, most, wanted)
    return place.folder


def _below(at: str, there: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the files below a folder by their names from it on."""
    start = f"{at.rstrip('/')}/"
    for name, about in there.items():
        if name.startswith(start) and about["type"] == "file" and not name.endswith("/"):
            yield name.removeprefix(start), about


@dataclass(frozen=True, slots=True)
class _Found:
    """Where files are copied to, and from."""

    place: _Place
    system: System
    key: Key

    def copy(
        self,
        listed: Mapping[str, tuple[str, Mapping[str, Any]]],
        most: Most,
        gone: Callable[[tuple[str, ...]], bool] = lambda _: False,
    ) -> None:
        """Copy files that are not here as they are there; gone: of which kind those that are not there are removed."""
        self._refuse({name: about for name, (_, about) in listed.items()}, most)
        with self.place.locked():
            held = self.place.stamps()
            kept = dict(held)
            for name in [each for each in held if each not in listed and gone(tuple(each.split("/")))]:
                _remove(self.place.folder, name)
                del kept[name]
            new = {name: at for name, (at, about) in listed.items() if not self._same(name, held.get(name), about)}
            try:
                with ThreadPoolExecutor(_AT_ONCE) as pool:
                    for name in pool.map(self._get, new, new.values()):
                        kept[name] = _stamp(listed[name][1])
            finally:
                if kept != held:
                    self.place.keep(kept)

    def _get(self, name: str, at: str) -> str:
        with _explained(f"{self.place.url}/{name}", self.key):
            target = self.place.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            get(self.system, at, target)
        return name

    def _same(self, name: str, before: Stamp | None, about: Mapping[str, Any]) -> bool:
        """Return whether a copy is there, whole, and of the file as it is now."""
        try:
            size = (self.place.folder / name).stat().st_size
        except OSError:
            return False
        return before == _stamp(about) and about.get("size") in (None, size)

    def _refuse(self, listed: Mapping[str, Mapping[str, Any]], most: Most) -> None:
        """Raise InputError for too many files, too large ones, and names that are none of a file in the folder."""
        if odd := [name for name in listed if not all(map(_is_plain, name.split("/")))]:
            words = f"{seen(self.place.url)} has a file called {quoted(odd[0])}, which is not copied"
            raise InputError(Mistake(f"{words}; allowed: names that stay in their folder", self.key))
        size = sum(each.get("size") or 0 for each in listed.values())
        if len(listed) > most.files or size > most.size_bytes:
            (first, *others) = listed
            name = seen(self.place.url if others else f"{self.place.url}/{first}")
            words = f"{name} has {counted_words(len(listed), 'file')} of {data_size(size)} to copy"
            allowed = f"{most.files} of {data_size(most.size_bytes)}"
            raise InputError(Mistake(f"{words}; allowed: {allowed}", self.key))


def _remove(folder: Path, name: str) -> None:
    """Remove a copy, and the folders that are empty then."""
    path = folder / name
    with suppress(OSError):
        path.unlink()
        for above in path.parents:
            if above == folder:
                return
            above.rmdir()


def _stamp(about: Mapping[str, Any]) -> Stamp:
    return [f"{name}={about[name]}" for name in _TELLING if about.get(name) is not None]


def _is_plain(name: str) -> bool:
    """Return whether a name is that of one file or folder, on this system and others."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return False
    return (
        name not in ("", ".", "..")
        and length <= 255
        and not any(each in name for each in "/\\\0:")
        and (visible(name) == name)
    )


def _checked(url: str, key: Key) -> str:
    """Return a URL without slashes at its end; raises InputError for one with a user or password."""
    if has_secret(url):
        words = f"given {seen(url)}, a URL with a user or password, which are kept nowhere"
        allowed = "one without, and the environment or a profile of that service"
        raise InputError(Mistake(f"{words}; allowed: {allowed}", key))
    return url.rstrip("/")


@contextmanager
def _explained(url: str, key: Key) -> Iterator[None]:
    """Raise InputError for whatever keeps a URL from being read."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # a server's own, of any kind
        raise InputError(Mistake(f"cannot read {seen(url)}: {why(error)}; allowed: {_ALLOWED}", key)) from error


def seen(url: str) -> str:
    """Return a URL as messages show it, in quotes."""
    return f"'{visible(shown(url))}'"


def origin(path: Path) -> str:
    """Return the URL of which a file or folder is a copy, '' if it is none."""
    root = cache() / _FOLDER
    if not path.is_relative_to(root):
        return ""
    place, *below = path.relative_to(root).parts
    try:
        url = (root / place / "url").read_text("utf-8")
    except OSError:
        return ""
    return "/".join([url, *below[2:]])
