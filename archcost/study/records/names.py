"""The names of networks of a study, 12, 12/2, 12@int8, and the ways in which they run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from archcost.errors import InputError, Mistake, quoted, shorten
from archcost.graph.dtypes import INT8

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
        allowed = "allowed: a trial's number such as 12, a column of one such as 12/2, another way such as 12@int8"
        raise InputError(Mistake(f"given {quoted(shorten(text))}; {allowed}"))
    return Name(int(found[1]), int(found[2] or 0), found[3])


@dataclass(frozen=True, slots=True)
class Way:
    """A way in which a study runs each of its networks, each of which has a point for each way.

    number: its place among the ways; name: in the names of its points, None of the first; places: of its latencies, in
    the order of the objectives, among what the study measures of a network; runtime, dtype: '' and float32 of a study
    that names no ways.
    """

    number: int = 0
    name: str | None = None
    places: tuple[int, ...] = ()
    runtime: str = ""
    dtype: str = "float32"

    @property
    def quantised(self) -> bool:
        """Whether its networks are quantised after training, and have a score of their own then."""
        return self.dtype == INT8

    @property
    def words(self) -> str:
        """What runs a network and in which type: onnxruntime int8."""
        return f"{self.runtime} {self.dtype}".strip()


def names_of(ways: Sequence[tuple[str, str]]) -> tuple[str | None, ...]:
    """Return the names of ways, each a runtime and a dtype, none twice; the first has none.

    A name is the dtype if no other way has it, else the runtime if no other one that is left has it, else both.
    """
    dtypes = [dtype for _, dtype in ways]
    left = [runtime for runtime, dtype in ways if dtypes.count(dtype) > 1]
    names = [
        dtype if dtypes.count(dtype) == 1 else runtime if left.count(runtime) == 1 else f"{runtime}-{dtype}"
        for runtime, dtype in ways
    ]
    return (None, *names[1:])
