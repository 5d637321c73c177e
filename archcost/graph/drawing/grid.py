"""The grid of a drawing in pixels: widths of lanes, heights of rows, paths of edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias
from unicodedata import east_asian_width

from archcost.graph.drawing.boxes import Box, Scheme
from archcost.graph.drawing.lanes import Lanes

MARGIN: Final = 24
HEAD: Final = 62  # the title's room
LINE: Final = 17  # one line of a box
CROWD: Final = 4  # in more lanes than these, names stand below and not beside
PAD: Final = 10  # inside a box
GAP: Final = 32  # between two rows
STEP: Final = 6  # more for every lane an edge crosses there, up to six
BUS: Final = 22  # more above a row of states: what brings them runs there
FRAME: Final = 14  # between a frame and what it holds
FOOT: Final = 22  # below what a frame holds: there stand shapes
SIDE: Final = 34  # between two lanes
TRACK: Final = 14  # between two edges that pass a lane
PORT: Final = 16  # from a box's corner to the nearest edge
GUTTER: Final = 138  # where frames have their names
NAMED: Final = 62  # and the height of a name with its totals
SANS: Final = 7.2  # pixels of a character of what a box does: 12 px, semi-bold
MONO: Final = 6.7  # and of what it is called: 11 px

Link: TypeAlias = tuple[int, int]
"""An edge as the boxes it leads from and to."""


class Size(NamedTuple):
    """What the lines of a box need; `stacked`: names stand below and not beside."""

    inner: int
    height: int
    stacked: bool


@dataclass(frozen=True, slots=True)
class Grid:
    """Where rows (top, bottom) and lanes (left, width) are, and at which x the edges run that pass others."""

    rows: tuple[tuple[int, int], ...]
    lanes: tuple[tuple[int, int], ...]
    sizes: tuple[Size, ...]
    channels: Mapping[Link, int]


def wide(text: str) -> int:
    """Return how many columns a text takes in a font of one width."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _size(box: Box, span: tuple[int, int], lanes: int) -> Size:
    """Return the room the lines of a box need."""
    stacked = span[0] == span[1] and lanes > CROWD
    both = [(int(wide(does) * SANS), int(wide(called) * MONO)) for does, called in box.lines]
    inner = max(max(pair) if stacked else sum(pair) + (2 * PAD if pair[1] else 0) for pair in both)
    lines = sum(1 + (stacked and pair[1] > 0) for pair in both)
    return Size(inner, lines * LINE + PAD, stacked)


def grid_of(scheme: Scheme, placed: Lanes) -> Grid:
    """Return the grid on which all boxes and edges have room."""
    slots, tracks = _tracks(scheme, placed)
    sizes = [_size(box, span, len(tracks)) for box, span in zip(scheme.boxes, placed.spans, strict=True)]
    widths = [max(2 * PORT, 80)] * len(tracks)
    for (inner, *_), (first, last) in zip(sizes, placed.spans, strict=True):
        if first == last:
            widths[first] = max(widths[first], inner + 2 * PAD)
    left = MARGIN + (FRAME + GUTTER if any(band.groups for band in placed.bands) else 0)
    columns: list[tuple[int, int]] = []
    for width, beside in zip(widths, tracks, strict=True):
        left += beside * TRACK + (SIDE if columns else 0)
        columns.append((left, width + width % 2))
        left += width + width % 2
    for (inner, *_), (first, last) in zip(sizes, placed.spans, strict=True):
        more = columns[first][0] + inner + 2 * PAD - sum(columns[last])
        if more > 0:  # a joint box is wider than its lanes: the last one gets the rest
            columns[last] = (columns[last][0], columns[last][1] + more + more % 2)
            columns[last + 1 :] = [(x + more + more % 2, width) for x, width in columns[last + 1 :]]
    channels = {link: columns[lane][0] - TRACK * (slot + 1) for link, (lane, slot) in slots.items()}
    channels |= {link: columns[lane][0] + columns[lane][1] // 2 for link, lane in placed.through.items()}
    return Grid(_row_places(scheme, placed, sizes), tuple(columns), tuple(sizes), channels)


def _tracks(scheme: Scheme, placed: Lanes) -> tuple[dict[Link, tuple[int, int]], list[int]]:
    """Return the lane and the track beside it of every edge that passes boxes, and how many tracks each lane has.

    Edges from one box past one lane share a track; those that arrive first run nearest.
    """
    bundles: dict[Link, list[Link]] = {}
    for target, reads in enumerate(scheme.inputs):
        for i in reads:
            if placed.rows[target] > placed.rows[i] + 1 and (i, target) not in placed.through:
                bundles.setdefault((placed.spans[target][0], i), []).append((i, target))
    ends: list[list[int]] = [[] for _ in range(1 + max(last for _, last in placed.spans))]
    slots: dict[Link, tuple[int, int]] = {}
    ranges = {key: (placed.rows[links[-1][1]] - 1, -placed.rows[links[0][0]] - 1) for key, links in bundles.items()}
    for lane, source in sorted(bundles, key=lambda key: ranges[key]):
        last, first = ranges[lane, source][0], -ranges[lane, source][1]
        slot = next((n for n, end in enumerate(ends[lane]) if end < first), len(ends[lane]))
        ends[lane][slot:] = [last, *ends[lane][slot + 1 :]]
        slots |= dict.fromkeys(bundles[lane, source], (lane, slot))
    return slots, [len(tracks) for tracks in ends]


def _row_places(scheme: Scheme, placed: Lanes, sizes: Sequence[Size]) -> tuple[tuple[int, int], ...]:
    heights = [0] * (1 + max(placed.rows))
    for row, (_, height, _) in zip(placed.rows, sizes, strict=True):
        heights[row] = max(heights[row], height)
    above = _gaps(scheme, placed, len(heights))
    for band in placed.bands:
        rows = slice(band.first, band.last + 1)
        room = FRAME + sum(heights[rows]) + sum(above[rows][1:]) + FOOT
        heights[band.last] += max(0, NAMED * len(band.groups) - room)
    places: list[tuple[int, int]] = []
    y = MARGIN + HEAD
    for height, gap in zip(heights, above, strict=True):
        y += gap
        places.append((y, y + height))
        y += height
    return tuple(places)


def _gaps(scheme: Scheme, placed: Lanes, count: int) -> list[int]:
    """Return the room above each row."""
    crossed = [0] * count
    for target, reads in enumerate(scheme.inputs):
        for i in reads:
            (a, b), (c, d) = placed.spans[i], placed.spans[target]
            crossed[placed.rows[target]] = max(crossed[placed.rows[target]], min(max(c - b, a - d), 6))
    gaps = [GAP + STEP * apart for apart in crossed]
    for row in {placed.rows[loop.target] for loop in scheme.loops if not scheme.collapsed}:
        gaps[row] += BUS
    gaps[0] = 0
    for band in placed.bands:
        if band.groups:
            gaps[band.first] += FRAME
            if band.last + 1 < count:
                gaps[band.last + 1] += FOOT
    return gaps
