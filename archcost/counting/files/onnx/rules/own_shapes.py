"""Shapes of operators for which ONNX's own shape functions give none, or a wrong one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import Final

from archcost.counting.files.onnx.rules.steps import Step, Value

_FLOAT: Final = 1  # as TensorProto numbers types


def results(step: Step) -> Value | None:
    """Return the one result of an operator that has a rule here, None of others, and where a size is not known."""
    rule = _AMENDED.get(step.op)
    try:
        return None if rule is None else rule(step)
    except (IndexError, TypeError, ZeroDivisionError, OverflowError, ValueError):
        return None


def _number(step: Step, place: int) -> float | None:
    known = step.inputs[place].known if step.has(place) else None  # type: ignore[union-attr]  # it has it
    return None if known is None else known.reshape(-1)[0].item()


def _range(step: Step) -> Value | None:
    start, end, by = (_number(step, place) for place in range(3))
    if start is None or end is None or by is None:
        return None
    return Value(step.input(0).elem, (max(0, ceil((end - start) / by)),))


def _one_hot(step: Step) -> Value | None:
    """(indices, depth, values): the depth is a new axis."""
    sizes, depth = step.input(0).sizes, _number(step, 1)
    if sizes is None or depth is None:
        return None
    axis = step.number("axis", -1) % (len(sizes) + 1)
    return Value(step.input(2).elem, (*sizes[:axis], int(depth), *sizes[axis:]))


def _window(step: Step) -> Value | None:
    size = _number(step, 0)
    return None if size is None else Value(step.number("output_datatype", _FLOAT), (int(size),))


def _mel(step: Step) -> Value | None:
    """(bands, DFT length, ...) -> (length // 2 + 1, bands)."""
    bands, length = _number(step, 0), _number(step, 1)
    if bands is None or length is None:
        return None
    return Value(step.number("output_datatype", _FLOAT), (int(length) // 2 + 1, int(bands)))


def _stft(step: Step) -> Value | None:
    """(signal (B, n, 1 or 2), step, window, frame length) -> (B, frames, bins, 2); ONNX forgets the one side."""
    sizes, by, length = step.input(0).sizes, _number(step, 1), _number(step, 3)
    if length is None and step.has(2) and step.input(2).sizes:
        length = step.input(2).shape[0]
    if not sizes or sizes[1] is None or by is None or length is None:
        return None
    length, by = int(length), int(by)
    bins = length // 2 + 1 if step.number("onesided", 1) else length
    return Value(step.input(0).elem, (sizes[0], (sizes[1] - length) // by + 1, bins, 2))


def _like_first(step: Step) -> Value | None:
    return Value(step.input(0).elem, step.input(0).sizes)


def _regressed(step: Step) -> Value | None:
    sizes = step.input(0).sizes
    return Value(_FLOAT, (sizes[0] if len(sizes) > 1 else 1, step.number("targets", 1))) if sizes else None


_AMENDED: Final[Mapping[str, Callable[[Step], Value | None]]] = {
    "Range": _range,
    "OneHot": _one_hot,
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow"), _window),
    "MelWeightMatrix": _mel,
    "STFT": _stft,
    **dict.fromkeys(("LinearRegressor", "SVMRegressor"), _regressed),
    **dict.fromkeys(
        ("GroupNormalization", "MeanVarianceNormalization", "Imputer", "Normalizer", "Scaler"), _like_first
    ),
}
