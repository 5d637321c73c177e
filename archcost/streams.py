"""A file that C++ writes to: where it cannot be written, the reason is an error and not the end of the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast, final


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
