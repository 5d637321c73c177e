"""From the MODEL that is typed to a Model: a file, standard input or a shipped network."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from archcost import document
from archcost.read import Model, expand, load


def read_model(typed: str, overrides: Iterable[str] = ()) -> Model:
    """Return the network; `-` reads standard input, no further than a model may be long."""
    if typed != "-":
        return load(typed, overrides)
    text = sys.stdin.buffer.read(document.MAX_BYTES + 1)
    return expand(document.read_bytes(text, "<stdin>"), overrides)
