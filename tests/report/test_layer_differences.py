"""Differences of layer times in a report: in JSON and back, drawn, as tables that add up, and from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from commands import SMALL, run
from planted_times import beside

from archcost.errors import InputError
from archcost.report import comparison
from archcost.report.blocks import Bars, Chart, Document, Lines, Section, Table
from archcost.report.json_input import Compared, typed


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """Return the JSON of a network beside itself, slowed down in its second stage, and beside a deeper one."""
    whole: dict[str, Any] = json.loads(json.dumps(beside().to_dict()))
    return whole


@pytest.fixture(scope="module")
def report(told: dict[str, Any]) -> Document:
    """Return its report."""
    return comparison.report(read(told), told, "archcost report")


def read(told: dict[str, Any]) -> Compared:
    """Return a comparison's JSON, typed."""
    found = typed(told)
    assert isinstance(found, Compared)
    return found


def section(report: Document, key: str) -> Section:
    """Return the section of that key."""
    return next(one for one in report.sections if one.key == key)


def tables(report: Document, key: str) -> dict[str, Table]:
    """Return a section's tables."""
    return {block.key: block for block in section(report, key).blocks if isinstance(block, Table)}


def test_json_is_read_as_it_was_written(told: dict[str, Any]) -> None:
    """Every difference, its interval and what is named."""
    for row, pair in zip(told["comparisons"], read(told).comparisons, strict=True):
        assert row["layer_times"] == [each.to_dict() for each in pair.layer_times or ()]


@pytest.mark.parametrize("row", [1, {}, {"whole": 3}, {"whole": {}, "layers": 1}])
def test_what_holds_no_differences_is_refused(told: dict[str, Any], row: object) -> None:
    """One message, which says where it is."""
    first, *others = told["comparisons"]
    with pytest.raises(InputError, match=r"comparisons\.0\.layer_times\.0"):
        typed({**told, "comparisons": [{**first, "layer_times": [row]}, *others]})


def test_there_is_a_section_for_each_pair(report: Document) -> None:
    """Its title names both networks and the way."""
    titles = [one.title for one in report.sections if one.key.startswith("layer-times-")]
    way = "cpu/eager, batch 1, float32, 1 thread"
    assert [f"Layer times of A and B: {way}", f"Layer times of A and C: {way}"] == titles


def test_tables_add_up(report: Document) -> None:
    """Layers, dispatch and the rest are the whole: for each network and for their difference."""
    for key in ("layer-times-1-1", "layer-times-2-1"):
        for table in tables(report, key).values():
            whole, *parts = table.rows
            for column in (1, 2, 3):
                values = [row.cells[column].value or 0.0 for row in parts]
                assert whole.cells[column].value == pytest.approx(sum(values))


def test_the_slower_stage_is_drawn_and_named(report: Document) -> None:
    """Bars are of the layers that differ alone, and the parts say in which stage they are."""
    found = section(report, "layer-times-1-1")
    (chart,) = (block for block in found.blocks if isinstance(block, Chart))
    assert isinstance(chart.drawn, Bars)
    assert all(label.startswith("stage2.") for label in chart.drawn.labels)
    assert all(value > 0 for value in chart.drawn.bars[0].values)
    lines = next(block for block in found.blocks if isinstance(block, Lines)).lines
    assert re.search(r"layers differ, with (99|100|101)\.\d% of the whole's difference", lines[1])
    _, _, _, largest, *_ = tables(report, "layer-times-1-1")["layer-times-1-1-parts"].rows
    assert "stage2" == largest.cells[0].text


def test_what_is_alike_has_no_chart(told: dict[str, Any]) -> None:
    """Nothing is named where no layer differs."""
    first, *_ = told["comparisons"]
    (times,) = first["layer_times"]
    wide = [{**each, "interval_s": [-1.0, 1.0]} for each in times["layers"]]
    alike = {**told, "comparisons": [{**first, "layer_times": [{**times, "layers": wide}]}]}
    made = section(comparison.report(read(alike), alike, ""), "layer-times-1-1")
    assert not any(isinstance(block, Chart) for block in made.blocks)


def test_without_times_there_is_no_section(told: dict[str, Any]) -> None:
    """As in JSON that was written before there were any."""
    bare = {
        **told,
        "comparisons": [{k: v for k, v in row.items() if k != "layer_times"} for row in told["comparisons"]],
    }
    assert not [one for one in comparison.report(read(bare), bare, "").sections if one.key.startswith("layer-times-")]


def test_the_command_times_layers_of_several(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`report A B --layers` is the page of `compare --layers`."""
    for name, text in (("a", SMALL), ("b", SMALL.replace("[4, 8]", "[4, 8, 8]"))):
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")
    files = [str(tmp_path / f"{name}.yaml") for name in "ab"]
    page = tmp_path / "page.html"
    options = ("--runtime", "eager", "--threads", "1", "--time", "0.1s")
    code, _, err = run(capsys, "report", *files, "--layers", *options, "-o", str(page))
    assert code == 0, err
    assert "Layer times of A and B: cpu/eager" in page.read_text("utf-8")
