"""Why a job failed, or a part of it, by the error that it raised."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Final

from archcost.data.shared import GoneError
from archcost.errors import ArchcostError, InputError, TargetError, named, one_line, said
from archcost.nets.factory import CodeError, RefusedError, place_of
from archcost.study.records.reasons import Reason
from archcost.training.losses import Diverged

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_ENDS: Final = frozenset({"space", "files"})
"""Kinds that end the run: nothing can be written, or the study's own files are gone."""


def reason_of(error: Exception) -> Reason:
    """Return why a job failed that raised an error."""
    words = one_line(error, 2000)
    if any(isinstance(each, OSError) and each.errno in _FULL for each in _causes(error)):
        return Reason("space", words)
    match error:
        case Diverged():
            return Reason("diverged", words)
        case GoneError():
            return Reason("files", words)
        case RefusedError():
            return _refused(error.__cause__)
        case CodeError() if _is_short(error.__cause__):
            return Reason("memory", f"out of memory: {words}")
        case CodeError():
            return Reason("code", words)
        case InputError():
            return Reason("input", words)
        case TargetError() | ArchcostError():
            return Reason("target", words)
        case MemoryError():
            return Reason("memory", "out of memory")
        case RuntimeError() if _is_short(error):
            return Reason("memory", f"out of memory: {words}")
        case _:
            return Reason("bug", one_line(named(error), 2000), type(error).__name__)


def _refused(cause: BaseException | None) -> Reason:
    """Return why a factory does not take its arguments: what it says of them, and where."""
    assert cause is not None
    kind, place = type(cause).__name__, place_of(cause)
    message = one_line(said(cause), 1000) or "no reason given"
    return Reason("refused", f"{message} ({kind}{f' at {place}' if place else ''})", message)


def _is_short(error: BaseException | None) -> bool:
    """Return whether an error says that memory ran short: torch has no type of its own for it on a processor."""
    words = str(error)
    return isinstance(error, MemoryError) or "allocate memory" in words or "out of memory" in words


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def of_part(error: Exception) -> Reason:
    """Return why a part of a job failed that may; what ends the run is raised again."""
    reason = reason_of(error)
    if reason.kind in _ENDS:
        raise error
    return reason
