"""archcost suggest of code: operators far below their roof, in every format; what cannot be timed is exit code 3."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from commands import run

CODE = "from torch import nn\n\n\ndef net():\n    return nn.Sequential(nn.Conv2d(16, 16, 3, groups=16), nn.ReLU())\n"
FAST = ("slow_parts:net", "--input", "16,12,12", "--threads", "1", "--time", "0.1s")


@pytest.fixture(autouse=True)
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a network whose only convolution is depthwise, in the folder that is looked in."""
    (tmp_path / "slow_parts.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)


def test_operators_of_code_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    """The depthwise convolution is far below its roof, with its evidence, in the table, JSON, CSV and Markdown."""
    code, out, _ = run(capsys, "suggest", *FAST, "--json")
    told = json.loads(out)
    assert (0, "module", 1296 * 100 // 9) == (code, told["model"]["family"], told["macs"])
    (found,) = [each for each in told["findings"] if each["kind"] == "depthwise"]
    assert ["0"] == [layer["name"] for layer in found["layers"]]
    assert 0 < found["above_roof_s"] <= found["time_s"] == found["layers"][0]["time_s"]
    _, out, _ = run(capsys, "suggest", *FAST)
    assert "layer: depthwise convolutions" in out
    assert max(map(len, out.splitlines())) <= 80
    _, out, _ = run(capsys, "suggest", *FAST, "--format", "csv")
    assert {("depthwise", "0")} <= {(row["kind"], row["layer"]) for row in csv.DictReader(io.StringIO(out))}
    assert "| depthwise |" in run(capsys, "suggest", *FAST, "--format", "markdown")[1]


def test_what_cannot_be_timed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A target whose layers cannot be told apart is exit code 3, with the reason; two ways are a mistake."""
    code, out, err = run(capsys, "suggest", *FAST, "--target", "fake")
    assert (3, "", True) == (code, out, "not attributed yet: layers on the target fake" in err)
    code, out, err = run(capsys, "suggest", *FAST, "--batch", "1", "--batch", "2")
    assert (2, "", True) == (code, out, "allowed: one target, runtime, batch" in err)
