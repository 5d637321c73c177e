"""The folder of jobs: logs, what an engine writes, a password file as long as they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from archcost.errors import InputError, Mistake, quoted
from archcost.study.records.database.addresses import Address
from archcost.study.workers.engines import passfile
from archcost.study.workers.engines.command import Command

_PASSWORD: Final = "pgpass"


def made(kept: Address, name: str) -> Path:
    """Make a folder for jobs that begin now, in NAME.jobs beside a storage's file, or here if it is on a server.

    Nobody but its owner looks into it. Raises InputError if it cannot be made.
    """
    outer = (kept.file.parent if kept.file else Path.cwd()) / f"{name}.jobs"
    try:
        outer.mkdir(mode=0o700, exist_ok=True)
        for number in count(1):
            try:
                (outer / str(number)).mkdir(mode=0o700)
            except FileExistsError:
                continue
            return outer / str(number)
    except OSError as error:
        raise InputError(Mistake(f"the folder {quoted(str(outer))} cannot be made: {error.strerror}")) from None
    raise AssertionError("numbers do not end")


@contextmanager
def environment(folder: Path, command: Command) -> Iterator[tuple[str, ...]]:
    """Yield what a worker has more in its environment; a password file is there as long as the context."""
    if not command.line:
        yield command.environment
        return
    file = folder / _PASSWORD
    try:
        passfile.written(command.line, file)
        yield (*command.environment, f"{passfile.VARIABLE}={file}")
    finally:
        file.unlink(missing_ok=True)
