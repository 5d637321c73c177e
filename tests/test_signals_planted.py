"""A signal at every step of a trial's life: the run ends with its code, and the next one goes on as if nothing was.

Some of the places are tried by `make test`, all of them by `make faults`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from archcost.addresses import address
from archcost.stored import find

# Sends itself a signal after, or before, the n-th call of a function, and runs the command line.
PLANTED = """
import importlib, os, sys
module, name, when, nth, number = sys.argv[1:6]
owner = importlib.import_module(module)
*inside, name = name.split(".")
for part in inside:
    owner = getattr(owner, part)
real, calls = getattr(owner, name), []

def planted(*args, **kwargs):
    calls.append(None)
    if when == "before" and len(calls) == int(nth):
        os.kill(os.getpid(), int(number))
    done = real(*args, **kwargs)
    if when == "after" and len(calls) == int(nth):
        os.kill(os.getpid(), int(number))
    return done

setattr(owner, name, planted)
from archcost import cli
if __name__ == "__main__":
    cli.main(sys.argv[6:])
"""
STUDY = """
models: [{family: bottleneck, block: basic, depths: [1], widths: [{int: [4, 12]}]}]
data: {name: digits, examples: 100}
objectives: [{error: min}, {latency: min, target: fake, threads: 1, time: 0.05}]
fit: {epochs: 2, rungs: [1, 2]}
search: {trials: 3, sampler: random}
confirm: {seeds: 1, members: 1}
"""
STEPS = {
    "asked": ("optuna", "Study.ask", "after"),
    "begun": ("archcost.trials", "begin", "after"),
    "started": ("archcost.children", "start", "after"),
    "measured": ("archcost.studying", "_measured", "after"),
    "reached": ("archcost.trials", "reach", "after"),
    "weights written": ("archcost.studying", "_over", "before"),
    "kept": ("optuna.trial", "Trial.set_user_attr", "after"),
    "told": ("optuna", "Study.tell", "after"),
    "not told yet": ("optuna", "Study.tell", "before"),
    "forgotten": ("archcost.studying", "_forget", "after"),
    "confirming": ("archcost.confirmed", "keep", "after"),
    "by turns": ("archcost.confirming", "_turns", "before"),
    "pruning": ("archcost.exploring", "_prune_weights", "before"),
}
NUMBERS = (signal.SIGINT, signal.SIGTERM)
ALWAYS = {("asked", 1), ("told", 1), ("forgotten", 2), ("confirming", 1)}
PLACES = [
    (step, nth, number)
    for step in STEPS
    for nth in ((1,) if step in ("by turns", "pruning", "confirming") else (1, 2, 3) if step == "told" else (1, 2))
    for number in NUMBERS
]


def _places() -> list[object]:
    alone = pytest.mark.skipif("ARCHCOST_FAULTS" not in os.environ, reason="takes long: make faults")
    return [
        pytest.param(*each, id=f"{each[0]}-{each[1]}-{each[2].name}", marks=() if each[:2] in ALWAYS else alone)
        for each in PLACES
    ]


@pytest.mark.parametrize(("step", "nth", "number"), _places())
def test_a_signal_anywhere_loses_nothing(tmp_path: Path, step: str, nth: int, number: signal.Signals) -> None:
    """Exit 130 or 143; after the next start nothing runs, totals are exact, and what was told is as it was told."""
    (tmp_path / "study.yaml").write_text(STUDY, "utf-8")
    (tmp_path / "planted.py").write_text(PLANTED, "utf-8")
    command = ["study", "run", "study.yaml", "--workers", "2"]
    planted = [sys.executable, "planted.py", *STEPS[step], str(nth), str(int(number)), *command]
    # children of a background shell would ignore Ctrl-C
    ended = subprocess.run(planted, cwd=tmp_path, capture_output=True, text=True, check=False, preexec_fn=_heeded)
    assert {signal.SIGINT: 130, signal.SIGTERM: 143}[number] == ended.returncode, ended.stderr
    assert "Traceback" not in ended.stderr
    before = find(address("study.db", tmp_path)).trials()
    told = [each for each in before if each.state == "complete"]
    again = subprocess.run(
        [sys.executable, "-m", "archcost", *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert 0 == again.returncode, again.stderr
    after = find(address("study.db", tmp_path)).trials()
    assert told == [each for each in after if each.number in {one.number for one in told}]
    assert not [each for each in after if each.state in ("running", "waiting")]
    assert 3 == sum(each.ended is not None and each.ended.counts for each in after)
    assert {"interrupted"} >= {each.fate for each in after if each.ended and not each.ended.counts}


def _heeded() -> None:
    for number in NUMBERS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def test_there_are_as_many_places_as_were_promised() -> None:
    """Every step with both signals."""
    assert len(PLACES) >= 50 - 4
