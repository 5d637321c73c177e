"""The live view of a study where standard error is no terminal: a line at most every ten seconds."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest
from stored_studies import Wanted, made

from archcost.cli.study.live import Live
from archcost.study.options import Options
from archcost.study.phases.search_loop import State
from archcost.study.records.database.addresses import Address
from archcost.study.records.stored import worded

ADDRESS = Address(Path("study.db"))


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        """Return the seconds that it shows."""
        return self.now


def lines(capsys: pytest.CaptureFixture[str], wanted: Wanted, seconds: list[float], limit_s: float = inf) -> list[str]:
    """Return what is said of a study that is looked at after so many seconds, but for its first line."""
    clock, stored = Clock(), made(wanted=wanted)
    with Live("mine", ADDRESS, Options(90, limit_s, 2, 1, 60.0), clock) as live:
        for passed in seconds:
            clock.now = 100.0 + passed
            live.watch(State((), stored))
    said = capsys.readouterr().err
    first, *others = said.splitlines()  # a line each, however long: a log is searched
    assert f"mine: {ADDRESS}" == first
    return others


def test_a_line_comes_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """Not more often, however often the study is looked at."""
    found = lines(capsys, Wanted(trials=20), [0.5 * tick for tick in range(70)], 60.0)
    assert ["10 s, 50 s left", "20 s, 40 s left", "30 s, 30 s left"] == [
        line.split("failed, ")[1].split(";")[0] for line in found
    ]


def test_a_line_has_the_best_network_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    """The best in the first objective, with all its values, and how large the front is."""
    front = made(wanted=Wanted(trials=20)).front()
    error, latency = worded(made(wanted=Wanted(trials=20)), front.members[0].values)
    (line,) = lines(capsys, Wanted(trials=20), [10.0])
    counted = sum(each.counts for each in made(wanted=Wanted(trials=20)).trials())
    assert line.startswith(f"{counted} of 90 trials, ")
    assert line.endswith(
        f"; best so far {front.members[0].name}: error {error}, latency {latency}; "
        f"{len(front.members)} networks on the front"
    )


def test_a_line_says_if_there_is_none_yet(capsys: pytest.CaptureFixture[str]) -> None:
    """No trial has ended."""
    assert ["0 of 90 trials, 0 pruned, 0 failed, 12 s; no network yet"] == lines(
        capsys, Wanted(trials=3, only="running"), [12.0]
    )


def test_a_line_acts_on_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Labels that somebody else wrote are shown with escapes."""
    stored = made(wanted=Wanted(trials=20))
    object.__setattr__(stored, "labels", ("err\x1b[2J", "latency"))
    clock = Clock()
    with Live("mine", ADDRESS, Options(90, inf, 2, 1, 60.0), clock) as live:
        clock.now += 10
        live.watch(State((), stored))
    assert r"err\x1b[2J" in capsys.readouterr().err
