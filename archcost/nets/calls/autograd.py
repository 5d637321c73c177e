"""What a call needs of autograd, and the mode that it runs in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import torch

Autograd: TypeAlias = Literal["off", "own", "on"]
"""off: nothing. own: the forward enables gradients itself. on: it differentiates, and runs with gradients only."""


@contextmanager
def recording(autograd: Autograd) -> Iterator[None]:
    """Run as little under autograd as a call bears; outside inference mode, whose tensors no gradient goes through."""
    with torch.inference_mode(False), torch.set_grad_enabled(autograd == "on"):
        yield
