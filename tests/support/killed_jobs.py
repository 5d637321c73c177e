"""Jobs that do not live to their end: what they told until then, and what is done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import torch

from archcost.study.workers import job as working
from archcost.study.workers import progress
from archcost.study.workers.messages import Event, Measured, Reached, Resumed, Trained
from archcost.study.workers.tasks import Train


class Killed(BaseException):
    """What ends a job as a kill does: nothing catches it."""


def told(job: Train, until: Callable[[Event], bool] = lambda _: False) -> list[Event]:
    """Return what a job tells; until: what it does not live to see after that."""
    events: list[Event] = []

    def tell(event: Event) -> None:
        events.append(event)
        if until(event):
            raise Killed

    with suppress(Killed):
        working.run(job, tell, lambda: True)
    return events


def after(epoch: int) -> Callable[[Event], bool]:
    """Return what is true of the end of an epoch."""
    return lambda event: isinstance(event, Trained) and event.epoch == epoch and event.seconds > 0


def resumed(events: list[Event]) -> list[tuple[int, str]]:
    """Return after how many epochs a training went on, and what was said."""
    return [(each.epoch, each.note) for each in events if isinstance(each, Resumed)]


def measured(events: list[Event]) -> list[Event]:
    """Return what was measured."""
    return [each for each in events if isinstance(each, Measured)]


def reached(events: list[Event]) -> list[Event]:
    """Return what was scored at rungs."""
    return [each for each in events if isinstance(each, Reached)]


@contextmanager
def kept_always() -> Iterator[None]:
    """Write a checkpoint after every epoch, however short, inside; leave torch's threads as they were."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "_APART_S", 0.0)
        patch.setattr(progress, "_DEAR", 0)
        yield
    torch.set_num_threads(before)
