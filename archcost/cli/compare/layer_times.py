"""Which layers account for the time between networks: lines, rows of CSV and Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from archcost.cli.terminal import WIDTH, tail
from archcost.errors import visible
from archcost.profiling.layers.differences import Difference, LayerDifferences, verdict
from archcost.rows import aligned
from archcost.units import counted_words, duration, percent, signed_duration

_MOST: Final = 12  # layers that a table names
_INDENT: Final = "  "

Row = tuple[str, str, str, str, str, str]


def lines(a: str, b: str, found: LayerDifferences, listed: str) -> Iterator[str]:
    """Yield a table that adds up: the whole, the layers that differ, all others together, dispatch and the rest.

    a, b: what stands for the first and the other; listed: "layers" or "groups".
    """
    yield f"layer times  {visible(str(found.way))}, {counted_words(found.rounds, 'round')} by turns"
    yield f"             {verdict(found, listed)}"
    cells = list(rows(found, listed, _MOST))
    heads = ("", a, b, f"{b} - {a}", "of it", "99% interval")
    numbers = sum(2 + max(map(len, column)) for column in list(zip(heads, *cells, strict=True))[1:])
    cut = [(visible(tail(name, WIDTH - 1 - numbers)), *rest) for name, *rest in cells]
    yield from aligned(heads, cut, indent=0).splitlines()


def rows(found: LayerDifferences, listed: str, most: int | None = None) -> Iterator[Row]:
    """Yield name, both times, difference, its share of the whole's and its interval; most: layers that are named."""
    yield _row("whole", found, found.whole)
    shown = found.named[:most]
    for layer in shown:
        yield _row(_INDENT + layer.name, found, layer)
    rest_s = found.rest_s + sum(layer.difference_s for layer in found.named[len(shown) :])
    if left := len(found.layers) - len(shown):
        words = f"{left} other {listed.removesuffix('s') if left == 1 else listed}"
        yield _INDENT + words, "", "", signed_duration(rest_s), _of_whole(found, rest_s), ""
    for part in (found.residual, found.unexplained):
        yield _row(_INDENT + part.name, found, part)


def _row(name: str, found: LayerDifferences, part: Difference) -> Row:
    sides = ("-" if side is None else duration(side) for side in (part.first_s, part.other_s))
    first, other = sides
    of_it = "" if part is found.whole else _of_whole(found, part.difference_s)
    bounds = "too few rounds" if part.interval_s is None else " to ".join(map(signed_duration, part.interval_s))
    return name, first, other, signed_duration(part.difference_s), of_it, bounds


def _of_whole(found: LayerDifferences, difference_s: float) -> str:
    return percent(difference_s / found.whole.difference_s) if found.whole.differs else ""


def csv_rows(found: LayerDifferences) -> Iterator[tuple[object, ...]]:
    """Yield layer, way, quantity, both times, their ratio, nothing, and the bounds of the difference."""
    parts = (("", f"{part.name}_s", part) for part in (found.whole, found.residual, found.unexplained))
    layers = ((layer.name, "time_s", layer) for layer in found.layers)
    for name, quantity, part in (*parts, *layers):
        ratio = part.other_s / part.first_s if part.first_s and part.other_s is not None else None
        yield name, str(found.way), quantity, part.first_s, part.other_s, ratio, "", *(part.interval_s or (None, None))
