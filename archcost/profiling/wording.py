"""What tables and pages say of a profile in words, each sentence written once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archcost.latency.remarks import remarks
from archcost.latency.summary import summarise
from archcost.profiling.result import Profile
from archcost.units import counted_words


def input_words(found: Profile) -> str:
    """Return what the network takes and how many parts were counted, in words."""
    model = found.model
    if graph := model.graph:
        shape = graph.nodes[0].shape
        size = " x ".join(map(str, shape)) if shape else "a token"
        steps = f" a step, {counted_words(model.steps, 'step')}" if model.steps else ""
        return f"{size}{steps}, {counted_words(len(graph.nodes), 'node')}"
    given = model.input if isinstance(model.input, list) else []
    sizes = [g if isinstance(g, int) else _argument(g) for g in given]
    single = all(isinstance(size, int) for size in sizes)
    return (
        f"{(' x ' if single else ', ').join(map(str, sizes))}, {counted_words(len(found.layers), 'operator')} by part"
    )


def witness_words(found: Profile) -> str:
    """Return in words what the witnesses say where none of them objects."""
    return agreement(found.witness is not None, found.agree, nodes=found.model.graph is not None)


def agreement(witnessed: bool, agree: bool | None, *, nodes: bool) -> str:
    """Return in words what witnesses say where none of them objects; nodes: whether they saw each of a graph's."""
    if not witnessed:
        return "left out: nothing checked the counts"
    if agree is None:
        return "not both could count this call, see the notes; none objects"
    return f"fvcore and torch agree: parameters, and MACs{' of every node' * nodes}"


def doubts(found: Profile) -> tuple[str, ...]:
    """Return what is against trusting the latencies, each reason once."""
    steps = tuple(map(summarise, found.streaming))
    return tuple(map(str, remarks((("", found.latencies), ("one step", steps)))))


def _argument(given: Mapping[str, Any]) -> str:
    shape = given["shape"]
    return f"{shape if isinstance(shape, str) else ' x '.join(map(str, shape))} {given['dtype']}".strip()
