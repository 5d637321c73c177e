"""The types of a tensor's values as torch has them, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch

from archcost.graph.dtypes import DTYPES

TORCH: Final[Mapping[str, torch.dtype]] = {name: getattr(torch, name) for name in DTYPES}


def name_of(dtype: torch.dtype) -> str:
    """Return the name of a type, of those that torch has besides too."""
    return str(dtype).removeprefix("torch.")
