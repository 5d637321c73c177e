"""What tables and pages say of a profile in words, each sentence written once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archcost.profiling import Profile
from archcost.read import Model


def input_words(found: Profile) -> str:
    """Return what the network takes and how many parts were counted, in words."""
    model = found.model
    if isinstance(model, Model):
        shape = model.graph.nodes[0].shape
        size = " x ".join(map(str, shape)) if shape else "a token"
        steps = f" a step, {model.steps} steps" if model.steps else ""
        return f"{size}{steps}, {len(model.graph.nodes)} nodes"
    given = model.input if isinstance(model.input, list) else []
    sizes = [g if isinstance(g, int) else _argument(g) for g in given]
    single = all(isinstance(size, int) for size in sizes)
    return f"{(' x ' if single else ', ').join(map(str, sizes))}, {len(found.layers)} operators by part"


def witness_words(found: Profile) -> str:
    """Return in words what the witnesses say where none of them objects."""
    if found.witness is None:
        return "left out: nothing checked the counts"
    if found.agree is None:
        return "one could not count this call, see the note; the other does not object"
    return f"fvcore and torch agree: parameters, and MACs{' of every node' * isinstance(found.model, Model)}"


def _argument(given: Mapping[str, Any]) -> str:
    shape = given["shape"]
    return f"{shape if isinstance(shape, str) else ' x '.join(map(str, shape))} {given['dtype']}".strip()
