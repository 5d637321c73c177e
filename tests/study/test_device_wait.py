"""A measurement that waits for its device says for whom, and is alive meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import pytest

from archcost.latency.lock import held, turn
from archcost.study.workers import device_wait
from archcost.study.workers.messages import Doing, Event, Waits


@pytest.mark.skipif(os.name != "posix", reason="locks are in the runtime directory")
@pytest.mark.parametrize(("other", "doing"), [(held, "measures"), (turn, "trains")])
def test_who_is_waited_for_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, other: Callable[[str], AbstractContextManager[None]], doing: Doing
) -> None:
    """Again and again while it lasts, and nothing after it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(device_wait, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(device_wait, "_EVERY_S", 0.05)
    begun, enough, told = Flag(), Flag(), list[Event]()

    def busy() -> None:
        with other("cpu"):
            begun.set()
            enough.wait(60)

    def tell(event: Event) -> None:
        told.append(event)
        if len(told) == 2:
            enough.set()

    thread = Thread(target=busy)
    thread.start()
    assert begun.wait(60)
    with device_wait.held_alone("cpu", tell):
        count = len(told)
    thread.join()
    assert count == len(told) >= 2
    first, second, *_ = told
    assert isinstance(first, Waits)
    assert isinstance(second, Waits)
    assert (os.getpid(), doing, True) == (first.process, first.doing, 0 < first.seconds < second.seconds)
    assert f"process {os.getpid()} {doing} on the same device" in first.words


def test_a_free_device_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is told then."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    told: list[Event] = []
    with device_wait.held_alone("cpu", told.append):
        pass
    assert [] == told
