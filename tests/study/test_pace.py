"""Whether the time limit waits for an epoch: if it is over within half a minute, by what epochs took so far."""

from __future__ import annotations

import pytest

from archcost.study.workers.messages import Resumed, Trained
from archcost.study.workers.pace import Pace


def heard(*events: tuple[float, Trained | Resumed], epochs: int = 9) -> Pace:
    """Return the pace of a training that began at 0, after some events with the moments they came at."""
    pace = Pace(epochs, since=0.0)
    for now, event in events:
        pace.hear(event, now)
    return pace


def trained(epoch: int, seconds: float, *, kept: bool = True) -> Trained:
    """Return what is told when an epoch is over."""
    return Trained(epoch, 1.0, seconds, kept)


@pytest.mark.parametrize(
    ("pace", "waits"),
    [
        (heard(), False),  # nobody knows how long its first epoch takes
        (heard((50.0, Trained(0, 1.0, 0.0))), False),  # a sign of life in it
        (heard((99.0, Resumed(3, 40.0))), False),
        (heard((90.0, trained(1, 90.0))), False),  # until 180
        (heard((90.0, trained(1, 41.0))), False),  # until 131
        (heard((90.0, trained(1, 39.0))), True),  # until 129
        (heard((60.0, trained(1, 60.0)), (95.0, Trained(1, 1.0, 0.0))), True),  # until 120: no epoch has begun
        (heard((40.0, trained(1, 40.0))), True),  # late already, it may come any moment
        (heard((100.0, trained(1, 10.0))), False),  # it is kept
        (heard((100.0, trained(1, 3.0, kept=False))), True),  # the next one will be
        (heard((100.0, trained(9, 10.0))), True),  # the last one: scores come next, and it is over
    ],
)
def test_a_limit_waits_for_what_ends_soon(pace: Pace, *, waits: bool) -> None:
    """At the limit, 100 s after the beginning."""
    assert waits == pace.waits(100.0, 100.0)


def test_nothing_is_waited_for_longer_than_half_a_minute() -> None:
    """Whatever its epochs took before."""
    pace = heard((99.0, trained(1, 10.0)))
    assert [True, True, False] == [pace.waits(100.0, now) for now in (100.0, 129.9, 130.0)]
