"""Charts drawn: each typed chart as plotly's JSON, its texts escaped.

plotly reads labels as HTML: a name with a link in it would become one, so every text is escaped here, once. Text and
grid take the page's colours by its style sheet; marks have colours that stand out 3 to 1 on white and on black.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from textwrap import wrap
from typing import Any, Final, assert_never

import plotly.graph_objects as go

from archcost.errors import shorten, visible
from archcost.report.blocks import Axis, Bars, Chart, Form, Icicle, Mark, Rule, Scatter, Series
from archcost.units import data_size, duration, scaled

COLOURS: Final = ("#3b7dd8", "#c2641a", "#2f8f5b", "#9a5bd1", "#cf4a86", "#1f8a99", "#d04a4a", "#7a8594")
FAINT: Final = "#7a8594"
_MARKS: Final[dict[Mark, str]] = {
    "circle": "circle",
    "diamond": "diamond",
    "square": "square-open",
    "triangle": "triangle-up",
    "cross": "x",
}
_ZEROS: Final = re.compile(r"\.0+(?= |$)")
_DASHES: Final = ("solid", "dash", "dot", "dashdot")
_TICKS: Final[dict[Form, tuple[str, str]]] = {
    "seconds": ("~s", "s"),
    "share": (".3~p", ""),
    "count": ("~s", ""),
    "bytes": ("~s", "B"),
    "number": (".4~g", ""),
}
"""How d3 writes a tick, and what stands behind it."""
_WORDS: Final[dict[Form, Callable[[float], str]]] = {
    "seconds": lambda value: _round(duration(value)),
    "share": lambda value: f"{100 * value:.3g}%",
    "count": lambda value: _round(scaled(round(value))) if value >= 1 else f"{value:g}",
    "bytes": lambda value: _round(data_size(round(value))),
    "number": lambda value: f"{value:g}",
}
"""How a tick of a logarithmic axis is written: as all other numbers of the page are."""
_LABEL: Final = 40
_BOX: Final = 26
_TICK: Final = 18
_TITLE: Final = 34
_WHOLE: Final = 7


def figure(chart: Chart) -> dict[str, Any]:
    """Return a chart as plotly's JSON: {"data", "layout"}; the same chart always gives the same."""
    match chart.drawn:
        case Scatter():
            drawn = _scatter(chart.drawn)
        case Bars():
            drawn = _bars(chart.drawn)
        case Icicle():
            drawn = _icicle(chart.drawn)
        case _:
            assert_never(chart.drawn)
    made: dict[str, Any] = json.loads(go.Figure(drawn.data, {**drawn.layout.to_plotly_json(), **_LAYOUT}).to_json())
    return {"data": made["data"], "layout": {key: value for key, value in made["layout"].items() if key != "template"}}


_LAYOUT: Final[dict[str, Any]] = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 13},
    "hoverlabel": {"align": "left"},
    "autosize": True,
    "template": "none",
}


def _round(words: str) -> str:
    return _ZEROS.sub("", words)


def text(given: str, length: int | None = None) -> str:
    """Return a text as plotly shows it as it is: nothing in it is a tag, an entity or a control character."""
    lines = (visible(line) for line in given.split("\n"))
    cut = (line if length is None else shorten(line, length) for line in lines)
    return "<br>".join(escape(line, quote=False) for line in cut)


def _scatter(drawn: Scatter) -> go.Figure:
    found = go.Figure([trace for place, one in enumerate(drawn.series) for trace in _series(one, place)])
    across = [*_values([one.x for one in drawn.series]), *(rule.at for rule in drawn.rules if rule.upright)]
    up = [*_values([one.y for one in drawn.series]), *(rule.at for rule in drawn.rules if not rule.upright)]
    found.update_layout(
        xaxis=_axis(drawn.x, across),
        yaxis=_axis(drawn.y, up),
        margin={"l": 8, "r": 16, "t": 32, "b": 8},
        hovermode="closest",
        showlegend=len(drawn.series) > 1,
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "bgcolor": "rgba(0,0,0,0)"},
    )
    if drawn.y.ticks:  # a row for each
        found.update_layout(height=190 + 48 * len(drawn.y.ticks))
        found.update_yaxes(autorange="reversed")
    for rule in drawn.rules:
        _ruled(found, rule)
    return found


def _values(columns: Sequence[Sequence[float | None]]) -> list[float]:
    return [value for column in columns for value in column if value is not None]


def _axis(axis: Axis, values: Sequence[float] = ()) -> dict[str, Any]:
    form, suffix = _TICKS[axis.form]
    made: dict[str, Any] = {
        "title": {"text": _lines(axis.title, _TITLE, 3), "standoff": 8},
        "type": "log" if axis.log else "linear",
        "automargin": True,
        "zeroline": False,
        "gridwidth": 1,
        "ticks": "outside",
        "ticklen": 4,
    }
    if axis.ticks:
        named = {
            "tickvals": [at for at, _ in axis.ticks],
            "ticktext": [_lines(name, _TICK, 3) for _, name in axis.ticks],
        }
        return {**made, **named, "showgrid": False}
    if axis.log and values:
        at = _decades(min(values), max(values))
        return {**made, "tickvals": at, "ticktext": [_WORDS[axis.form](value) for value in at]}
    if axis.form == "count" and values and max(values) - min(values) <= _WHOLE:
        made["dtick"] = 1  # no halves of what is counted
    return {**made, "nticks": 7, "tickformat": form, "ticksuffix": suffix, "exponentformat": "SI"}


def _decades(low: float, high: float) -> list[float]:
    """Return the ticks of a logarithmic axis: powers of ten, over a few decades their doubles and fivefolds too."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    mantissas = (1, 2, 5) if last - first <= 4 else (1,)
    every = max(1, (last - first) // 8)
    return [float(f"{digit}e{power}") for power in range(first, last + 1, every) for digit in mantissas]


def _lines(words: str, width: int, most: int) -> str:
    """Return words on a few short lines: a long one would leave no room for the chart, or be cut on a narrow page."""
    return text("\n".join(wrap(shorten(visible(words), most * width), width)))


def _series(one: Series, place: int) -> Iterator[go.Scatter]:
    colour = FAINT if one.faint else COLOURS[one.colour % len(COLOURS)]
    texts = [text(each) for each in one.texts]
    mode = "+".join(filter(None, ["lines" if one.line else "", "markers" if one.mark else ""]))
    yield go.Scatter(
        name=text(one.name, _LABEL),
        x=list(one.x),
        y=list(one.y),
        mode=mode or "markers",
        line={"color": colour, "width": 2, "shape": "hv" if one.stepped else "linear", "dash": _dash(one, place)},
        marker={"symbol": _MARKS[one.mark or "circle"], "size": 7 if one.faint else 10, "color": colour,
                "line": {"width": 0 if one.mark != "square" else 2, "color": colour}},
        opacity=0.9 if one.faint else 1,  # still 3 to 1 on white
        hovertext=texts or None,
        hoverinfo="text" if texts else "skip",
        error_y=_spans(one.y, one.spans, colour),
        error_x=_spans(one.x, one.x_spans, colour),
        connectgaps=False,
        customdata=list(one.keys) or None,
    )  # fmt: skip


def _dash(one: Series, place: int) -> str:
    return "solid" if one.mark else _DASHES[place % len(_DASHES)]  # lines alone are told apart by more than colour


def _spans(
    values: Sequence[float | None], spans: Sequence[tuple[float, float] | None], colour: str
) -> dict[str, Any] | None:
    if not any(spans):
        return None
    pairs = [(value, span) for value, span in zip(values, spans, strict=True)]
    above = [max(0.0, span[1] - value) if span and value is not None else 0.0 for value, span in pairs]
    below = [max(0.0, value - span[0]) if span and value is not None else 0.0 for value, span in pairs]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "color": colour, "thickness": 1.5,
            "width": 5}  # fmt: skip


def _ruled(found: go.Figure, rule: Rule) -> None:
    at, along = ("x", "y") if rule.upright else ("y", "x")
    found.add_shape(
        **{f"{at}0": rule.at, f"{at}1": rule.at, f"{along}0": 0, f"{along}1": 1, f"{along}ref": "paper"},
        type="line",
        line={"color": COLOURS[6], "width": 2, "dash": "dash"},
        label={"text": text(rule.label, _LABEL), "textposition": "end", "textangle": 0, "font": {"size": 12},
               "xanchor": "right", "yanchor": "top" if rule.upright else "bottom", "padding": 4},
    )  # fmt: skip


def _bars(drawn: Bars) -> go.Figure:
    places = list(range(len(drawn.labels)))
    found = go.Figure(
        [
            go.Bar(
                name=text(one.name, _LABEL),
                y=places,
                x=list(one.values),
                orientation="h",
                marker={"color": COLOURS[place % len(COLOURS)],
                        "pattern": {"shape": ("", "/", ".", "x")[place % 4], "solidity": 0.3, "fillmode": "overlay"}},
                hovertext=[text(each) for each in one.texts],
                hoverinfo="text",
            )
            for place, one in enumerate(drawn.bars)
        ]
    )  # fmt: skip
    height = 90 + len(drawn.labels) * (22 if drawn.stacked else max(24, 16 * len(drawn.bars)))
    found.update_layout(
        barmode="stack" if drawn.stacked else "group",
        xaxis=_axis(drawn.axis),
        yaxis={
            "tickvals": places,
            "ticktext": [text(label, _BOX) for label in drawn.labels],
            "autorange": "reversed",
            "automargin": True,
            "ticklabelstandoff": 6,
        },
        height=height,
        margin={"l": 8, "r": 16, "t": 32, "b": 8},
        showlegend=len(drawn.bars) > 1,
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "bgcolor": "rgba(0,0,0,0)"},
    )
    return found


def _icicle(drawn: Icicle) -> go.Figure:
    leaves = drawn.leaves
    return go.Figure(
        go.Icicle(
            ids=[str(place) for place in range(len(leaves))],
            labels=[text(leaf.label, _LABEL) for leaf in leaves],
            parents=["" if leaf.parent < 0 else str(leaf.parent) for leaf in leaves],
            values=[leaf.value for leaf in leaves],
            hovertext=[text(leaf.text) for leaf in leaves],
            hoverinfo="text",
            branchvalues="total",
            sort=False,
            tiling={"orientation": "v", "pad": 2},
            leaf={"opacity": 1},
            marker={"colors": [_shade(drawn, place) for place in range(len(leaves))], "line": {"width": 0}},
            insidetextfont={"color": "#ffffff"},
            pathbar={"visible": False},
            maxdepth=4,
        ),
        {
            "margin": {"l": 0, "r": 0, "t": 4, "b": 0},
            "height": 320,
            "uniformtext": {"minsize": 9, "mode": "hide"},  # smaller ones cannot be read
        },
    )


# white text on each at least 4.5 to 1
_BOXES: Final = ("#2b62ae", "#9c4e12", "#24704a", "#7b42b0", "#a8386b", "#176d79", "#a83a3a", "#5a6472")


def _shade(drawn: Icicle, place: int) -> str:
    """Return a box's colour: that of the box below the outermost which it lies in."""
    if drawn.leaves[place].parent < 0:
        return _BOXES[-1]
    while drawn.leaves[drawn.leaves[place].parent].parent >= 0:
        place = drawn.leaves[place].parent
    siblings = [at for at, leaf in enumerate(drawn.leaves) if leaf.parent == drawn.leaves[place].parent]
    return _BOXES[siblings.index(place) % (len(_BOXES) - 1)]
