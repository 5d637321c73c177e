"""Waiting for a device, told while it lasts: who measures or trains there, and how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final

from archcost.latency.lock import held
from archcost.study.workers.messages import Doing, Event, Waits

_PATIENCE_S: Final = 5.0  # what is shorter is not mentioned
_EVERY_S: Final = 30.0  # who waits does not hang


def held_alone(lock: str, tell: Callable[[Event], None]) -> AbstractContextManager[None]:
    """Keep others off a device inside the context, and tell after a few seconds of waiting who is waited for."""
    return held(lock, partial(_told, tell, "measures"), partial(_told, tell, "trains"))


@contextmanager
def _told(tell: Callable[[Event], None], doing: Doing, process: int | None) -> Iterator[None]:
    ended = threading.Event()

    def say() -> None:
        begun, pause = time.monotonic(), _PATIENCE_S
        while not ended.wait(pause):
            tell(Waits(process, doing, time.monotonic() - begun))
            pause = _EVERY_S

    teller = threading.Thread(target=say, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
