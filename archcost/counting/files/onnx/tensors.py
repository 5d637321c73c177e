"""Tensors in an ONNX file: types, whether their data are there, values of small ones."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from archcost.errors import InputError, quoted

LARGEST: Final = 2**53
"""The most values that a tensor may have: beyond it counts are not exact in JSON."""
SMALL: Final = 4096
"""The most values of a tensor whose values are looked at: shapes, axes, sizes."""

NAMES: Final[Mapping[int, str]] = {
    value: name.lower() if name not in ("FLOAT", "DOUBLE") else {"FLOAT": "float32", "DOUBLE": "float64"}[name]
    for name, value in TensorProto.DataType.items()
}
"""The names of types; those that torch has too as torch calls them."""
_BITS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("int8", "uint8", "bool", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"), 8),
    **dict.fromkeys(("float8e8m0",), 8),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 16),
    **dict.fromkeys(("float32", "int32", "uint32"), 32),
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 64),
    "complex128": 128,
    **dict.fromkeys(("int4", "uint4", "float4e2m1"), 4),
    **dict.fromkeys(("int2", "uint2"), 2),
    "string": 0,  # as long as they are
    "undefined": 0,
}
_INTEGERS: Final = frozenset("int8 uint8 int16 uint16 int32 uint32 int64 uint64 int4 uint4 int2 uint2".split())


def bits(elem: int) -> int:
    """Return the bits that one value of a type takes; 0 of texts, and of a type that is not known."""
    return _BITS.get(NAMES.get(elem, "undefined"), 0)


def is_integer(elem: int) -> bool:
    """Return whether values of a type are integers."""
    return NAMES.get(elem) in _INTEGERS


def is_floating(elem: int) -> bool:
    """Return whether values of a type are floating point, of any size."""
    return "float" in NAMES.get(elem, "")


def size_bytes(elem: int, values: int) -> int:
    """Return the bytes that so many values take, those of less than 8 bits packed."""
    return -(-bits(elem) * values // 8)


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Return the shape of a tensor."""
    return tuple(tensor.dims)


def check(tensor: Any, folder: Path) -> None:
    """Raise InputError if a tensor has no possible shape or type, or fewer or more data than these say."""
    name = quoted(tensor.name)
    if tensor.data_type not in NAMES or not tensor.data_type:
        raise InputError(f"tensor {name} has the type {tensor.data_type}, which there is not")
    values = _values(shape_of(tensor), name)
    if tensor.data_location == TensorProto.EXTERNAL:
        _outside(tensor, folder)
        return
    if tensor.HasField("segment"):
        raise InputError(f"tensor {name} is a segment of a larger one, which is not read")
    held, needed = _held(tensor), values
    if tensor.HasField("raw_data"):
        held, needed = len(tensor.raw_data), size_bytes(tensor.data_type, values)
    if held != needed:
        unit = "bytes" if tensor.HasField("raw_data") else "values"
        sizes = " x ".join(map(str, tensor.dims)) or "one value"
        raise InputError(f"tensor {name} holds {held:,} {unit} of data, its shape ({sizes}) needs {needed:,}")


def _held(tensor: Any) -> int:
    """Return how many values of a tensor are there as numbers: complex ones are pairs, small ones packed."""
    match NAMES[tensor.data_type]:
        case "float32":
            return len(tensor.float_data)
        case "complex64":
            return len(tensor.float_data) // 2
        case "float64":
            return len(tensor.double_data)
        case "complex128":
            return len(tensor.double_data) // 2
        case "int64":
            return len(tensor.int64_data)
        case "uint32" | "uint64":
            return len(tensor.uint64_data)
        case "string":
            return len(tensor.string_data)
        case _ if bits(tensor.data_type) < 8:
            # packed into bytes: the last one may be part empty
            each, values = 8 // bits(tensor.data_type), _values(shape_of(tensor), quoted(tensor.name))
            return values if len(tensor.int32_data) == -(-values // each) else len(tensor.int32_data) * each
        case _:
            return len(tensor.int32_data)


def check_sparse(sparse: Any) -> None:
    """Raise InputError if a sparse tensor has no possible shape."""
    _values(tuple(sparse.dims), quoted(sparse.values.name))


def _values(shape: tuple[int, ...], name: str) -> int:
    if any(size < 0 for size in shape) or prod(size or 1 for size in shape) > LARGEST:
        sizes = " x ".join(map(str, shape[:8]))
        raise InputError(f"tensor {name} has the shape ({sizes}); allowed: sizes from 0, at most 2^53 values in all")
    return prod(shape)


def _outside(tensor: Any, folder: Path) -> tuple[Path, int]:
    """Return the file, and the place in it, where a tensor's data are; raises InputError for one elsewhere.

    Only files of the model's own folder, or folders below it, are opened: no absolute path, no .., no link out.
    """
    name, facts = quoted(tensor.name), {entry.key: entry.value for entry in tensor.external_data}
    location = facts.get("location", "")
    parts = PurePosixPath(location.replace("\\", "/"))
    if not location or parts.is_absolute() or PureWindowsPath(location).drive or ".." in parts.parts:
        words = "allowed: a file in the folder of the model"
        raise InputError(f"tensor {name} has its data in {quoted(location)}; {words}")
    home = folder.resolve()
    try:
        file = (home / location).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise InputError(f"the data of tensor {name} are in {quoted(location)}, which is not there") from None
    if not file.is_relative_to(home) or not file.is_file():
        words = "which is no file in the folder of the model, or links out of it"
        raise InputError(f"the data of tensor {name} are in {quoted(location)}, {words}")
    try:
        offset, length = (int(facts.get(key, "") or -1) for key in ("offset", "length"))
    except ValueError:
        raise InputError(f"the place of the data of tensor {name} is no number") from None
    start, needed = max(offset, 0), size_bytes(tensor.data_type, prod(shape_of(tensor)))
    if length not in (-1, needed) or start + needed > file.stat().st_size:
        words = f"{needed:,} bytes from {start:,} on, which {quoted(location)} does not have"
        raise InputError(f"tensor {name} needs {words}")
    return file, start


def small(tensor: Any, folder: Path) -> np.ndarray[Any, Any] | None:
    """Return the values of a small tensor, None of a large one, or of one of texts; it has been checked before."""
    if prod(shape_of(tensor)) > SMALL or NAMES[tensor.data_type] == "string":
        return None
    if tensor.data_location == TensorProto.EXTERNAL:
        file, start = _outside(tensor, folder)
        with file.open("rb") as opened:
            opened.seek(start)
            raw = opened.read(size_bytes(tensor.data_type, prod(shape_of(tensor))))
        tensor = onnx.TensorProto(dims=tensor.dims, data_type=tensor.data_type, raw_data=raw)
    value: np.ndarray[Any, Any] = numpy_helper.to_array(tensor)
    return value
