"""The roofline drawn: roofs are where the peaks say, layers below them, names are texts."""

from __future__ import annotations

import math

import pytest
from planted_peaks import peaks

from archcost.latency.roofline.roof import Run, standing
from archcost.report.blocks import Scatter, Series
from archcost.report.figures import figure
from archcost.report.roofline import Point, roofline_chart


def point(name: str, macs: int, moved: int, time_s: float) -> Point:
    """Return a layer as the roof's value places it."""
    found = standing(Run(macs, moved, "float32", time_s), peaks())
    assert found is not None
    return Point(name, found.intensity, found.flops_per_s, found.roof_share, found.bound)


LAYERS = (
    point("conv1", 10**9, 4 << 20, 0.05),
    point("conv2", 10**9, 4 << 20, 0.2),
    point("fc", 4 << 20, 16 << 20, 0.01),
    point("relu", 0, 8 << 20, 0.01),
    point("head", 1000, 4000, 1.5e-6),
)


def series(*points: Point, dtype: str = "float32") -> dict[str, Series]:
    """Return what is drawn of layers, by name."""
    drawn = roofline_chart(points, peaks(), dtype).drawn
    assert isinstance(drawn, Scatter)
    assert (True, True) == (drawn.x.log, drawn.y.log)
    return {one.name: one for one in drawn.series}


def test_a_roof_rises_to_the_ridge_and_is_level_from_there() -> None:
    """The slope is a level's bytes/s, its knee the ridge point, its end the peak; unknown levels have none."""
    found = series(*LAYERS)
    assert {"L2", "memory"} == {name for name, one in found.items() if one.line}
    for name, rate in (("memory", 1e10), ("L2", 5e10)):
        (first, knee, last), up = found[name].x, found[name].y
        assert (pytest.approx(1e11 / rate), True) == (knee, first < 0.5 < 1e11 / rate < last)  # type: ignore[operator]
        assert [pytest.approx(first * rate), 1e11, 1e11] == [*up]  # type: ignore[operator]


def test_each_layer_is_a_mark_of_what_binds_it() -> None:
    """Every layer with MACs has one, at its intensity and its FLOP/s, below the roofs, with its row's key."""
    found = series(*LAYERS)
    names = {name: one.keys for name, one in found.items() if not one.line}
    assert {"bound by compute": ("conv1", "conv2"), "bound by memory": ("fc",), "bound by overhead": ("head",)} == names
    assert (LAYERS[2].intensity, LAYERS[2].flops_per_s) == (*found["bound by memory"].x, *found["bound by memory"].y)
    assert 3 == len({one.mark for one in found.values() if not one.line})


def test_a_layer_without_macs_is_at_the_edge() -> None:
    """It is as far below the slopes as its bytes a second are below theirs; one above its roof is said to be."""
    (point,) = (one._replace(bytes_per_s=2e9, roof_share=0.2) for one in LAYERS if one.name == "relu")
    found = series(*LAYERS[:2], point)
    at = found["bound by memory"].x[0]
    assert found["memory"].x[0] < at < 2  # type: ignore[operator]
    assert pytest.approx(0.2 * 1e10) == found["bound by memory"].y[0] / at  # type: ignore[operator]
    assert ("no MACs" in found["bound by memory"].texts[0], found["bound by memory"].keys) == (True, ("relu",))
    chart = roofline_chart([point._replace(roof_share=1.5)], peaks(), "float32")
    assert "Above their roof is 1 layer" in chart.summary
    assert "Above" not in roofline_chart([point], peaks(), "float32").summary


def test_a_layer_without_a_roof_is_drawn() -> None:
    """In 8 bits the type a product ran in is not known: its place is, and what binds it is not."""
    found = series(LAYERS[0]._replace(roof_share=None, bound=None))
    assert (("conv1",), "cross") == (found["no roof known"].keys, found["no roof known"].mark)
    assert "roof" not in found["no roof known"].texts[0]


def test_what_has_no_place_on_the_axes_is_counted() -> None:
    """A layer of which no bytes are known is left out and said."""
    chart = roofline_chart((*LAYERS, Point("idle", math.inf, 1e9, 0.1, "compute")), peaks(), "float32")
    assert 2 == chart.left_out
    assert "2 by memory" in chart.summary
    assert "head, at 5.3%" in chart.summary


@pytest.mark.parametrize("points", [(), LAYERS[3:4]])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_without_layers_or_a_peak_there_are_roofs(points: tuple[Point, ...], dtype: str) -> None:
    """The slopes are drawn alone, without a knee where the peak is not known."""
    found = series(*points, dtype=dtype)
    assert {"L2", "memory"} == {*found}
    assert {3 if dtype == "float32" else 2} == {len(one.x) for one in found.values()}


def test_a_name_is_a_text_in_the_figure() -> None:
    """What is in a layer's name is no tag, and the figure takes the page's colours, light or dark."""
    made = figure(roofline_chart((LAYERS[0]._replace(name="<b>conv</b>"),), peaks(), "float32"))
    assert "&lt;b&gt;conv&lt;/b&gt;" in made["data"][0]["hovertext"][0]
    assert "<b>" not in str([each.get("hovertext") for each in made["data"]])
    assert ("log", "log") == (made["layout"]["xaxis"]["type"], made["layout"]["yaxis"]["type"])
    assert "rgba(0,0,0,0)" == made["layout"]["plot_bgcolor"]
    assert made == figure(roofline_chart((LAYERS[0]._replace(name="<b>conv</b>"),), peaks(), "float32"))
