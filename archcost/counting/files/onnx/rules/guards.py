"""Bounds of attributes, beyond which ONNX's own shape functions end the process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from archcost.counting.files.onnx.rules.steps import Step
from archcost.counting.files.onnx.tensors import LARGEST
from archcost.errors import InputError, quoted

_POSITIVE: Final = frozenset(
    """strides dilations kernel_shape group blocksize block_size num_heads hidden_size q_num_heads
    kv_num_heads sampling_ratio output_height output_width size""".split()
)
"""Attributes that are sizes, or that shape functions divide by."""
_ONE_MORE: Final = frozenset("Flatten OneHot Unsqueeze ConcatFromSequence".split())
"""Operators whose axes are those of a value with one axis more than their first input, or may stand behind the last."""
_OF_PLACES: Final[Mapping[str, int]] = {"strides": 1, "dilations": 1, "kernel_shape": 1, "pads": 2, "output_padding": 1}
"""Attributes with so many numbers for each axis of space: all axes but those of examples and channels."""
_SPATIAL: Final = frozenset(
    """Conv ConvTranspose ConvInteger QLinearConv DeformConv MaxPool AveragePool LpPool MaxUnpool""".split()
)
_AXES: Final = frozenset({"axis", "axes", "perm", "batch_axis", "time_axis", "scan_input_axes"})


def refuse(step: Step, label: str) -> None:
    """Raise InputError if an attribute is out of its bounds."""
    for words in _wrong(step):
        raise InputError(f"{label} has {words}")


def _wrong(step: Step) -> Iterator[str]:
    rank = _rank(step, 0)
    for name, value in step.attributes.items():
        numbers = [value] if isinstance(value, int) else value if isinstance(value, list | tuple) else []
        given = ", ".join(str(number) for number in list(numbers)[:4])
        if not all(isinstance(number, int) for number in numbers):
            continue
        if name in _POSITIVE and any(not 0 < number <= LARGEST for number in numbers):
            yield f"{quoted(name)} of {given}; allowed: from 1"
        elif name in _AXES and rank is not None:
            most = rank + len(numbers) if step.op in _ONE_MORE else max(rank, 1)
            if any(not -most <= number < most for number in numbers) and not (step.op in _ONE_MORE and rank in numbers):
                yield f"{quoted(name)} of {given}; allowed: {-most} to {most - 1}, the axes of its input"
        elif name == "batch_dims" and any(not 0 <= number < _least(step) for number in numbers):
            yield f"'batch_dims' of {given}; allowed: from 0, fewer than its inputs have axes"
        elif name in _OF_PLACES and step.op in _SPATIAL and rank is not None and isinstance(value, list | tuple):
            count = _OF_PLACES[name] * max(rank - 2, 0)
            if len(numbers) != count:
                yield f"{len(numbers)} numbers as {quoted(name)}; allowed: {count}, for its input's axes"
        elif name == "num_outputs" and not 0 < step.number(name) <= len(step.outputs):
            yield f"'num_outputs' of {given}; allowed: {len(step.outputs)}, the outputs that it has"


def _rank(step: Step, place: int) -> int | None:
    sizes: Any = step.inputs[place].sizes if step.has(place) else None  # type: ignore[union-attr]  # it has it
    return None if sizes is None else len(sizes)


def _least(step: Step) -> int:
    ranks = [rank for place in range(len(step.inputs)) if (rank := _rank(step, place)) is not None]
    return min(ranks, default=LARGEST)
