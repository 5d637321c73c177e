"""Small values that a graph computes from shapes and constants, as shapes follow from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import ceil, prod
from typing import Any, Final, TypeAlias

import numpy as np
from onnx import helper

from archcost.counting.files.onnx.rules.steps import Sizes, Step
from archcost.counting.files.onnx.tensors import SMALL

Array: TypeAlias = Any  # numpy's, of any type

_TWO: Final[Mapping[str, Callable[[Array, Array], Array]]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Equal": np.equal, "Less": np.less, "Greater": np.greater,
    "LessOrEqual": np.less_equal, "GreaterOrEqual": np.greater_equal, "And": np.logical_and, "Or": np.logical_or,
    "Xor": np.logical_xor, "Pow": lambda a, b: np.power(a, b).astype(a.dtype),
}  # fmt: skip
_ONE: Final[Mapping[str, Callable[[Array], Array]]] = {
    "Identity": np.asarray, "Neg": np.negative, "Abs": np.abs, "Not": np.logical_not, "Floor": np.floor,
    "Ceil": np.ceil, "Sqrt": np.sqrt, "Sign": np.sign, "Round": np.round,
}  # fmt: skip
_SEVERAL: Final[Mapping[str, Callable[[Array, Array], Array]]] = {
    "Min": np.minimum, "Max": np.maximum, "Sum": np.add,
}  # fmt: skip
_REDUCED: Final[Mapping[str, Callable[..., Array]]] = {
    "ReduceProd": np.prod, "ReduceSum": np.sum, "ReduceMax": np.max, "ReduceMin": np.min,
}  # fmt: skip


def computed(step: Step, sizes: Sequence[Sizes | None]) -> list[Array | None]:
    """Return what a node gives where it follows from what is known and is small, else None; `sizes`: of its results."""
    if step.op == "Split" and not step.domain and step.has(0) and (whole := step.input(0).known) is not None:
        return _parts(whole, step, sizes)
    first = None if step.domain or not sizes else _computed(step, sizes[0])
    return [first, *[None] * (len(sizes) - 1)][: len(sizes)]


def _parts(whole: Array, step: Step, sizes: Sequence[Sizes | None]) -> list[Array | None]:
    axis = step.number("axis") % max(1, whole.ndim)
    lengths = [each[axis] if each and len(each) == whole.ndim else None for each in sizes]
    known = [length for length in lengths if length is not None]
    if len(known) != len(lengths) or not whole.ndim:
        return [None] * len(sizes)
    ends = accumulate(known)
    return [np.take(whole, range(end - size, end), axis) for end, size in zip(ends, known, strict=True)]


def _computed(step: Step, sizes: Sizes | None) -> Array | None:
    if step.op in ("Shape", "Size"):
        return _of_shape(step)
    inputs = [None if value is None else value.known for value in step.inputs]
    # the second of a Where that is not taken need not be known, nor does Expand's or Reshape's own storage
    small = sizes is not None and None not in sizes and prod(size or 0 for size in sizes) <= SMALL
    if not small or not inputs or any(value is not None and value.known is None for value in step.inputs):
        return None
    try:
        with np.errstate(all="ignore"):
            made = _made(step, inputs)
    except (ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError):
        return None
    return None if made is None or made.size > SMALL else made


def _of_shape(step: Step) -> Array | None:
    sizes = step.input(0).sizes
    if sizes is None:
        return None
    if step.op == "Size":
        return None if None in sizes else np.array(prod(size or 0 for size in sizes), np.int64)
    part = sizes[step.number("start") : step.number("end") if "end" in step.attributes else None]
    return None if None in part else np.array(part, np.int64)


def _made(step: Step, inputs: list[Array]) -> Array | None:
    if (two := _TWO.get(step.op)) is not None:
        return two(inputs[0], inputs[1])
    if (one := _ONE.get(step.op)) is not None:
        return one(inputs[0])
    if (several := _SEVERAL.get(step.op)) is not None:
        total = inputs[0]
        for value in inputs[1:]:
            total = several(total, value)
        return total
    if (reduced := _REDUCED.get(step.op)) is not None:
        axes = tuple(inputs[1].tolist()) if len(inputs) > 1 and inputs[1] is not None else step.numbers("axes") or None
        if axes is None and step.number("noop_with_empty_axes"):
            return np.asarray(inputs[0])
        return np.asarray(reduced(inputs[0], axis=axes, keepdims=bool(step.number("keepdims", 1))))
    return _moved(step, inputs)


def _moved(step: Step, inputs: list[Array]) -> Array | None:
    """Return what the operators give that move values, or choose among them."""
    first = inputs[0]
    match step.op:
        case "Div":
            whole = np.issubdtype(first.dtype, np.integer)
            return np.trunc(first / inputs[1]).astype(first.dtype) if whole else first / inputs[1]
        case "Mod":
            return (np.fmod if step.number("fmod") else np.mod)(first, inputs[1])
        case "Where":
            return np.where(first, inputs[1], inputs[2])
        case "Cast":
            return first.astype(helper.tensor_dtype_to_np_dtype(step.number("to")))
        case "Concat":
            return np.concatenate(inputs, axis=step.number("axis"))
        case "Gather":
            return np.take(first, inputs[1], axis=step.number("axis"))
        case "Slice":
            return _sliced(step, inputs)
        case "Squeeze" | "Unsqueeze":
            return _squeezed(step, inputs)
        case "Reshape":
            return first.reshape([first.shape[i] if n == 0 else n for i, n in enumerate(inputs[1].tolist())])
        case "Flatten":
            axis = step.number("axis", 1) % (first.ndim + 1)
            return first.reshape(prod(first.shape[:axis]), -1)
        case "Transpose":
            return first.transpose(step.numbers("perm") or None)
        case "Expand":
            return first * np.ones(inputs[1].tolist(), first.dtype)
        case "Tile":
            return np.tile(first, inputs[1].tolist())
        case "ConstantOfShape":
            filled = step.attributes.get("value")
            return np.full(
                first.tolist(), 0.0 if filled is None else filled.reshape(-1)[0], getattr(filled, "dtype", np.float32)
            )
        case "Range":
            return _ranged(first.item(), inputs[1].item(), inputs[2].item(), first.dtype)
        case _:
            return None


def _ranged(start: float, end: float, by: float, kind: Any) -> Array:
    return np.array([start + place * by for place in range(max(0, ceil((end - start) / by)))], kind)


def _sliced(step: Step, inputs: list[Array]) -> Array:
    """Slice: starts, ends, axes and steps are inputs, or attributes before version 10."""
    given = [None if each is None else each.tolist() for each in inputs[1:]]
    starts, ends, axes, steps = (
        (given + [None] * 4)[:4]
        if given
        else [step.numbers(name) or None for name in ("starts", "ends", "axes", "steps")]
    )
    if starts is None or ends is None:
        raise ValueError  # it is what a Slice has to have
    cut = [slice(None)] * inputs[0].ndim
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        by = steps[place] if steps else 1
        past = by < 0 and end < -inputs[0].shape[axes[place] if axes else place]
        cut[axes[place] if axes else place] = slice(start, None if past else end, by)
    return inputs[0][tuple(cut)]


def _squeezed(step: Step, inputs: list[Array]) -> Array:
    axes = tuple(inputs[1].reshape(-1).tolist()) if len(inputs) > 1 and inputs[1] is not None else step.numbers("axes")
    if step.op == "Squeeze":
        return np.squeeze(inputs[0], axes or None)
    return np.expand_dims(inputs[0], axes)


def constant(content: Any) -> Array | None:
    """Return the content of a Constant that is written as an attribute, None of texts and of what is too large."""
    if isinstance(content, np.ndarray):
        return content
    numbers = content if isinstance(content, list | tuple) else [content]
    if len(numbers) > SMALL or not all(isinstance(number, int | float) for number in numbers):
        return None
    kind = np.int64 if all(isinstance(number, int) for number in numbers) else np.float32
    return np.array(content, kind)


def elem_of(value: Array) -> int:
    """Return the number of an array's type in ONNX."""
    return int(helper.np_dtype_to_tensor_dtype(value.dtype))
