"""How long a study would take, from the parts of one trial."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archcost import foreseeing
from archcost.jobs import Setup
from archcost.measured import Plan
from archcost.studyspec import Confirm


def test_every_training_needs_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 trials by two workers, 3 s to start and 1 s to train, 2 s of measuring one by one; 2 members with 3 seeds."""
    monkeypatch.setattr(foreseeing, "_prepare", lambda _: None)
    monkeypatch.setattr(foreseeing, "_training_s", lambda *_: (3.0, 1.0))
    setting = SimpleNamespace(
        ways=[Setup("fake", "eager", Plan(time_s=2.0))],
        columns=lambda _: (),
        confirm=Confirm(seeds=3, members=2),
        method=SimpleNamespace(trials=10),
    )
    found = foreseeing.foresee(cast("Any", setting), cast("Any", None), cast("Any", None), 2, time.monotonic())
    assert (10 * (4 / 2 + 2), 2 * (2 * 4 + 2)) == (found.search_s, found.confirm_s)
