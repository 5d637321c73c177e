"""A signal at every step of a trial's life: the run ends with its code, and the next one goes on as if nothing was.

Some of the places are tried by `make test`, all of them by `make faults`.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from planted import again, begun, planted

from archcost.study.records.database.addresses import address
from archcost.study.records.stored import find

STEPS = {
    "asked": ("optuna", "Study.ask", "after"),
    "begun": ("archcost.study.records.trials", "begin", "after"),
    "about to start": ("archcost.study.records.trials", "writes", "after"),
    "measured": ("archcost.study.phases.events", "_measured", "after"),
    "reached": ("archcost.study.records.trials", "reach", "after"),
    "weights written": ("archcost.study.phases.events", "_over", "before"),
    "kept": ("archcost.study.records.trials", "_keep", "after"),
    "told": ("archcost.study.records.trials", "_told", "after"),
    "not told yet": ("archcost.study.records.trials", "_told", "before"),
    "forgotten": ("archcost.study.phases.events", "_forget", "after"),
    "confirming": ("archcost.study.records.confirmed", "keep", "after"),
    "by turns": ("archcost.study.phases.confirm", "_turns", "before"),
    "pruning": ("archcost.study.run", "_prune_weights", "before"),
}
NUMBERS = (signal.SIGINT, signal.SIGTERM)
ALWAYS = {
    ("asked", 1, signal.SIGINT),
    ("told", 1, signal.SIGTERM),
    ("forgotten", 2, signal.SIGINT),
    ("confirming", 1, signal.SIGTERM),
}
PLACES = [
    (step, nth, number)
    for step in STEPS
    for nth in range(1, 1 + {"told": 3, "forgotten": 3, "confirming": 1, "by turns": 1, "pruning": 1}.get(step, 2))
    for number in NUMBERS
]


def _places() -> list[object]:
    alone = pytest.mark.skipif("ARCHCOST_FAULTS" not in os.environ, reason="takes long: make faults")
    return [
        pytest.param(*each, id=f"{each[0]}-{each[1]}-{each[2].name}", marks=() if each in ALWAYS else alone)
        for each in PLACES
    ]


@pytest.mark.parametrize(("step", "nth", "number"), _places())
def test_a_signal_anywhere_loses_nothing(tmp_path: Path, step: str, nth: int, number: signal.Signals) -> None:
    """Exit 130 or 143; after the next start nothing runs, totals are exact, and what was told is as it was told."""
    begun(tmp_path)
    ended = planted(tmp_path, STEPS[step], nth, f"os.kill(os.getpid(), {int(number)})")
    assert {signal.SIGINT: 130, signal.SIGTERM: 143}[number] == ended.returncode, ended.stderr
    assert "Traceback" not in ended.stderr
    before = find(address("study.db", tmp_path)).trials()
    told = [each for each in before if each.state == "complete"]
    rest = again(tmp_path)
    assert 0 == rest.returncode, rest.stderr
    after = find(address("study.db", tmp_path)).trials()
    assert told == [each for each in after if each.number in {one.number for one in told}]
    assert not [each for each in after if each.state in ("running", "waiting")]
    assert 3 == sum(each.ended is not None and each.ended.counts for each in after)
    assert {"interrupted"} >= {each.fate for each in after if each.ended and not each.ended.counts}


def test_there_are_as_many_places_as_were_promised() -> None:
    """Every step with both signals."""
    assert 50 == len(PLACES)
    assert ALWAYS < {*PLACES}
