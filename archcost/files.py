"""Files: written whole or not at all, folders too; and the folder of what can be had again."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast, final

from archcost.errors import InputError, quoted


def cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of what can be downloaded or measured again: $XDG_CACHE_HOME/archcost, or ~/.cache/archcost."""
    given = Path(environment.get("XDG_CACHE_HOME", ""))  # relative ones are to be ignored, says the standard
    return (given if given.is_absolute() else home("~/.cache")) / "archcost"


def home(path: str, allowed: str = "a folder in XDG_CACHE_HOME") -> Path:
    """Return a path with ~ as the folder it stands for; raises InputError, with what is allowed, if nobody knows it."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{quoted(path)}: {error}; allowed: {allowed}") from None


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` beside `path` and rename it into place; raises InputError if that cannot be done."""
    with placed(Path(path)) as part:
        part.write_text(text, encoding="utf-8")


def safe_name(text: str) -> str:
    """Return a text as the name of one file: letters, digits, dots, strokes; what else there is becomes a stroke.

    Two texts may give one name: what tells them apart is for the caller to add.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:80]
    return plain or "unnamed"


@contextmanager
def placed(target: Path) -> Iterator[Path]:
    """Yield a path beside `target`; what is written there is renamed into place at the end, or removed on an error.

    Raises InputError if nothing can be written, or `target` is a device or folder, which a rename would replace.
    """
    refused = InputError(f"cannot write {quoted(str(target))}: not a regular file")
    if "\0" in str(target):
        raise refused
    try:
        if target.exists() and not target.is_file():
            raise refused
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        try:
            yield part
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.chmod(0o666 & ~_umask())
            part.replace(target)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
    except OSError as error:
        raise InputError(f"cannot write {quoted(str(target))}: {error.strerror or error}") from error


@contextmanager
def placed_pair(target: Path, suffix: str) -> Iterator[Path]:
    """Yield the path of a file in a new folder beside `target`, which comes into place at the end as `placed` has it.

    A second file that is written beside it, with `suffix` behind its name, comes into place with it: neither is there
    without the other, and on an error both are as they were before. If the process is killed between the two, the first
    file is missing: it is never there beside another's second one. Raises InputError as `placed` does.
    """
    pair = (target.with_name(target.name + suffix), target) if target.name else (target,)
    refused = [each for each in pair if "\0" in str(each) or (each.exists() and not each.is_file())]
    if refused:
        raise InputError(f"cannot write {quoted(str(refused[0]))}: not a regular file")
    try:
        part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".part"))
        try:
            yield part / target.name
            _moved(part, [each for each in pair if (part / each.name).exists()])
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise InputError(f"cannot write {quoted(str(target))}: {error.strerror or error}") from error


def _moved(part: Path, targets: Sequence[Path]) -> None:
    """Rename files out of a folder into their places, the last of them last; on an error put back what was there."""
    for each in targets:
        with (part / each.name).open("rb") as file:
            os.fsync(file.fileno())
        (part / each.name).chmod(0o666 & ~_umask())
    if len(targets) == 1:  # one rename is whole in itself
        (part / targets[0].name).replace(targets[0])
        return
    before = part / "before"
    before.mkdir()
    try:
        for each in reversed(targets):
            if each.exists():
                each.rename(before / each.name)
        for each in targets:
            (part / each.name).rename(each)
    except BaseException:  # a signal too
        for each in targets:
            if (before / each.name).exists():
                (before / each.name).replace(each)
            elif not (part / each.name).exists():
                each.unlink()
        raise


@contextmanager
def placed_folder(target: Path, ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield a new folder beside `target`, renamed into its place at the end, or removed with all in it on an error.

    A folder in the place is replaced if `ours` says so of it. Raises InputError if it is anything else, or nothing can
    be written.
    """
    refused = InputError(f"{quoted(str(target))} is there, and nothing that may be replaced; allowed: another name")
    if "\0" in str(target):
        raise InputError(f"cannot write {quoted(str(target))}: no folder has such a name")
    try:
        target = target.parent.resolve(strict=True) / target.name  # `.` and `..` have a place of their own
        if target.name in ("", "..") or (os.path.lexists(target) and not _replaceable(target, ours)):
            raise refused
        part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".part"))
        try:
            yield part
            for each in part.iterdir():
                with each.open("rb") as file:
                    os.fsync(file.fileno())
            part.chmod(0o777 & ~_umask())
            if os.path.lexists(target) and not _replaceable(target, ours):  # meanwhile somebody put something there
                raise refused
            _exchanged(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise InputError(f"cannot write {quoted(str(target))}: {error.strerror or error}") from error


def _replaceable(target: Path, ours: Callable[[Path], bool]) -> bool:
    return target.is_dir() and not target.is_symlink() and ours(target)


def _exchanged(part: Path, target: Path) -> None:
    """Rename a folder into its place; what was there is out of the way first, and back if that cannot be done."""
    if not target.exists():
        part.rename(target)
        return
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".old"))
    target.rename(aside / "old")
    try:
        part.rename(target)
    except BaseException:  # a signal too: what was there comes back, and the error goes on
        (aside / "old").rename(target)
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@final
class _Checked:
    """Tells who writes that all went well, and keeps the first failure."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.failed: OSError | None = None

    def write(self, data: memoryview) -> int:
        """Write, or do nothing once that has failed."""
        if self.failed is None:
            try:
                self._file.write(data)
            except OSError as error:
                self.failed = error
        return len(data)

    def flush(self) -> None:
        """Do nothing: closing the file writes what is left."""


@contextmanager
def checked(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that has `write` and `flush` alone, neither of which raises; raises OSError at the end instead.

    torch's writer in C++ aborts the process where one does, or raises what has no number in it.
    """
    with path.open("wb") as file:
        stream = _Checked(file)
        try:
            yield cast("IO[bytes]", stream)  # nothing else of one is asked for
        finally:
            if stream.failed is not None:
                raise stream.failed
