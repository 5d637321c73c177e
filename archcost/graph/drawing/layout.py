"""The layout of a drawing in pixels: boxes, edges and frames.

Nothing here knows what SVG looks like.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from archcost.graph.drawing.boxes import Loop, Scheme, past
from archcost.graph.drawing.grid import BUS, FOOT, FRAME, GAP, MARGIN, MONO, PAD, PORT, TRACK, Grid, Link, grid_of, wide
from archcost.graph.drawing.lanes import Lanes, lanes, readers

Point: TypeAlias = tuple[int, int]


class Placed(NamedTuple):
    """A box in pixels; `inner` is the width its lines are set in, around its middle; `stacked`: names below."""

    x: int
    y: int
    width: int
    height: int
    inner: int
    stacked: bool

    @property
    def middle(self) -> int:
        """The middle from left to right."""
        return self.x + self.width // 2

    @property
    def right(self) -> int:
        """The right side."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The lower side."""
        return self.y + self.height

    def port(self, x: int) -> int:
        """Return the place nearest to x where an edge may leave or arrive."""
        return min(max(x, self.x + PORT), self.right - PORT)


class Edge(NamedTuple):
    """A line through points, curved where they are not below each other; `back`: square corners, up again."""

    points: tuple[Point, ...]
    back: bool = False
    label: str = ""
    at: Point = (0, 0)


class Frame(NamedTuple):
    """A frame around the rows of some groups."""

    groups: tuple[str, ...]
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything in its place; `shapes` are the texts beside the edges that leave a box."""

    boxes: tuple[Placed, ...]
    edges: tuple[Edge, ...]
    shapes: tuple[tuple[Point, str], ...]
    frames: tuple[Frame, ...]
    width: int
    height: int


def layout(scheme: Scheme) -> Layout:
    """Return where everything stands."""
    placed = lanes(scheme)
    grid = grid_of(scheme, placed)
    boxes = _boxes(scheme, placed, grid)
    links = [(i, target) for target, reads in enumerate(scheme.inputs) for i in reads]
    edges = dict(zip(links, _spread(links, [_edge(link, boxes, grid) for link in links], boxes), strict=True))
    right = grid.lanes[-1][0] + grid.lanes[-1][1]
    back = [_back(loop, n, scheme, boxes, right) for n, loop in enumerate(scheme.loops)]
    if back:
        right = max([x for edge in back for x, _ in edge.points] + [_label_end(edge) for edge in back])
    frames = _frames(scheme, placed, grid, right + FRAME)
    end = boxes[-1].middle, boxes[-1].bottom
    tail = Edge((end, (end[0], end[1] + GAP)))
    return Layout(
        boxes=boxes,
        edges=(*edges.values(), *back, tail),
        shapes=(*_shapes(scheme, boxes, edges), ((end[0] + 7, end[1] + 15), scheme.boxes[-1].shape)),
        frames=frames,
        width=right + (FRAME if frames else 0) + MARGIN,
        height=max(grid.rows[-1][1] + GAP, *(frame.y + frame.height for frame in frames), 0) + MARGIN,
    )


def _boxes(scheme: Scheme, placed: Lanes, grid: Grid) -> tuple[Placed, ...]:
    out = readers(scheme.inputs)
    found = []
    for i, reads in enumerate(scheme.inputs):
        inner, height, stacked = grid.sizes[i]
        first, last = placed.spans[i]
        x, right = grid.lanes[first][0], sum(grid.lanes[last])
        top, bottom = grid.rows[placed.rows[i]]
        links = [(j, i) for j in reads] + [(i, j) for j in out[i]]
        beside = {j for link in links for j in link} - {i}
        if all(link in placed.through for link in links) and all(placed.rows[j] == placed.latest[j] for j in beside):
            bottom = grid.rows[placed.latest[i]][1]  # it has room to move: it stands in the middle of that room
        y = top + (bottom - top - height) // 2
        inner = inner if first != last else right - x - 2 * PAD
        found.append(Placed(x, y, right - x, height, inner, stacked))
    return tuple(found)


def _edge(link: Link, boxes: Sequence[Placed], grid: Grid) -> Edge:
    source, target = boxes[link[0]], boxes[link[1]]
    row = bisect_left(grid.rows, source.bottom, key=itemgetter(1))  # where the source ends, also if it moved down
    to = bisect_right(grid.rows, target.y, key=itemgetter(0)) - 1
    leaves, below = grid.rows[row][1], grid.rows[row + 1][0]
    before, arrives = grid.rows[to - 1][1], grid.rows[to][0]
    if link in grid.channels:
        x = grid.channels[link]
        start, end = source.port(x), target.port(x)
    else:
        narrow = min(source, target, key=lambda placed: placed.width)
        meet = source.x <= narrow.middle <= source.right and target.x <= narrow.middle <= target.right
        x = narrow.middle
        start, end = (x, x) if meet else (source.port(target.middle), target.port(source.middle))
    points = [(start, source.bottom), (start, leaves)]
    if to > row + 1 and link in grid.channels:
        points += [(x, below), (x, before)]
    points += [(end, arrives), (end, target.y)]
    return Edge(tuple(points))


def _spread(links: Sequence[Link], edges: Sequence[Edge], boxes: Sequence[Placed]) -> Iterator[Edge]:
    """Yield the edges, those that would arrive in one point beside each other."""
    arriving: dict[Point, list[int]] = {}
    for n, edge in enumerate(edges):
        arriving.setdefault(edge.points[-1], []).append(n)
    moved = {}
    for point, several in arriving.items():
        target = boxes[links[several[0]][1]]
        from_left = point[0] < target.middle
        several.sort(key=lambda n: edges[n].points[-3][0], reverse=not from_left)
        for k, n in enumerate(several):
            moved[n] = target.port(point[0] + (PORT - 4) * k * (1 if from_left else -1))
    for n, edge in enumerate(edges):
        x = moved[n]
        yield edge._replace(points=(*edge.points[:-2], (x, edge.points[-2][1]), (x, edge.points[-1][1])))


def _back(loop: Loop, number: int, scheme: Scheme, boxes: Sequence[Placed], right: int) -> Edge:
    source, target = boxes[loop.source], boxes[loop.target]
    label = past(loop.delays)
    if scheme.collapsed:
        x = right + FRAME + TRACK * number
        start, end = source.y + 3 * source.height // 4, target.y + target.height // 4
        points = ((source.right, start), (x, start), (x, end), (target.right, end))
        return Edge(points, True, label, (right + FRAME + TRACK * len(scheme.loops), (start + end) // 2 + 4))
    x, y = right + FRAME, target.y - BUS
    start = source.y + source.height // 2
    way = ((source.right, start), (x, start), (x, y), (target.middle, y), (target.middle, target.y))
    return Edge(way, True, label, (target.middle + 7, target.y - 6))


def _label_end(edge: Edge) -> int:
    return edge.at[0] + int(wide(edge.label) * MONO)


def _frames(scheme: Scheme, placed: Lanes, grid: Grid, right: int) -> tuple[Frame, ...]:
    recalled = {placed.rows[loop.target] for loop in scheme.loops}
    found = []
    for band in placed.bands:
        if band.groups:
            top = grid.rows[band.first][0] - FRAME - (BUS if band.first in recalled else 0)
            bottom = grid.rows[band.last][1] + FOOT
            found.append(Frame(band.groups, MARGIN, top, right - MARGIN, bottom - top))
    return tuple(found)


def _shapes(scheme: Scheme, boxes: Sequence[Placed], edges: Mapping[Link, Edge]) -> Iterator[tuple[Point, str]]:
    """Yield the shapes that change, beside an edge that carries each, a straight one if there is."""
    straight_first = sorted(edges.items(), key=lambda found: len({x for x, _ in found[1].points}) > 1)
    for source, edge in {source: edge for (source, _), edge in reversed(straight_first)}.items():
        if scheme.boxes[source].reshapes:
            yield (edge.points[0][0] + 7, boxes[source].bottom + 15), scheme.boxes[source].shape
