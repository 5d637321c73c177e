"""Rows as a table for a terminal or as Markdown: what every command that prints rows shares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from archcost.errors import visible


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], *, indent: int = 2) -> str:
    """Return rows as text in columns: the first to the left, the others to the right, each as wide as it needs."""
    lines = [heads, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "".join(_line(line, widths, indent) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], indent: int) -> str:
    first, *others = (
        visible(cell).ljust(width) if i == 0 else visible(cell).rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return (" " * indent + "  ".join([first, *others])).rstrip() + "\n"


def as_markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(escaped(cell) for cell in line)} |\n" for line in lines)


def escaped(text: str) -> str:
    """Return text that Markdown and HTML take literally."""
    return visible(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")
