"""Labelled lines of a table for people: at most 80 columns, a label to the left of each text."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Final

import click

WIDTH: Final = 80
LABEL: Final = 14  # where a line's content begins


def field(label: str, text: str) -> Iterator[str]:
    """Yield a labelled text, wrapped behind its label."""
    lines = wrap(text, WIDTH - LABEL, break_on_hyphens=False) if len(text) > WIDTH - LABEL else [text]
    for i, line in enumerate(lines):
        yield f"  {label if i == 0 else '':<{LABEL - 2}}{line}"


def paint(text: str, enabled: bool, **style: object) -> str:
    """Return a text in a terminal's colours, where they are wanted."""
    return click.style(text, **style) if enabled else text  # type: ignore[arg-type]  # style's own keywords
