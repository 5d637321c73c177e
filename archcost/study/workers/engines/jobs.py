"""Jobs from start to end: looked at until all are over, cancelled if interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from archcost.study.workers.engines.engine import Engine, Job

_LOOK_S: Final = 1.0
_GRACE_S: Final = 40.0  # in which cancelled jobs end: a worker has half of it to give back what it works on
Sleep = Callable[[float], None]


@contextmanager
def submitted(
    engine: Engine, arguments: Sequence[str], environment: Sequence[str], count: int, sleep: Sleep = time.sleep
) -> Iterator[tuple[Job, ...]]:
    """Start workers for a context; those that are left when it ends, by Ctrl-C or an error, are cancelled."""
    jobs: tuple[Job, ...] = ()
    try:
        jobs = engine.submit(arguments, environment, count)
        yield jobs
    finally:
        try:
            _cancel(jobs, sleep)
        finally:
            engine.close()


def _cancel(jobs: Sequence[Job], sleep: Sleep) -> None:
    left = [each for each in jobs if each.state() == "open"]
    for each in left:
        with suppress(OSError):  # the engine's own program is gone: nothing else can end it
            each.cancel()
    waited = 0.0
    while waited < _GRACE_S and any(each.state() == "open" for each in left):
        sleep(_LOOK_S)
        waited += _LOOK_S


def awaited(
    jobs: Sequence[Job], look: Callable[[], None], ended: Callable[[Job], None], sleep: Sleep = time.sleep
) -> tuple[Job, ...]:
    """Wait until all jobs have ended, and return those that failed; look: called all the while; ended: of each once."""
    left, failed = list(jobs), []
    while left:
        look()
        for each in list(left):
            if (state := each.state()) != "open":
                left.remove(each)
                failed += [each] if state == "failed" else []
                ended(each)
        if left:
            sleep(_LOOK_S)
    return tuple(failed)
