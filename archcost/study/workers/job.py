"""What a child process does: a trial, a measurement, or a question to the user's own code."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias, assert_never

from archcost.data.shared import GoneError
from archcost.errors import ArchcostError, InputError, TargetError, named, one_line, said
from archcost.nets.factory import CodeError, RefusedError, place_of
from archcost.study.records.reasons import Reason
from archcost.study.workers import inquiries, trial
from archcost.study.workers.messages import (
    Describe,
    Done,
    Event,
    Failed,
    Foresee,
    Import,
    Job,
    Make,
    Measure,
    ReadData,
    Survey,
    Train,
)
from archcost.study.workers.network import blueprint
from archcost.training.losses import Diverged

Tell: TypeAlias = Callable[[Event], None]
GoesOn: TypeAlias = Callable[[], bool]
"""Waits for the study's reply: whether the trial goes on."""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def run(job: Job, tell: Tell, goes_on: GoesOn) -> None:
    """Do a job and tell how it goes; its last event is Done or Failed, if the process lives so long."""
    try:
        match job:
            case Train():
                trial.run(job, tell, goes_on)
            case Foresee():
                trial.foresee(job.train, tell)
            case Measure():
                networks = [each for one in job.networks for each in blueprint(one, job.code).measurable()]
                trial.measure(networks, 0, job.way, tell)
            case Survey():
                inquiries.survey(job, tell, reason_of)
            case Import():
                inquiries.imports(job, tell)
            case ReadData():
                inquiries.read_data(job, tell)
            case Describe():
                inquiries.describe(job, tell)
            case Make():
                inquiries.make(job)
            case _:
                assert_never(job)
        tell(Done())
    except Exception as error:  # the one place where a trial's errors end; a signal is the parent's to tell
        tell(Failed(reason_of(error)))
    except BaseException as error:  # an exit, or an interrupt that code of the user's own raises
        if job.code is None:
            raise
        tell(Failed(Reason("code", one_line(named(error), 2000), type(error).__name__)))


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
