"""The dtypes of tensors by the names torch gives them, with the bytes one value takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

Floating: TypeAlias = Literal["float32", "bfloat16", "float16", "float64"]
"""What a network is computed in."""

Dtype: TypeAlias = Literal[Floating, "int64", "int32", "bool"]
"""What a network may be given."""

FLOATING: Final[tuple[Floating, ...]] = get_args(Floating)
DTYPES: Final[tuple[Dtype, ...]] = get_args(Dtype)
BYTES: Final[Mapping[str, int]] = {
    "float32": 4,
    "bfloat16": 2,
    "float16": 2,
    "float64": 8,
    "int64": 8,
    "int32": 4,
    "bool": 1,
}
