"""Boxes in boxes: what layers have of a quantity, by the parts of their names, as an icicle."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from archcost.report.blocks import Icicle, Leaf
from archcost.units import percent

_BOXES: Final = 300
_DEEPEST: Final = 16  # parts of a name that are boxes of their own


class Piece(NamedTuple):
    """What lies in a box: the name and group that say in which, its size, and amounts of it, which add up too.

    What has no size has no box.
    """

    name: str
    group: str
    size: float
    amounts: tuple[float, ...]


class Nested(NamedTuple):
    """Boxes; left_out: how many of the smallest have none; most: the largest part's name and size, None without one."""

    drawn: Icicle
    left_out: int
    most: tuple[str, float] | None


@dataclass(slots=True)
class _Box:
    """A module and what lies in it."""

    label: str
    amounts: tuple[float, ...]
    size: float = 0
    inside: dict[str, _Box] = field(default_factory=dict)

    def add(self, piece: Piece) -> None:
        self.size += piece.size
        self.amounts = tuple(a + b for a, b in zip(self.amounts, piece.amounts, strict=True))


def nested(
    name: str, pieces: Iterable[Piece], words: Callable[[tuple[float, ...]], str], whole: float | None = None
) -> Nested:
    """Return boxes below one that is called `name`; words: what is said of a box's amounts.

    whole: what a box's share is of, the sum of all if it is None.
    """
    found = [piece for piece in pieces if piece.size > 0]
    root = _Box(name, (0,) * (len(found[0].amounts) if found else 0))
    for piece in found:
        _put(root, piece)
    leaves: list[Leaf] = []
    _listed(root, -1, leaves, root, lambda box: _said(box, words, root.size if whole is None else whole))
    top = max(root.inside.values(), key=lambda box: box.size, default=None)
    return Nested(Icicle(tuple(leaves)), _count(root) - len(leaves), (top.label, top.size) if top else None)


def _said(box: _Box, words: Callable[[tuple[float, ...]], str], whole: float) -> str:
    share = percent(box.size / whole) if whole else "-"
    return f"{box.label}\n{words(box.amounts) if box.amounts else '-'}\n{share} of all"


def _put(root: _Box, piece: Piece) -> None:
    name = piece.name
    if piece.group and name != piece.group and not name.startswith(f"{piece.group}."):
        name = f"{piece.group}.{name}"
    box = root
    box.add(piece)
    for part in name.split(".", _DEEPEST):
        box = box.inside.setdefault(part, _Box(part, (0,) * len(piece.amounts)))
        box.add(piece)


def _listed(box: _Box, parent: int, leaves: list[Leaf], root: _Box, said: Callable[[_Box], str]) -> None:
    """Add a box and what is in it; a box smaller than a three-hundredth of all stands without its parts."""
    place = len(leaves)
    leaves.append(Leaf(box.label, parent, box.size, said(box)))
    if box.size * _BOXES >= root.size and len(box.inside) <= _BOXES:
        for each in box.inside.values():
            _listed(each, place, leaves, root, said)


def _count(box: _Box) -> int:
    return 1 + sum(map(_count, box.inside.values()))
