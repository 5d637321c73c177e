"""A drawing as SVG text, without script or outside reference, for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from archcost.errors import shorten
from archcost.graph.cost import Cost, Total, count
from archcost.graph.drawing.boxes import Box, Scheme, scheme, shown
from archcost.graph.drawing.grid import LINE, MARGIN, NAMED, PAD, wide
from archcost.graph.drawing.heat import Heat, Warm, warmed
from archcost.graph.drawing.layout import Edge, Frame, Placed, Point, layout
from archcost.graph.graph import Graph
from archcost.units import grouped, scaled

# selector, property, value on a light page, value on a dark one
_COLOURS: Final = (
    (" .paper", "fill", "#ffffff", "#0f172a"),
    (" .frame", "fill", "#f8fafc", "#162033"),
    (" .frame", "stroke", "#d5dde8", "#334155"),
    (" text", "fill", "#0f172a", "#f1f5f9"),
    (" .soft", "fill", "#56657a", "#a3b1c6"),
    (" .halo", "stroke", "#f8fafc", "#162033"),
    (" .edge", "stroke", "#7b8aa0", "#8090a8"),
    (" .tip", "fill", "#7b8aa0", "#8090a8"),
    (" .back", "stroke", "#8b3fd1", "#c084fc"),
    (" .backtip", "fill", "#8b3fd1", "#c084fc"),
    (" .dense rect", "fill", "#e4eefc", "#1d3557"),
    (" .dense rect", "stroke", "#5b8fd6", "#5b8fd6"),
    (" .join rect", "fill", "#fdf0d5", "#4a3512"),
    (" .join rect", "stroke", "#d99a2b", "#d99a2b"),
    (" .pool rect", "fill", "#dff3e6", "#173f2c"),
    (" .pool rect", "stroke", "#4ea973", "#4ea973"),
    (" .state rect", "fill", "#f1e5fc", "#3b2159"),
    (" .state rect", "stroke", "#a866e0", "#a866e0"),
    (" .plain rect", "fill", "#eef1f5", "#243044"),
    (" .plain rect", "stroke", "#94a3b8", "#64748b"),
)
_HEAT: Final = (
    (".heat g rect", "fill", "color-mix(in srgb,#f5a524 calc(100%*var(--heat)),#ffffff)",
     "color-mix(in srgb,#a8500a calc(100%*var(--heat)),#1b2536)"),
    (".heat g .soft", "fill", "#0f172a", "#f1f5f9"),
    (".heat g .bar", "fill", "#7c2d12", "#fdba74"),
    (".heat g .bar", "stroke", "none", "none"),
    (".heat g .bar", "transform", "scaleX(var(--heat))", "scaleX(var(--heat))"),
    (".heat g .bar", "transform-box", "fill-box", "fill-box"),
)  # fmt: skip
_INSET: Final = 5  # of the bar of a box that is coloured, from its sides
_BAR: Final = 3
_SHAPES: Final = (
    "text{font:600 12px system-ui,'Segoe UI',Helvetica,Arial,sans-serif}"
    ".name{font:400 11px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace}"
    ".title{font-size:17px}.group{font-size:13px}"
    ".halo{stroke-width:4px;stroke-linejoin:round;paint-order:stroke}"
    ".edge,.back{fill:none;stroke-width:1.4}.back{stroke-dasharray:5 4}"
    "text{white-space:pre}"
)
_NAME: Final = 17  # characters of a group's name that fit beside its boxes
_ROUND: Final = 9  # the corners of an edge that goes back


def draw(graph: Graph, name: str = "network", heats: Sequence[Heat] = ()) -> str:
    """Return a network as SVG: boxes from top to bottom, fractal columns side by side, recurrent edges dashed.

    Above 300 nodes every group is one box. The same graph and name always give the same text. heats: quantities that
    boxes are coloured by: the first is shown, and `data-heat` of a box has its levels for a page that shows another.
    """
    cost = count(graph)
    found = scheme(graph, cost)
    placed = layout(found)
    facts = f"{grouped(len(graph.nodes))} nodes, {grouped(cost.params)} params, {grouped(cost.macs)} MACs"
    heads = shown(name), facts + _remark(found, graph)
    title, subtitle = map(escape, heads)
    width = max(placed.width, 2 * MARGIN + max(11 * wide(heads[0]), 8 * wide(heads[1])))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="archcost{" heat" if heats else ""}" role="img" '
        f'aria-labelledby="archcost-title archcost-desc" width="{width}" height="{placed.height}" '
        f'viewBox="0 0 {width} {placed.height}">',
        f'<title id="archcost-title">{title}</title>',
        f'<desc id="archcost-desc">A network of {facts}.</desc>',
        f"<style>{_style(_COLOURS)}{_style(_HEAT) if heats else ''}</style>",
        f"<defs>{_arrow('tip')}{_arrow('backtip')}</defs>",
        '<rect class="paper" width="100%" height="100%"/>',
        f'<text class="title" x="{MARGIN}" y="42">{title}</text>',
        f'<text class="soft" x="{MARGIN}" y="64">{subtitle}</text>',
        *_frames(placed.frames, cost),
        *(_edge(edge) for edge in placed.edges),
        *(_box(*each) for each in zip(found.boxes, placed.boxes, warmed(found.boxes, heats), strict=True)),
        *(_label(at, text) for at, text in placed.shapes),
        *(_label(edge.at, edge.label) for edge in placed.edges if edge.label),
    ]
    return "\n".join([*parts, "</svg>", ""])


def _style(colours: Sequence[tuple[str, str, str, str]]) -> str:
    light = "".join(f".archcost{selector}{{{what}:{value}}}" for selector, what, value, _ in colours)
    dark = "".join(f".archcost{selector}{{{what}:{value}}}" for selector, what, _, value in colours)
    shapes = "".join(f".archcost {rule}}}" for rule in _SHAPES.split("}") if rule) if colours is _COLOURS else ""
    return f"{shapes}{light}@media (prefers-color-scheme:dark){{{dark}}}"


def _arrow(name: str) -> str:
    return (
        f'<marker id="archcost-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path class="{name}" d="M0 0.5 8 4 0 7.5z"/></marker>'
    )


def _remark(found: Scheme, graph: Graph) -> str:
    steps = "" if graph.steps is None else f", {grouped(graph.steps)} step{'s' if graph.steps > 1 else ''}"
    return steps + ("; every group is one box" if found.collapsed else "")


def _frames(frames: Iterable[Frame], cost: Cost) -> Iterator[str]:
    totals = cost.by_group()
    for frame in frames:
        yield f'<rect class="frame" x="{frame.x}" y="{frame.y}" width="{frame.width}" height="{frame.height}" rx="10"/>'
        y = frame.y + 24
        for group in frame.groups:
            total = totals.get(group, Total())  # a group of the input alone has no row
            yield f'<text class="group" x="{frame.x + 14}" y="{y}">{escape(shorten(shown(group), _NAME))}</text>'
            for n, line in enumerate((f"{scaled(total.params)} params", f"{scaled(total.macs)} MACs"), 1):
                yield f'<text class="name soft" x="{frame.x + 14}" y="{y + 16 * n}">{line}</text>'
            y += NAMED


def _edge(edge: Edge) -> str:
    path = _square(edge.points) if edge.back else _curved(edge.points)
    kind, tip = ("back", "backtip") if edge.back else ("edge", "tip")
    return f'<path class="{kind}" marker-end="url(#archcost-{tip})" d="{path}"/>'


def _curved(points: Sequence[Point]) -> str:
    """Return a path that is vertical at every point."""
    path = [f"M{points[0][0]} {points[0][1]}"]
    x, y = points[0]
    for n, (to_x, to_y) in enumerate(points[1:], 1):
        turns = n == len(points) - 1 or points[n + 1][0] != to_x or to_x != x
        if to_x != x:
            middle = (y + to_y) // 2
            path.append(f"C{x} {middle} {to_x} {middle} {to_x} {to_y}")
        elif turns and to_y != y:
            path.append(f"V{to_y}")
        x, y = to_x, to_y if turns or to_x != x else y
    return "".join(path)


def _square(points: Sequence[Point]) -> str:
    """Return a path of straight lines with round corners."""
    path = [f"M{points[0][0]} {points[0][1]}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start, end = _towards(corner, before), _towards(corner, after)
        path.append(f"L{start[0]} {start[1]}Q{corner[0]} {corner[1]} {end[0]} {end[1]}")
    return "".join([*path, f"L{points[-1][0]} {points[-1][1]}"])


def _towards(corner: Point, other: Point) -> Point:
    """Return the point on the way from a corner to another where its rounding begins."""
    reach_x, reach_y = other[0] - corner[0], other[1] - corner[1]
    x = max(-_ROUND, min(_ROUND, reach_x // 2))
    y = max(-_ROUND, min(_ROUND, reach_y // 2))
    return corner[0] + x, corner[1] + y


def _box(box: Box, place: Placed, warm: Warm) -> str:
    left, right = place.middle - place.inner // 2, place.middle + place.inner // 2
    y = place.y + PAD // 2 + 13
    lines = []
    for does, called in box.lines:
        at = (left, "") if called and not place.stacked else (place.middle, ' text-anchor="middle"')
        lines.append(f'<text x="{at[0]}" y="{y}"{at[1]}>{escape(does)}</text>')
        if called:
            y += (LINE - 2) * place.stacked
            x, anchor = (place.middle, "middle") if place.stacked else (right, "end")
            lines.append(f'<text class="name soft" x="{x}" y="{y}" text-anchor="{anchor}">{escape(called)}</text>')
        y += LINE + 2 * place.stacked
    tip = escape("\n".join((*box.tip, *warm.words)))
    rect = f'<rect x="{place.x}" y="{place.y}" width="{place.width}" height="{place.height}" rx="7"/>'
    level, bar = _level(place, warm) if warm.levels else ("", "")
    return f'<g class="{box.kind}"{level}><title>{tip}</title>{rect}{bar}{"".join(lines)}</g>'


def _level(place: Placed, warm: Warm) -> tuple[str, str]:
    """Return the attributes of a box that is coloured, and the bar at its foot, as colour is not for everyone."""
    levels = [f"{level:.3g}" for level in warm.levels]
    at = f'x="{place.x + _INSET}" y="{place.bottom - _BAR - 1}" width="{place.width - 2 * _INSET}" height="{_BAR}"'
    return f' data-heat="{" ".join(levels)}" style="--heat:{levels[0]}"', f'<rect class="bar" {at}/>'


def _label(at: Point, text: str) -> str:
    return f'<text class="name soft halo" x="{at[0]}" y="{at[1]}">{escape(text)}</text>'
