"""Values in the cache folder that a device was measured for, of a known form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from archcost.errors import InputError, one_line, quoted
from archcost.files import write_whole

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that is where a kept value would be and cannot be used: it is made again, and never believed."""

    path: Path
    why: str

    def __str__(self) -> str:
        return f"{quoted(str(self.path))} cannot be used: {self.why}"


def read(path: Path, kind: TypeAdapter[T], largest_bytes: int) -> T | Unusable | None:
    """Return the value that a file holds as JSON, why it cannot be used, or None if there is no file."""
    try:
        with path.open("rb") as file:
            text = file.read(largest_bytes + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Unusable(path, error.strerror or str(error))
    if len(text) > largest_bytes:
        return Unusable(path, f"more than {largest_bytes} bytes")
    try:
        return kind.validate_json(text)
    except ValidationError as error:
        return Unusable(path, f"damaged, {one_line(error.errors(include_url=False)[0]['msg'], 120)}")


def write(path: Path, text: str) -> None:
    """Write a file, whole or not at all, its folder with it; raises InputError if that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {quoted(str(path.parent))}: {error.strerror}") from error
    write_whole(path, text)
