"""What a study says of itself in words: the status, and the networks of its front."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import run
from stored_studies import Wanted, made


@pytest.mark.parametrize(("trials", "only"), [(60, ""), (4, "complete"), (4, "running")])
def test_the_status_is_plain_english(capsys: pytest.CaptureFixture[str], tmp_path: Path, trials: int, only: str) -> None:
    """How many networks were tried, and how many of them twice; nothing of what there is none of; 80 columns."""
    stored = made(tmp_path / "study.db", Wanted(trials=trials, only=only))
    code, out, _ = run(capsys, "study", "status", str(stored.address))
    counted = sum(each.counts for each in stored.trials())
    repeats = sum(each.ended is not None and each.ended.repeats is not None for each in stored.trials())
    assert (0, bool(counted), bool(repeats)) == (code, f"  {counted} network" in out, "took its result" in out)
    assert (True, False) == (max(map(len, out.splitlines())) <= 80, "known answer" in out)
