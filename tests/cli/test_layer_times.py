"""profile --layers: a tree that adds up, in every format; what cannot be attributed is said once."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from commands import SMALL, run
from planted_times import layer, times

from archcost.cli.layer_times import layer_lines
from archcost.latency.layers.times import LayerTime
from archcost.latency.roofline.roof import Bound
from archcost.latency.samples import Way
from archcost.profiling.layers.sums import tree
from archcost.profiling.result import Profile

FAST = ("--threads", "1", "--time", "0.2s", "--no-witness", "--runtime", "eager")


@pytest.fixture
def small(tmp_path: Path) -> str:
    """Return a small network's file."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)


def test_layers_add_up(small: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON closes to the last digit, has every node that runs, and none of it without the option."""
    code, out, _ = run(capsys, "profile", small, "--layers", "--json", *FAST)
    told = json.loads(out)
    (times,) = told["layer_times"]
    assert (0, "eager", 1) == (code, times["runtime"], times["threads"])
    assert [layer["name"] for layer in told["layers"]][1:] == [layer["name"] for layer in times["layers"]]
    assert times["unexplained_s"] == times["end_to_end_s"] - times["parts_s"] - times["residual_s"]
    assert times["parts_s"] == pytest.approx(sum(layer["time_s"] for layer in times["layers"]))
    assert "layer_times" not in json.loads(run(capsys, "profile", small, "--json", *FAST)[1])


def test_other_formats_have_them(small: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The table is a tree within 80 columns, Markdown has the same, CSV a row for each layer and the rest."""
    for line in (out := run(capsys, "profile", small, "--layers", "--depth", "3", *FAST)[1]).splitlines():
        assert len(line) <= 80
    assert {"layers", "residual", "unexplained", "attributing"} <= {
        line.strip().split(" ")[0] for line in out.splitlines() if line.strip()
    }
    markdown = run(capsys, "profile", small, "--layers", "--format", "markdown", *FAST)[1]
    assert {"| (unexplained) |", "| by operator, cpu/eager"} == {
        words for words in ("| (unexplained) |", "| by operator, cpu/eager") if words in markdown
    }
    assert {"by operator", "by group"} == {words for words in ("by operator", "by group") if f"\n  {words} " in out}
    rows = list(csv.DictReader(io.StringIO(run(capsys, "profile", small, "--layers", "--format", "csv", *FAST)[1])))
    *layers, residual, unexplained, whole = rows
    assert ["residual", "unexplained", "end to end"] == [row["op"] for row in (residual, unexplained, whole)]
    spans = [float(row["time_s"]) for row in (*layers, residual, unexplained)]
    assert float(whole["time_s"]) == pytest.approx(sum(spans))


def test_a_page_of_the_json_is_that_of_the_network(
    small: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`report --layers` measures them and writes sections, switch and roofline; of printed JSON it writes the same."""
    made, saved = tmp_path / "made.html", tmp_path / "saved.json"
    asked = [option for option in FAST if option != "--no-witness"]
    assert 0 == run(capsys, "report", small, "--layers", *asked, "-o", str(made))[0]
    saved.write_text(run(capsys, "profile", small, "--layers", "--json", *FAST)[1])
    assert 0 == run(capsys, "report", str(saved), "-o", str(tmp_path / "again.html"))[0]
    for page in (made, tmp_path / "again.html"):
        text = page.read_text("utf-8")
        for words in ("Layer times: cpu/eager", 'id="switch-graph"', "<h3>Roofline</h3>", "Unexplained", "data-heat="):
            assert words in text


@pytest.mark.parametrize("target", ["fake"])
def test_a_target_that_cannot_is_refused(small: str, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked for and cannot be attributed is exit code 3, beside the latency; what was not is a note."""
    code, out, err = run(capsys, "profile", small, "--layers", "--target", target, "--json", *FAST)
    assert (3, []) == (code, json.loads(out)["layer_times"])
    assert "not attributed yet: layers on the target fake" in err
    assert 1 == len(json.loads(out)["latencies"])


def test_without_latencies_there_are_none(small: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Layers are timed beside the whole, so that both options together are a mistake."""
    code, out, err = run(capsys, "profile", small, "--layers", "--no-latency")
    assert (2, "") == (code, out)
    assert "layers: given without latencies" in err


def test_a_tree_is_above_its_layers() -> None:
    """Each name is behind what it has in common with others; a layer that is also above others has its own line."""
    layers = [LayerTime(name, "", "", name, 1.0, None) for name in ("a.b", "a.c.d", "e", "e.f", "a.c.g")]
    shown = [(each.name, each.time_s) for each in tree(layers, 2)]
    assert [("a", 3.0), ("a.b", 1.0), ("a.c", 2.0), ("e", 2.0), ("e.f", 1.0)] == shown
    assert ["a", "e"] == [each.name for each in tree(layers, 1)]


@pytest.mark.parametrize(
    ("roof_share", "bound", "words"),
    [(0.5, "memory", "memory"), (0.05, "compute", "slow kernel"), (0.05, "overhead", "overhead")],
)
def test_far_below_the_roof_a_kernel_is_slow(roof_share: float, bound: Bound, words: str) -> None:
    known = replace(layer("conv"), roof_share=roof_share, bound=bound)
    found = SimpleNamespace(layer_times=(times([known], Way("cpu", "eager", 1, "float32", 1)),), layers=())
    lines = [line for line in layer_lines(cast("Profile", found), None, colour=False) if line.startswith("  conv")]
    assert lines[-1].endswith(f"%  {words}")
