"""compare --layers: which layers account for a difference, in every format; what cannot be attributed is a note."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import SMALL, run

import archcost
from archcost.cli.compare import layer_times
from archcost.latency.samples import Way
from archcost.profiling.compare import Against, Alone, Matched, Quantity
from archcost.profiling.layers.differences import Difference, LayerDifferences, verdict
from archcost.profiling.layers.pools import MOST, pooled
from archcost.profiling.layers.sums import RUNTIMES_OWN
from archcost.units import scaled

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
    assert words == verdict(found, "layers")


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


def test_layers_of_other_names_are_pooled(capsys: pytest.CaptureFixture[str]) -> None:
    """Two architectures fit a screen: by stage and operator, in all what each layer has; other formats have each."""
    asked = ("compare", "resnet-20", "rir-18-wide", "--layers", "--no-latency")
    _, out, _ = run(capsys, *asked)
    assert len(out.splitlines()) <= 40
    assert max(map(len, out.splitlines())) <= 80
    words = " ".join(out.split())
    assert "71 only in A, 171 only in B; those are by stage and operator below, each by itself in" in words
    model = archcost.load("resnet-20")
    macs = sum(row.macs for row in model.cost.rows if row.name.startswith("stage1.") and row.op == "Conv")
    (line,) = (line for line in out.splitlines() if line.startswith("stage1: Conv "))
    assert f"{scaled(macs)}  " in line
    assert "stage1.block1.conv1" not in out
    assert "stage1.block1.conv1" in run(capsys, *asked, "--format", "csv")[1]
    assert "stage1.block1.conv1 macs" in run(capsys, *asked, "--format", "markdown")[1]
    alone = json.loads(run(capsys, *asked, "--json")[1])["comparisons"][0]["only_first"]
    assert {"name": "stem.conv", "params": 432, "macs": 442368, "op": "Conv"} in alone
    assert "stage1.block1.conv1" in run(capsys, *asked, "--depth", "100")[1]


def test_few_layers_of_other_names_are_listed(pair: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each stands by itself, with what it has."""
    _, out, _ = run(capsys, "compare", *pair, "--layers", "--no-latency")
    assert "by stage and operator" not in out
    assert "block3." in out


def against(first: Sequence[str], other: Sequence[str]) -> Against:
    """Return a pair of networks with layers of these names, a MAC and a parameter each, 1 s and 2 s long."""
    both = [name for name in first if name in other]
    only = [tuple(Alone(name, 1, 1, "Conv") for name in side if name not in both) for side in (first, other)]
    same = tuple(Matched(name, Quantity("params", 1, 1), Quantity("macs", 1, 1)) for name in both)
    rounds = tuple(range(32))
    layers = tuple(
        Difference(name, 1.0 if name in first else None, 2.0 if name in other else None, rounds, (0.0, 1.0))
        for name in dict.fromkeys([*first, *other, "reorder"])
    )
    times = LayerDifferences(WAY, 32, FOUND.whole, layers, FOUND.residual, FOUND.unexplained)
    return Against((), same, *only, (), (times,))


def test_times_are_pooled_too() -> None:
    """What both have stays; a pool has the times of its layers, kernels of the runtime's own are one."""
    first = ["head", *(f"a{i % 2}.conv{i}" for i in range(20))]
    other = ["head", *(f"a{i % 2}.other{i}" for i in range(20))]
    found = pooled(against(first, other))
    assert found is not None
    assert found.layer_times is not None
    (times,) = found.layer_times
    sums = {each.name: (each.first_s, each.other_s) for each in times.layers}
    assert sums == {"head": (1, 2), "a0: Conv": (10, 20), "a1: Conv": (10, 20), RUNTIMES_OWN: (None, None)}
    assert [each.name for each in found.layers] == ["head", "a0: Conv", "a1: Conv"]
    assert [each.macs.first for each in found.layers] == [1, 10, 10]


def test_many_stages_are_pooled_by_operator() -> None:
    """Of a module whose layers have numbers for names, a stage is a layer."""
    found = pooled(against([str(i) for i in range(30)], [str(-i) for i in range(1, 30)]))
    assert found is not None
    assert [each.name for each in found.layers] == ["Conv"]


def test_few_are_not_pooled() -> None:
    """24 fit a screen."""
    assert pooled(against([str(i) for i in range(MOST)], [])) is None
