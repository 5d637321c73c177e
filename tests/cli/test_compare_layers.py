"""compare --layers: which layers account for a difference, in every format; what cannot be attributed is a note."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from commands import SMALL, run

from archcost.cli.compare import layer_times
from archcost.latency.samples import Way
from archcost.profiling.layers.differences import Difference, LayerDifferences

FAST = ("--threads", "1", "--time", "0.2s", "--runtime", "eager", "--layers")
WAY = Way("cpu", "eager", 1, "float32", 1)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """Return the files of two networks, the second with a block more."""
    for name, text in (("small", SMALL), ("more", SMALL.replace("widths: [4, 8]", "widths: [4, 8, 8]"))):
        (tmp_path / f"{name}.yaml").write_text(text)
    return str(tmp_path / "small.yaml"), str(tmp_path / "more.yaml")


def difference(name: str, first_s: float | None, other_s: float | None, half_s: float) -> Difference:
    """Return a difference with an interval so wide."""
    found = Difference(name, first_s, other_s, (), None)
    return Difference(name, first_s, other_s, (), (found.difference_s - half_s, found.difference_s + half_s))


FOUND = LayerDifferences(
    WAY,
    32,
    difference("whole", 4e-3, 5e-3, 1e-5),
    (difference("a", 1e-3, 1e-3, 1e-5), difference("b", 1e-3, 1.5e-3, 1e-5), difference("c", None, 6e-4, 1e-5)),
    difference("residual", 1e-3, 1e-3, 1e-6),
    difference("unexplained", 1e-3, 9e-4, 3e-4),
)


def test_a_table_adds_up_and_names() -> None:
    """The layers that differ are named, the largest difference first, with their share; all others are one line."""
    head, verdict, _, whole, *lines = layer_times.lines("A", "B", FOUND, "layers")
    assert "layer times  cpu/eager, batch 1, float32, 1 thread, 32 rounds by turns" == head
    assert "2 of 3 layers differ, with 110.0% of the whole's difference" == verdict.strip()
    assert ["whole", "4.00", "ms", "5.00", "ms", "+1.00", "ms"] == whole.split()[:7]
    assert ["c", "b", "1", "residual", "unexplained"] == [line.split()[0] for line in lines]
    assert ["1", "other", "layer", "0", "s", "0.0%"] == lines[2].split()
    assert ["-10.0%", "-400", "us", "to", "+200", "us"] == lines[-1].split()[-6:]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (FOUND, "2 of 3 layers differ, with 110.0% of the whole's difference"),
        (FOUND.at_depth(1), "32 rounds are too few to tell 3 layers apart: a longer --time helps"),
        (LayerDifferences(WAY, 32, FOUND.whole, FOUND.layers[:1], FOUND.residual, FOUND.unexplained),
         "no detectable difference in any of 1 layer"),
        (LayerDifferences(WAY, 32, FOUND.layers[0], FOUND.layers[:2], FOUND.residual, FOUND.unexplained),
         "1 of 2 layers differs, the whole not detectably"),
    ],
)  # fmt: skip
def test_the_verdict_is_said(found: LayerDifferences, words: str) -> None:
    """Some differ, none does, the whole does not, or there are too few rounds for any of it."""
    assert words == layer_times.verdict(found, "layers")


def test_layers_are_timed_beside_each_other(pair: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON adds up for both networks, and has none of it without the option."""
    code, out, _ = run(capsys, "compare", *pair, "--json", *FAST)
    (against,) = json.loads(out)["comparisons"]
    (times,) = against["layer_times"]
    assert (0, "eager") == (code, times["runtime"])
    assert {each["name"] for each in against["only_other"]} == {
        each["name"] for each in times["layers"] if each["first_s"] is None
    }
    for side in ("first_s", "other_s"):
        parts = [each[side] or 0.0 for each in (*times["layers"], times["residual"], times["unexplained"])]
        assert pytest.approx(times["whole"][side]) == sum(parts)
    assert "layer_times" not in json.loads(run(capsys, "compare", *pair, "--json", *FAST[:-1])[1])["comparisons"][0]


def test_other_formats_have_them(pair: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """The table keeps to 80 columns, Markdown has the same lines, CSV every layer, groups with --depth."""
    out = run(capsys, "compare", *pair, *FAST, "--depth", "1")[1]
    assert max(map(len, out.splitlines())) <= 80
    assert "layer times  cpu/eager, batch 1, float32, 1 thread, " in out
    assert "| layer times, cpu/eager, batch 1" in run(capsys, "compare", *pair, *FAST, "--format", "markdown")[1]
    rows = list(csv.DictReader(io.StringIO(run(capsys, "compare", *pair, *FAST, "--format", "csv")[1])))
    assert {"whole_s", "residual_s", "unexplained_s", "time_s", "macs", "median_s"} <= {row["quantity"] for row in rows}
    layers = [row for row in rows if row["quantity"] == "macs" and row["layer"]]
    assert len(layers) - 1 == sum(row["quantity"] == "time_s" for row in rows)  # the input has no time


def test_what_cannot_be_attributed_is_a_note(pair: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """The counts are as without times, the exit code is 0, and it is said once."""
    code, out, err = run(capsys, "compare", *pair, *FAST, "--target", "fake")
    assert (0, "", 1) == (code, err, " ".join(out.split()).count("not attributed yet: layers on the target fake"))
    assert "only in B" in " ".join(out.split())
    code, out, _ = run(capsys, "compare", *pair, "--layers", "--no-latency", "--json")
    assert (0, False) == (code, "layer_times" in json.loads(out)["comparisons"][0])
