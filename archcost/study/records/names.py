"""The names of networks of a study: 12, of a column 12/2, of another way to run 12@int8."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from archcost.errors import InputError, Mistake, quoted, shorten

_FORM: Final = re.compile(r"(0|[1-9][0-9]{0,8})(?:/([1-9][0-9]{0,3}))?(?:@([A-Za-z0-9][A-Za-z0-9_.-]{0,63}))?")


@dataclass(frozen=True, slots=True)
class Name:
    """A network by its trial, its column (0: the whole network) and its way to run (None: the study's first)."""

    trial: int
    column: int = 0
    way: str | None = None

    def __str__(self) -> str:
        column = f"/{self.column}" if self.column else ""
        return f"{self.trial}{column}" + (f"@{self.way}" if self.way is not None else "")

    @property
    def file(self) -> str:
        """The name as a part of a file's name: 12-2."""
        return re.sub("[/@]", "-", str(self))


def read(text: str) -> Name:
    """Return the network that a text names; raises InputError for what is no such name."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        allowed = "allowed: a trial's number such as 12, a column of one such as 12/2"
        raise InputError(Mistake(f"given {quoted(shorten(text))}; {allowed}"))
    return Name(int(found[1]), int(found[2] or 0), found[3])
