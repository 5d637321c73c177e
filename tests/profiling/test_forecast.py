"""Changes that are measured are those that are predicted to save most time, if the way is calibrated."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from calibrated import calibrated
from commands import run

import archcost
from archcost.latency.measure import Request
from archcost.latency.prediction import predictor
from archcost.profiling.suggest.changes import changed, suggestions
from archcost.profiling.suggest.forecast import forecast, numbered
from archcost.profiling.suggest.one_way import one_way

FAKE = ("--target", "fake", "--threads", "1", "--time", "1s")
TOP = 4
NAME = "resnet-50"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with a calibration of the fake target, in eager mode at batch 1 on one thread."""
    folder = tmp_path_factory.mktemp("cache")
    calibrated(folder)
    return folder


@pytest.fixture
def known(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the way calibrated; so few operators were measured that few networks are inside what was."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(predictor, "_OUTSIDE", 1.0)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing calibrated."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def suggested(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return what `suggest --json` prints."""
    code, out, err = run(capsys, "suggest", *arguments, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def predicted() -> tuple[float, dict[int, float]]:
    """Return seconds of the network and of each of its changes, each predicted alone as `predict` does."""
    each = numbered(suggestions(archcost.load(NAME)))
    options: dict[str, Any] = {"target": "fake", "threads": 1}
    whole = archcost.predict(NAME, **options).median_s
    return whole, {number: archcost.predict(changed(one), **options).median_s for number, one in each.items()}


def test_those_that_are_predicted_to_save_most_are_measured(known: None, capsys: pytest.CaptureFixture[str]) -> None:
    """They are not those that save most MACs, and keep the numbers that go by MACs."""
    whole_s, each_s = predicted()
    best = sorted(each_s, key=lambda number: each_s[number])[:TOP]
    assert best != sorted(each_s)[:TOP]
    found = suggested(capsys, NAME, *FAKE, "--top", str(TOP))
    assert [row["number"] for row in found["suggestions"]] == best
    assert all(row["latency"] for row in found["suggestions"])
    assert ("predicted_time", "", whole_s) == (
        found["picked_by"], found["not_predicted"], found["prediction"]["median_s"]
    )  # fmt: skip
    for row in found["suggestions"]:
        assert row["prediction"]["median_s"] == each_s[row["number"]]
        assert row["predicted_ratio"] == pytest.approx(each_s[row["number"]] / whole_s)


def test_the_table_says_what_was_predicted(known: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The predicted ratio is beside the measured one, within 80 columns; what is left out is less by prediction."""
    _, out, _ = run(capsys, "suggest", NAME, *FAKE, "--top", str(TOP))
    words = " ".join(out.split())
    assert "original changed ratio predicted" in words
    assert "Picked by predicted time saved; the network itself is predicted at" in words
    assert "which are predicted to save less time; --top" in words
    assert max(map(len, out.splitlines())) <= 80


def test_csv_has_the_predicted_ratio(known: None, capsys: pytest.CaptureFixture[str]) -> None:
    """In the last column."""
    _, out, _ = run(capsys, "suggest", NAME, *FAKE, "--top", "1", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert float(row["predicted_ratio"]) < 1


def test_python_gives_the_same(known: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The same changes in the same order, with what was predicted of each."""
    found = archcost.suggest(NAME, target="fake", threads=1, time=1.0, top=TOP)
    rows = suggested(capsys, NAME, *FAKE, "--top", str(TOP))["suggestions"]
    assert [change.digest for change in found.changes] == [row["digest"] for row in rows]
    assert [each and each.to_dict() for each in found.predictions] == [row["prediction"] for row in rows]


def test_counts_alone_are_in_the_order_of_macs(known: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Without latencies nothing is predicted, whatever is calibrated."""
    found = suggested(capsys, NAME, "--no-latency", "--top", str(TOP))
    assert [1, 2, 3, 4] == [row["number"] for row in found["suggestions"]]
    assert ("macs", None) == (found["picked_by"], found["prediction"])


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--batch", "2"), "nothing is calibrated for fake/eager, batch 2, float32, 1 thread; first: archcost "),
        (("--dtype", "bfloat16"), "bfloat16 is measured, not predicted"),
        (("--cold-cache",), "calibrations are of warm caches"),
    ],
)  # fmt: skip
def test_a_way_that_is_not_calibrated_goes_by_macs(
    known: None, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], why: str
) -> None:
    """The output says so, with what to do."""
    found = suggested(capsys, "resnet-20", *FAKE, *options, "--top", "2")
    assert {1, 2} == {row["number"] for row in found["suggestions"]}
    assert "macs" == found["picked_by"]
    assert why in found["not_predicted"]
    assert {None} == {row["prediction"] for row in found["suggestions"]}


def test_the_table_says_that_nothing_is_calibrated(bare: None, capsys: pytest.CaptureFixture[str]) -> None:
    """MACs choose, and what is left out saves fewer of them."""
    _, out, _ = run(capsys, "suggest", NAME, *FAKE, "--top", "1")
    words = " ".join(out.split())
    assert "Picked by the MACs that they save, not by predicted time: nothing is calibrated for fake/eager" in words
    assert "more, which save fewer MACs; --top" in words


def test_a_network_that_is_not_of_what_was_measured_goes_by_macs(known: None) -> None:
    """A recurrent network of lookups is of kinds that this calibration does not have."""
    model, one = archcost.load("hornn-3"), one_way(Request(("fake",), ("eager",), threads=(1,)))
    assert one.place is not None
    found = forecast(model, numbered(suggestions(model)), one.place, one.runtime, one.plan)
    assert found.why.startswith("the network is not made of what was calibrated: ")
    assert "of kinds that were not measured: " in found.why
    assert (0.0, None) == (found.saved_s(1), found.ratio(1))
