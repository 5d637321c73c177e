"""Times of layers in a report: in JSON and back, boxes and colours by time, tables that add up, a roofline."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from planted_times import kept, layered

from archcost.errors import InputError
from archcost.graph.drawing.heat import Heat
from archcost.graph.drawing.svg import draw
from archcost.models.load import read as load
from archcost.profiling.result import Profile
from archcost.report import profile
from archcost.report.blocks import Chart, Document, Drawing, Facts, Icicle, Lines, Scatter, Section, Switch, Table
from archcost.report.json_input import Profiled, typed


@pytest.fixture(scope="module")
def found() -> Profile:
    """Return a fractal network's profile with times of its layers in two ways."""
    return layered("fractalnet-ultra-2")


@pytest.fixture(scope="module")
def told(found: Profile) -> dict[str, Any]:
    """Return its JSON, as it is read from a file."""
    whole: dict[str, Any] = json.loads(json.dumps(found.to_dict()))
    return whole


@pytest.fixture(scope="module")
def report(told: dict[str, Any]) -> Document:
    """Return its report."""
    return reported(told)


def reported(told: dict[str, Any], **changed: object) -> Document:
    """Return the report of JSON with some keys changed."""
    whole = {**told, **changed}
    read = typed(whole)
    assert isinstance(read, Profiled)
    return profile.report(read, whole, "archcost report")


def blocks(document: Document, kind: type) -> list[Any]:
    """Return the blocks of one kind."""
    return [block for section in document.sections for block in section.blocks if isinstance(block, kind)]


def section(document: Document, key: str) -> Section:
    """Return the section of that key."""
    return next(one for one in document.sections if one.key == key)


def test_json_holds_all_of_it(found: Profile, told: dict[str, Any]) -> None:
    """Times and peaks that were written are read again as they were."""
    read = typed(told)
    assert isinstance(read, Profiled)
    assert [each.to_dict() for each in found.layer_times or ()] == [each.to_dict() for each in read.layer_times or ()]
    assert [("cpu", kept().peaks)] == read.rooflines


@pytest.mark.parametrize(
    "row", [1, {}, {"end_to_end_s": 0}, {"end_to_end_s": 1.0, "layers": [{}]}, {"end_to_end_s": "x", "layers": 3}]
)
def test_what_holds_no_times_is_refused(told: dict[str, Any], row: object) -> None:
    """A row of another form is one message that says where it is."""
    with pytest.raises(InputError, match=r"layer_times\.0"):
        typed({**told, "layer_times": [row]})
    with pytest.raises(InputError, match=r"rooflines\.0"):
        typed({**told, "rooflines": [row]})


def test_boxes_are_as_large_as_the_time_in_them(report: Document, found: Profile) -> None:
    """The first view has the MACs, each further one a way: layers and dispatch, and what is unexplained above zero."""
    charts = [one for one in blocks(report, Chart) if one.view is not None]
    assert [0, 1, 2] == [one.view for one in charts]
    assert found.macs == charts[0].drawn.leaves[0].value
    for chart, times in zip(charts[1:], found.layer_times or (), strict=True):
        assert isinstance(chart.drawn, Icicle)
        top = {leaf.label: leaf.value for leaf in chart.drawn.leaves if leaf.parent == 0}
        layers_s = sum(max(0.0, layer.time_s) for layer in times.layers)
        assert times.residual_s == top["(dispatch)"]
        assert max(0.0, times.unexplained_s) == top.get("(unexplained)", 0.0)
        assert chart.drawn.leaves[0].value == pytest.approx(layers_s + sum(top[key] for key in top if key[0] == "("))


def test_all_switches_have_the_views_of_the_charts(report: Document) -> None:
    """MACs and each way, above the boxes and above the drawing, which says in each view what it shows."""
    switches, drawing = blocks(report, Switch), blocks(report, Drawing)[0]
    assert {("MACs", "time, cpu/eager", "time, cpu/onnxruntime")} == {one.options for one in switches}
    assert (2, 2) == (len(switches), len({one.key for one in switches}))
    assert 3 == len(drawing.views)


def test_what_is_unexplained_has_its_sign_and_is_not_hidden(report: Document) -> None:
    """Below zero it has no box: the chart says so in words, the section in its first lines."""
    first, second = (section(report, key).blocks[0] for key in ("layers-of-1", "layers-of-2"))
    assert isinstance(first, Facts)
    assert isinstance(second, Facts)
    assert dict(first.pairs)["Unexplained"].startswith("+")
    assert dict(second.pairs)["Unexplained"].startswith("-")
    chart = next(one for one in blocks(report, Chart) if one.view == 2)
    assert "are unexplained, which no box can show" in chart.summary
    assert "1 layer took no time" in chart.summary


def test_tables_add_up(report: Document, found: Profile) -> None:
    """By operator, group and column all layers are in the sums; every layer has a row with its key."""
    tables = {one.key: one for one in blocks(report, Table)}
    for place, times in enumerate(found.layer_times or (), 1):
        for by in ("operator", "group", "column"):
            rows = tables[f"by-{by}-{place}"].rows
            assert times.parts_s == pytest.approx(sum(row.cells[2].value or 0 for row in rows))
            assert len(times.layers) == sum(row.cells[1].value or 0 for row in rows)
        assert [layer.name for layer in times.layers] == [row.key for row in tables[f"times-{place}"].rows]
        assert 10 == len(tables[f"slowest-{place}"].rows)
        assert {"block1", "block1.column1"} <= {row.cells[0].text for row in tables[f"paths-{place}"].rows}
    assert ("joined" in [head.name for head in tables["times-2"].heads]) > (
        "joined" in [head.name for head in tables["times-1"].heads]
    )


def test_every_layer_has_its_place_below_the_roofs(report: Document, found: Profile) -> None:
    """Log-log, from the JSON's own peaks; a layer without MACs too; one that took no time is counted as left out."""
    charts = [one for one in blocks(report, Chart) if one.key.startswith("roofline-")]
    for chart, times in zip(charts, found.layer_times or (), strict=True):
        assert isinstance(chart.drawn, Scatter)
        assert (True, True) == (chart.drawn.x.log, chart.drawn.y.log)
        keys = {key for one in chart.drawn.series if one.mark for key in one.keys}
        assert {layer.name for layer in times.layers if layer.time_s > 0} == keys
        assert {"L2", "memory"} == {one.name for one in chart.drawn.series if one.line}
    assert [0, 1] == [one.left_out for one in charts]
    assert ["no MACs"] * 2 == [rule.label for one in charts for rule in one.drawn.rules]


def test_ways_that_were_not_attributed_are_named(report: Document, told: dict[str, Any]) -> None:
    """What was measured and has no layers has a section; where no one asked for layers nothing is different."""
    lines = section(report, "not-attributed").blocks[1]
    assert isinstance(lines, Lines)
    assert ["fake/eager, batch 1, float32, 1 thread"] == [line for line in lines.lines if "eager" in line]
    plain = reported({key: value for key, value in told.items() if key not in ("layer_times", "rooflines")})
    assert ([], []) == (blocks(plain, Switch), [one for one in plain.sections if "layer" in one.title.lower()])
    assert "data-heat" not in blocks(plain, Drawing)[0].svg
    none = reported(told, layer_times=[], rooflines=[])
    assert [one.key for one in none.sections if "ayer" in one.title] == ["not-attributed"]


def test_without_peaks_it_says_so(told: dict[str, Any]) -> None:
    """JSON without peaks of that target and number of threads has tables and no chart of them."""
    other = [{**told["rooflines"][0], "threads": 2}]
    for rooflines in ([], other):
        keys = [one.key for one in blocks(reported(told, rooflines=rooflines), Chart)]
        assert [] == [key for key in keys if key.startswith("roofline")]


def test_boxes_of_the_drawing_are_as_full_as_what_they_have(report: Document, told: dict[str, Any]) -> None:
    """Each box has a level for each view, the fullest 1; what is said of it is escaped."""
    levels = [each.split() for each in re.findall(r'data-heat="([^"]*)"', blocks(report, Drawing)[0].svg)]
    assert {3} == {len(each) for each in levels}
    for view in range(3):
        assert (0.0, 1.0) == (min(float(each[view]) for each in levels), max(float(each[view]) for each in levels))
    graph = load("resnet-20").graph  # type: ignore[union-attr]
    svg = draw(graph, "x", (Heat("<b>", {"stem.conv": -1.0}, lambda value: f"<i>{value}"),))
    assert ("&lt;b&gt;: &lt;i&gt;-1.0" in svg, "<b>" in svg, {"0"}) == (
        True, False, set(re.findall(r'data-heat="([^"]*)"', svg)),
    )  # fmt: skip
