"""Values that an ONNX file is given when it is measured, drawn from a seed."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from onnx import helper

from archcost.counting.files.onnx import tensors
from archcost.counting.files.onnx.count import Opened
from archcost.errors import InputError, Mistake, quoted


def drawn(found: Opened, batch: int, seed: int) -> dict[str, Any]:
    """Return an array for each input: floating ones normally distributed, integers below what --input says, or 2."""
    generator = np.random.default_rng(seed)
    numbers = {name: elem for elem, name in tensors.NAMES.items()}
    made = {}
    for port in found.binding.ports:
        shape = found.at(batch).shapes[port.name]
        elem = numbers[port.dtype]
        if not tensors.bits(elem):
            raise InputError(Mistake(f"input {quoted(port.name)} is of type {port.dtype}; allowed: numbers, to run it"))
        kind = helper.tensor_dtype_to_np_dtype(elem)
        values: Any
        if tensors.is_floating(elem):
            values = generator.standard_normal(prod(shape))
        else:
            values = generator.integers(0, found.binding.below.get(port.name, 2), prod(shape))
        made[port.name] = values.reshape(shape).astype(kind)
    return made
