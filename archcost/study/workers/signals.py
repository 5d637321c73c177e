"""Signals that wait until what must be done whole is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_THEY: Final = (signal.SIGINT, signal.SIGTERM)
_HELD: list[list[tuple[int, FrameType | None]]] = []
"""The signals that wait, of each context that holds some back."""


def waits() -> bool:
    """Return whether a signal that is held back waits: what takes long shall end."""
    return any(_HELD)


@contextmanager
def held_back() -> Iterator[None]:
    """Let Ctrl-C and a termination wait until the context is left, also by an error; then the first of them comes.

    Only the main thread hears signals: in another one, nothing is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    _HELD.append(came)
    before = {number: signal.signal(number, lambda number, frame: came.append((number, frame))) for number in _THEY}
    try:
        yield
    finally:
        _HELD.remove(came)
        for each, handler in before.items():
            signal.signal(each, handler)
        for number, frame in came[:1]:
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)
            elif handler is signal.SIG_DFL:
                signal.raise_signal(number)
