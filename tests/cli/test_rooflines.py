"""archcost targets --measure: peaks are measured, shown, kept under what they are of, and never guessed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from commands import refused, run
from planted_peaks import GIGA, Planted, peaks

from archcost.cli.device.rooflines import roofline
from archcost.latency import targets
from archcost.latency.roofline.peaks import measure
from archcost.latency.targets import Target


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache of its own, and a processor whose peaks are planted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    real = targets.find

    def planted(threads: int) -> object:
        machine = Planted(threads=threads)
        return measure(machine.bench(), machine.clock, rounds=4)

    def found(name: str) -> Target:
        target = real(name)
        return replace(target, peaks=planted) if target.peaks else target  # type: ignore[arg-type]

    monkeypatch.setattr(targets, "find", found)
    return tmp_path / "archcost" / "roofline"


def test_what_was_not_measured_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --measure nothing is, and the list says how to."""
    code, out, _ = run(capsys, "targets")
    assert (0, True) == (code, "not measured yet" in " ".join(out.split()))
    (first, *_) = json.loads(run(capsys, "targets", "--json")[1])["targets"]
    assert first["roofline"] is None


def test_peaks_are_measured_shown_and_kept(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    """The JSON has every peak with its interval and kernel; the next list has the same, with its age."""
    (row,) = json.loads(run(capsys, "targets", "--measure", "--threads", "1", "--json")[1])["targets"]
    found = row["roofline"]
    assert {"float32", "bfloat16", "int8"} == {*found["flops_per_s"]}
    assert found["flops_per_s"]["bfloat16"] is None
    float32 = found["flops_per_s"]["float32"]
    assert {"value", "low", "high", "by", "repeats"} == {*float32}
    assert (pytest.approx(100 * GIGA), True, "good float32") == (float32["value"], float32["repeats"], float32["by"])
    assert ["L1", "L2", "L3", "memory"] == [*found["bytes_per_s"]]
    assert ["L1", "L2", "L3"] == [*found["holds_bytes"]]
    assert (1, pytest.approx(1e-6)) == (found["threads"], found["call_s"]["value"])
    assert 1 == len(list(place.iterdir()))
    rows = json.loads(run(capsys, "targets", "--threads", "1", "--json")[1])["targets"]
    again = {each["target"]: each["roofline"] for each in rows}
    assert {**found, "age_s": None} == {**again["cpu"], "age_s": None}
    assert again["cpu"]["age_s"] >= 0
    assert again["cuda"] is None


def test_the_table_says_them_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Rates have units, levels the bytes they hold; what could not be measured is said."""
    out = run(capsys, "targets", "--measure", "--threads", "1")[1]
    words = " ".join(out.split())
    assert 80 >= max(map(len, out.splitlines()))
    for text in ("1 thread, measured 0 minutes ago", "float32 100 GFLOP/s", "bfloat16 not known", "memory 15.0 GB/s"):
        assert text in words


def test_a_damaged_file_is_said(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    """A list names it, and shows no number of it; measuring puts a good one in its place, and says so."""
    run(capsys, "targets", "--measure", "--threads", "1")
    (file,) = place.iterdir()
    file.write_text(file.read_text("utf-8")[:-40], "utf-8")
    words = " ".join(run(capsys, "targets", "--threads", "1")[1].split())
    assert ("cannot be used: damaged" in words, "GFLOP/s" in words) == (True, False)
    code, out, err = run(capsys, "targets", "--measure", "--threads", "1")
    assert (0, True, True) == (code, "GFLOP/s" in out, "measured again" in err)


def test_peaks_that_cannot_be_kept_are_shown(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    """The numbers are there, and standard error says that they are not kept."""
    place.parent.mkdir()
    place.write_text("", "utf-8")
    code, out, err = run(capsys, "targets", "--measure", "--threads", "1")
    assert (0, True, True) == (code, "GFLOP/s" in out, "not kept" in err)


@pytest.mark.parametrize("name", ["cuda", "mps", "ssh://nowhere.invalid", "fake"])
def test_what_is_not_measured_yet_is_one_message(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A GPU and another machine end with exit code 3, before anybody asks them."""
    code, out, err = run(capsys, "targets", "--measure", "--target", name)
    assert (3, "", 1) == (code, out, len(err.splitlines()))
    assert "on processors of this machine" in err


@pytest.mark.parametrize("arguments", [("--threads", "100000"), ("--threads", "0"), ("--target", "cpux")])
def test_mistakes_are_one_message(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    """Threads that the target has not and a target that nobody knows are refused."""
    assert refused(capsys, "targets", "--measure", *arguments)


def test_what_does_not_repeat_is_in_brackets() -> None:
    """An interval of more than 3% is shown beside its value, and what the brackets mean."""
    quiet, moving = peaks(), peaks()
    moving = replace(moving, call_s=replace(moving.call_s, high=2 * moving.call_s.high))
    shown = []
    for given in (quiet, moving):
        target = replace(targets.find("cpu"), peaks=lambda threads, given=given: replace(given, threads=threads))  # type: ignore[misc]
        shown.append(" ".join(roofline(target, 1, measure=True).lines()))
    assert "(" not in shown[0]
    assert "1.00 us (1.00 us to 2.00 us)" in shown[1]
    assert "did not repeat" in shown[1]
    assert "L1 not told apart, L2 50.0 GB/s up to 1.05 MB" in shown[0]
