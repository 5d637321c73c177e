"""Downloads of data sets: into the cache, each file checked by its hash.

A file is in the cache only once its hash is right.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeAlias

from archcost.data import known
from archcost.data.known import File, Known
from archcost.errors import InputError, Mistake, unknown
from archcost.files import cache

Progress: TypeAlias = Callable[[str], AbstractContextManager[object]]
"""Told what begins; the context lasts as long as that does. The same as latency.measure's: no room has it for both."""

_TIMEOUT_S = 60.0  # without a byte


def fetch(name: str, *, folder: Path | None = None, progress: Progress = nullcontext) -> Path:
    """Download a data set into a folder of its name below `folder`, by default the cache, and return that folder.

    Files that are there and whole are kept. Raises InputError, which says what to do, for a name that is unknown,
    a data set that cannot be downloaded, a download that fails and a file whose hash is not the published one.
    """
    if name not in known.NAMES:
        raise InputError(Mistake(unknown("data set", name, known.NAMES)))
    about = known.known(name)
    if not about.files:
        raise InputError(Mistake(_no_download(about)))
    return download(about, folder or cache(), progress)


def download(about: Known, folder: Path, progress: Progress = nullcontext) -> Path:
    """Download the files of a data set that are not there yet; as `fetch`, for any that has files."""
    target = folder / about.name
    for file in about.files:
        with progress(f"downloading {file.name}"):
            _download(file, target)
    return target


def _no_download(about: Known) -> str:
    if about.name in known.PLACED:
        return f"{about.name} is your own; allowed: {known.PLACED[about.name]}"
    if not about.choices:
        return f"{about.name} is in the package, there is nothing to download"
    places = " or ".join(known.shown(known.below(folder, about.name)) for folder in known.folders())
    return f"{about.name} cannot be downloaded; allowed: {about.get}: {places}"


def _download(file: File, target: Path) -> None:
    # imported when something is downloaded, as it loads all of requests
    import pooch  # noqa: PLC0415

    try:
        with _quiet(pooch.get_logger()):
            downloader = pooch.HTTPDownloader(timeout=_TIMEOUT_S)
            pooch.retrieve(file.url, file.digest, fname=file.name, path=target, downloader=downloader)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; ValueError: the hash is another
        why = "its content is not the published one" if isinstance(error, ValueError) else type(error).__name__
        by_hand = f"put {file.name} into {known.shown(target)} yourself"
        raise InputError(Mistake(f"cannot download {file.url}: {why}; allowed: try again, or {by_hand}")) from error


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Let pooch, which logs every download on standard error, say nothing."""
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
