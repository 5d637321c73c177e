"""The rows and lanes of a drawing's boxes, before anything is measured.

Rows go from top to bottom, lanes from left to right.

A row is the longest way from the input. Lanes: columns of a fractal network as they are numbered; elsewhere the
longest chain is the first lane, and what leaves it and comes back stands beside it, like a branch of a history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import TypeAlias

from archcost.graph.drawing.boxes import MANY, Scheme

Rows: TypeAlias = tuple[int, int]  # first and last


@dataclass(frozen=True, slots=True)
class Band:
    """Rows that belong to some groups: one where groups follow each other, several where they are interleaved."""

    groups: tuple[str, ...]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Lanes:
    """For every box its row, the last row it could stand in, and its first and last lane; `through`: edges' lanes."""

    rows: tuple[int, ...]
    latest: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    through: dict[tuple[int, int], int]
    bands: tuple[Band, ...]


def lanes(scheme: Scheme) -> Lanes:
    """Return every box's place in rows and lanes."""
    out = readers(scheme.inputs)
    clusters = [] if scheme.collapsed else _clusters([box.group for box in scheme.boxes])
    rows, bands = _rows(scheme.inputs, out, clusters)
    latest = _latest(rows, out, bands)
    spans = _by_column(scheme, rows) if any(box.column is not None for box in scheme.boxes) else None
    if spans is not None:
        return Lanes(rows, latest, spans, _straight(scheme, rows, spans), bands)
    spans, through = _by_chain(scheme, rows, out)
    return Lanes(rows, latest, spans, through, bands)


def readers(inputs: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return for every box those that read it."""
    found: list[list[int]] = [[] for _ in inputs]
    for box, reads in enumerate(inputs):
        for i in reads:
            found[i].append(box)
    return found


def _clusters(groups: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    """Return the first box of every run of groups that cannot be told apart in time, and the groups in it."""
    ends = {group: box for box, group in enumerate(groups)}
    found: list[tuple[int, dict[str, None]]] = []
    end = -1
    for box, group in enumerate(groups):
        if box > end:
            found.append((box, {}))
            end = box
        if group:
            found[-1][1][group] = None
            end = max(end, ends[group])
    return [(first, tuple(names)) for first, names in found]


def _rows(
    inputs: Sequence[Sequence[int]], out: Sequence[Sequence[int]], clusters: Sequence[tuple[int, tuple[str, ...]]]
) -> tuple[tuple[int, ...], tuple[Band, ...]]:
    begins = dict(clusters)
    rows: list[int] = []
    bands: list[Band] = []
    base = 0
    for box, reads in enumerate(inputs):
        if box in begins and box:
            base = max(rows) + 1
        if box in begins:
            bands.append(Band(begins[box], base, base))
        rows.append(max([rows[i] + 1 for i in reads], default=base))
        rows[box] = max(rows[box], base)
        if bands:
            bands[-1] = Band(bands[-1].groups, base, max(bands[-1].last, rows[box]))
    for box, reads in enumerate(inputs):
        if not reads and out[box]:  # a state of earlier steps stands right above what reads it
            rows[box] = max(rows[box], min(rows[i] for i in out[box]) - 1)
    return tuple(rows), tuple(bands)


def _latest(rows: Sequence[int], out: Sequence[Sequence[int]], bands: Sequence[Band]) -> tuple[int, ...]:
    """Return the last row each box could stand in without leaving its band."""
    ends = {row: band.last for band in bands for row in range(band.first, band.last + 1)}
    latest = list(rows)
    for box in reversed(range(len(rows))):
        if out[box]:
            latest[box] = min(ends.get(rows[box], latest[box]), min(latest[i] for i in out[box]) - 1)
    return tuple(latest)


def _by_column(scheme: Scheme, rows: Sequence[int]) -> tuple[tuple[int, int], ...] | None:
    """Return lanes by column; None if two boxes would stand in one place, as no fractal network has them."""
    order = {c: lane for lane, c in enumerate(sorted({b.column for b in scheme.boxes if b.column is not None}))}
    spans: list[tuple[int, int]] = []
    for box, reads in zip(scheme.boxes, scheme.inputs, strict=True):
        if box.column is not None:
            spans.append((order[box.column],) * 2)
        elif box.joins and reads:
            spans.append((min(spans[i][0] for i in reads), max(spans[i][1] for i in reads)))
        else:
            spans.append((0, len(order) - 1))
    places = Counter((row, lane) for row, (low, high) in zip(rows, spans, strict=True) for lane in range(low, high + 1))
    return tuple(spans) if max(places.values()) == 1 else None


def _straight(scheme: Scheme, rows: Sequence[int], spans: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Return the lanes in which edges fall straight down, past nothing."""
    taken = {(row, lane) for row, (low, high) in zip(rows, spans, strict=True) for lane in range(low, high + 1)}
    found = {}
    for box, reads in enumerate(scheme.inputs):
        for i in reads:
            low, high = max(spans[i][0], spans[box][0]), min(spans[i][1], spans[box][1])
            between = range(rows[i] + 1, rows[box])
            if low == high and not any((row, low) in taken for row in between):
                found[i, box] = low
    return found


@dataclass(slots=True)
class _Chain:
    """Boxes below each other in one lane; the boxes of other chains it comes from and goes to, and who stands by it."""

    boxes: list[int]
    source: int | None = None
    sink: int | None = None
    children: list[int] = field(default_factory=list)
    occupied: Rows = (0, 0)


def _by_chain(
    scheme: Scheme, rows: Sequence[int], out: Sequence[Sequence[int]]
) -> tuple[tuple[tuple[int, int], ...], dict[tuple[int, int], int]]:
    if len(rows) > MANY:  # groups without number: one below the other
        return ((0, 0),) * len(rows), {}
    chains = [_Chain(boxes) for boxes in _chains(scheme.inputs)]
    home = {box: number for number, chain in enumerate(chains) for box in chain.boxes}
    for chain in chains:
        _attach(chain, chains, home, scheme.inputs, out, rows)
    placed = dict(_block(0, chains, home))
    least = min(placed.values())
    lane = {box: placed[home[box]] - least for box in home}
    through = {edge: lane[chain.boxes[0]] for chain in chains for edge in _edges(chain)}
    held = [(lane[chain.boxes[0]], chain.occupied) for chain in chains]
    spans = []
    for box, reads in enumerate(scheme.inputs):
        span = (lane[box], lane[box])
        if scheme.boxes[box].joins:
            met = [lane[box], *(through.get((i, box), lane[i]) for i in reads if _arrives(i, box, rows, through))]
            span = (min(met), max(met))
        others = [n for n, (first, last) in held if n != lane[box] and first <= rows[box] <= last]
        spans.append((lane[box],) * 2 if any(span[0] <= n <= span[1] for n in others) else span)
    return tuple(spans), through


def _arrives(source: int, box: int, rows: Sequence[int], through: dict[tuple[int, int], int]) -> bool:
    return rows[source] == rows[box] - 1 or (source, box) in through


def _chains(inputs: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the longest chain of boxes, then the longest of what is left, and so on."""
    left = set(range(len(inputs)))
    while left:
        length: dict[int, int] = {}
        before: dict[int, int] = {}
        for box in sorted(left):
            known = [i for i in inputs[box] if i in left]
            if known:
                before[box] = max(known, key=lambda i: length[i])
            length[box] = 1 + (length[before[box]] if known else 0)
        box = max(sorted(left, reverse=True), key=lambda i: length[i])
        chain = [box]
        while box in before:
            box = before[box]
            chain.append(box)
        left -= set(chain)
        yield chain[::-1]


def _attach(
    chain: _Chain,
    chains: Sequence[_Chain],
    home: dict[int, int],
    inputs: Sequence[Sequence[int]],
    out: Sequence[Sequence[int]],
    rows: Sequence[int],
) -> None:
    """Fill in where a chain comes from and goes to, the rows it holds its lane for, and whose child it is."""
    first, last = chain.boxes[0], chain.boxes[-1]
    chain.source = max(inputs[first], key=lambda i: rows[i], default=None)
    chain.sink = min(out[last], key=lambda i: rows[i], default=None)
    start = rows[first] if chain.source is None else rows[chain.source] + 1
    chain.occupied = (start, rows[last] if chain.sink is None else rows[chain.sink] - 1)
    parent = chain.sink if chain.sink is not None else chain.source
    if chain is not chains[0]:
        beside = chains[home[parent] if parent is not None else 0]
        beside = chains[0] if beside is chain else beside
        beside.children.append(home[first])


def _edges(chain: _Chain) -> Iterator[tuple[int, int]]:
    """Yield the edges that run in a chain's lane: into it, down it and out of it."""
    boxes = [chain.source, *chain.boxes, chain.sink]
    known = [box for box in boxes if box is not None]
    yield from pairwise(known)


def _block(number: int, chains: Sequence[_Chain], home: dict[int, int]) -> list[tuple[int, int]]:
    """Return a chain with all that stands beside it, as (chain, lane), the chain itself in lane 0."""
    placed = [(number, 0)]
    held = {(0, row) for row in _range(chains[number])}
    for child in sorted(chains[number].children, key=lambda n: _nearness(chains[n])):
        block = _block(child, chains, home)
        side = -1 if _from_the_left(child, number, chains, home) else 1
        nearest = max(-side * lane for _, lane in block) + 1
        for step in count(nearest):
            cells = {(lane + side * step, row) for n, lane in block for row in _range(chains[n])}
            if not cells & held:
                break
        held |= cells
        placed += [(n, lane + side * step) for n, lane in block]
    return placed


def _nearness(chain: _Chain) -> tuple[int, int, int]:
    """Return what a chain's place beside its parent goes by: who comes back first, and is the shortest, is nearest."""
    first, last = chain.occupied
    return last, -first, chain.boxes[0]


def _range(chain: _Chain) -> range:
    return range(chain.occupied[0], chain.occupied[1] + 1)


def _from_the_left(child: int, parent: int, chains: Sequence[_Chain], home: dict[int, int]) -> bool:
    """Return whether a chain comes from the one that its parent itself stands beside."""
    source, above = chains[child].source, chains[parent].sink
    return source is not None and above is not None and home[source] == home[above] != parent
