"""The live view of a study: states, what runs, the front so far, and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from math import isfinite
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live as Display
from rich.text import Text

from archcost.cli.terminal import say
from archcost.errors import shorten, visible
from archcost.study.options import Options
from archcost.study.phases.state import Running, State
from archcost.study.records.database.addresses import Address
from archcost.study.records.stored import Stored, labelled, worded
from archcost.units import counted_words

_EVERY_S: Final = 2.0  # between looks at the storage
_SAYS_S: Final = 10.0  # between lines if standard error is no terminal
_MEMBERS: Final = 8


class Live:
    """Shows a running study; `watch` and `say` are what it is told by. clock: seconds that pass."""

    def __init__(
        self, name: str, address: Address, options: Options, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._address, self._options, self._clock = name, address, options, clock
        self._start = self._looked = self._said = clock()
        self._terminal = sys.stderr.isatty()
        self._display = Display(console=Console(stderr=True), refresh_per_second=2, transient=True)
        self._last = ""

    def __enter__(self) -> Self:
        """Begin to show."""
        self.say(f"{self._name}: {self._address}")
        if self._terminal:
            self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""
        if self._terminal:
            self._display.stop()

    def say(self, line: str) -> None:
        """Say something once."""
        self._last = visible(line)
        if self._terminal:
            self._display.update(Text(self._last))
        else:
            _said(line)

    def watch(self, state: State) -> None:
        """Look at how a study is."""
        now = self._clock()
        if now - self._looked < _EVERY_S:
            return
        self._looked = now
        if self._terminal:
            self._display.update(Text("\n".join(self._lines(state))))
        elif now - self._said >= _SAYS_S:
            self._said = now
            _said(f"{self._head(state.stored)}; {_best(state.stored)}")

    def _head(self, stored: Stored) -> str:
        found = stored.trials()
        counted = sum(each.counts for each in found)
        passed = self._clock() - self._start
        left = f", {max(0, round(self._options.time_s - passed))} s left" if isfinite(self._options.time_s) else ""
        pruned, failed = (sum(each.fate == state for each in found) for state in ("pruned", "failed"))
        ended = f"{pruned} pruned, {failed} failed"
        return f"{counted} of {counted_words(self._options.trials, 'trial')}, {ended}, {round(passed)} s{left}"

    def _lines(self, state: State) -> list[str]:
        now = state.stored.front()
        lines = [self._head(state.stored), *map(_running, state.running), ""]
        for each in now.members[:_MEMBERS]:
            values = "  ".join(worded(state.stored, each.values))
            lines.append(f"  {each.name:<8}{values}{'  *' if each.name == now.knee else ''}")
        if waiting := len(state.stored.awaited()):
            lines.append(f"  {counted_words(waiting, 'network')} with a predicted latency")
        return [shorten(visible(line), 79) for line in lines]


def _said(line: str) -> None:
    say(visible(line))


def _best(stored: Stored) -> str:
    """Return the network that is best in the first objective so far, in words."""
    members = stored.front().members
    if not members and (waiting := stored.awaited()):
        first = min(waiting, key=lambda each: each.expected)
        return f"best so far {first.name}, with a predicted latency: {labelled(stored, first.expected)}"
    if not members:
        return "no network yet"
    words = labelled(stored, members[0].values)
    return f"best so far {members[0].name}: {words}; {counted_words(len(members), 'network')} on the front"


def _running(each: Running) -> str:
    loss = "" if each.loss is None else f", loss {each.loss:.3g}"
    where = f"epoch {each.epoch}{loss}, {round(each.seconds)} s"
    return f"  trial {each.asked.trial.number}: {each.model.family}, {where} ({each.asked.origin})"
