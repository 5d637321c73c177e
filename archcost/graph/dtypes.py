"""The dtypes of tensors by the names torch gives them, with the bytes one value takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

Floating: TypeAlias = Literal["float32", "bfloat16", "float16", "float64"]
"""What a network is computed in."""

Dtype: TypeAlias = Literal[Floating, "int64", "int32", "bool"]
"""What a network may be given."""

Precision: TypeAlias = Literal[Floating, "int8"]
"""What a network may run in; int8: its products alone, with weights and activations of 8 bits, all else in float32."""

FLOATING: Final[tuple[Floating, ...]] = get_args(Floating)
DTYPES: Final[tuple[Dtype, ...]] = get_args(Dtype)
INT8: Final = "int8"
PRECISIONS: Final[tuple[Precision, ...]] = (*FLOATING, INT8)
BYTES: Final[Mapping[str, int]] = {
    "float32": 4,
    "bfloat16": 2,
    "float16": 2,
    "float64": 8,
    "int64": 8,
    "int32": 4,
    "bool": 1,
}


def unquantised(precision: str) -> str:
    """Return the type of what is not quantised at a precision: of a floating one itself, of int8 float32."""
    return "float32" if precision == INT8 else precision
