"""Factors in a network of 8 bits: a mean of columns is their sum in another scale.

ONNX Runtime has no product of a tensor of 8 bits with a constant: it would restore, multiply and round again. But the
integers stay what they are, as only what they stand for changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final, NamedTuple

_ALIKE: Final = frozenset({"MaxPool", "Reshape", "Transpose", "Flatten"})  # hand on what they are given, in its scale


class _Factor(NamedTuple):
    """A node that multiplies what was restored from 8 bits by so much; then it is rounded to 8 bits again.

    alike: what is between, which hands on what it is given.
    """

    node: Any
    back: Any
    alike: tuple[Any, ...]
    rounding: Any
    factor: float


def fold(small: Any) -> None:
    """Let products and quotients with a constant be scales, in a model of 8 bits, which is changed."""
    graph = small.graph
    for found in list(_factors(graph)):
        _folded(graph, found)


def _factors(graph: Any) -> Iterator[_Factor]:
    makers = {name: node for node in graph.node for name in node.output}
    values = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type not in ("Mul", "Div"):
            continue
        back, constant = makers.get(node.input[0]), values.get(node.input[1])
        *alike, rounding = _until_rounded(graph, node.output[0]) or [None]
        if back is None or constant is None or rounding is None or back.op_type != "DequantizeLinear":
            continue
        factor = _scalar(constant)
        if factor is None or factor <= 0:
            continue
        found = _Factor(node, back, tuple(alike), rounding, factor if node.op_type == "Mul" else 1 / factor)
        if _is_free(graph, makers, values, found):
            yield found


def _until_rounded(graph: Any, name: str) -> list[Any]:
    """Return what a tensor goes through until it is rounded to 8 bits, [] if anything else happens to it."""
    given, found = {each.name for each in graph.output}, []
    while name not in given:
        readers = [each for each in graph.node if name in each.input]
        if len(readers) != 1:
            break
        found.append(readers[0])
        if readers[0].op_type == "QuantizeLinear":
            return found
        if readers[0].op_type not in _ALIKE:
            break
        name = readers[0].output[0]
    return []


def _scalar(value: Any) -> float | None:
    array = import_module("onnx").numpy_helper.to_array(value)
    return float(array.reshape(-1)[0]) if array.size == 1 else None


def _is_free(graph: Any, makers: dict[str, Any], values: dict[str, Any], found: _Factor) -> bool:
    """Return whether the scale behind a product is its own, or of what hands its values on, and may be set."""
    scales = [*found.back.input[1:], *found.rounding.input[1:]]
    if len(scales) != 4 or len(set(scales)) != 4 or any(name not in values for name in scales):
        return False
    if any(_scalar(values[name]) is None for name in scales):
        return False
    roundings = [each for each in graph.node if each.op_type == "QuantizeLinear" and each.input[1] == scales[2]]
    others = [makers.get(each.input[0]) for each in roundings if each is not found.rounding]
    return all(maker is not None and maker.op_type in _ALIKE for maker in others)


def _folded(graph: Any, found: _Factor) -> None:
    numpy_helper = import_module("onnx").numpy_helper
    values = {each.name: each for each in graph.initializer}
    scale, zero = (numpy_helper.to_array(values[name]) for name in found.back.input[1:])
    for name, array in zip(found.rounding.input[1:], (scale * scale.dtype.type(found.factor), zero), strict=True):
        values[name].CopyFrom(numpy_helper.from_array(array.reshape(values[name].dims), name))
    if found.alike:  # in the scale of what it is given, which it hands on
        found.alike[0].input[0] = found.back.output[0]
        found.rounding.input[1], found.rounding.input[2] = found.back.input[1:]
    else:
        _renamed(graph, found.rounding.output[0], found.back.input[0])
        graph.node.remove(found.rounding)
    graph.node.remove(found.node)


def _renamed(graph: Any, before: str, now: str) -> None:
    for reader in graph.node:
        for place, name in enumerate(reader.input):
            if name == before:
                reader.input[place] = now
