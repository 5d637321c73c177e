"""How long a study would take, from the parts of one trial."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from commands import run
from datasets_small import images
from plans import drawn, planned

from archcost.study.preview import forecast

IMPATIENT = """
models: [{family: bottleneck, block: basic, depths: [1, 1], widths: {scale: [8, 16], by: {choice: [1, 2]}}}]
data: {name: digits, examples: 300}
objectives: [{error: min}]
search: {patience: 100us}
"""


def test_every_training_needs_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 trials by two workers, 3 s to start and 1 s to train, 2 s of measuring one by one; 2 members with 3 seeds."""
    monkeypatch.setattr(forecast, "_prepare", lambda: None)
    monkeypatch.setattr(forecast, "_training_s", lambda *_: (3.0, 1.0))
    plan = planned(search={"trials": 10}, confirm={"seeds": 3, "members": 2})
    found = forecast.foresee(plan, drawn(plan), images(), 2, time.monotonic())
    assert (10 * (4 / 2 + 2), 2 * (2 * 4 + 2)) == (found.search_s, found.confirm_s)


def test_what_is_predicted_is_measured_of_the_front_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same trials, none of which is measured; 2 members are, before they are confirmed."""
    monkeypatch.setattr(forecast, "_prepare", lambda: None)
    monkeypatch.setattr(forecast, "_training_s", lambda *_: (3.0, 1.0))
    latency = {"latency": "min", "target": "fake", "threads": 1, "time": 2.0, "predict": True}
    plan = planned(objectives=[{"error": "min"}, latency], search={"trials": 10}, confirm={"seeds": 3, "members": 2})
    found = forecast.foresee(plan, drawn(plan), images(), 2, time.monotonic())
    assert (10 * 4 / 2, 2 * (2 * 4 + 2) + 2 * 2) == (found.search_s, found.confirm_s)


def test_a_dry_run_has_patience_of_its_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What it tries is silent to its end, for longer than a study's trials may be."""
    file = tmp_path / "study.yaml"
    file.write_text(IMPATIENT, "utf-8")
    code, out, _ = run(capsys, "study", "run", str(file), "--dry-run")
    assert (0, True) == (code, "time         about" in out)
