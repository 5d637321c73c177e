"""Complex numbers: a complex multiply-add is four real ones, with a real number two."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import RLock
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

_CONVOLUTIONS: Final = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_IN_REAL: Final = "_fft"
_PATCHING: Final = RLock()


def real_products(name: str, args: Sequence[Any]) -> int:
    """Return how many real multiply-adds one that an operator's rule counts takes: 4, 2 or 1.

    (a + bi)(c + di) has the products ac, bd, ad and bc; if one side is real, two of them. The rule of a Fourier
    transform counts real ones already.
    """
    if name.startswith(_IN_REAL):
        return 1
    found = [value.is_complex() for value in args if isinstance(value, Tensor)]
    if not any(found):
        return 1
    return 4 if all(found) else 2


@contextmanager
def complex_convolutions() -> Iterator[None]:
    """Let a convolution of complex numbers be the four real ones of its definition.

    torch takes it apart above the operators that a count sees, into three real ones: (a + b)(c + d) - ac - bd gives
    ad + bc with one product (Gauss). A count is of the definition, as it is where a kernel multiplies less. The lock
    keeps two threads from putting back each other's.
    """
    places = [(where, name, getattr(where, name)) for where in (functional, torch) for name in _CONVOLUTIONS]
    with _PATCHING:
        for where, name, own in places:
            setattr(where, name, _by_parts(own))
        try:
            yield
        finally:
            for where, name, own in places:
                setattr(where, name, own)
            _forget_rules()


@cache
def _by_parts(own: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def convolution(input: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **named: Any) -> Tensor:  # noqa: A002  # torch's own name
        if not (input.is_complex() and weight.is_complex()):
            return own(input, weight, bias, *rest, **named)
        added = (None, None) if bias is None else (bias.real, bias.imag)
        x, y, a, b = input.real, input.imag, weight.real, weight.imag
        real = own(x, a, added[0], *rest, **named) - own(y, b, None, *rest, **named)
        imaginary = own(y, a, added[1], *rest, **named) + own(x, b, None, *rest, **named)
        return torch.view_as_complex(torch.stack([real, imaginary], -1))

    return convolution


def _forget_rules() -> None:
    """Let torch's compiler look up anew what it traces: its table, if it was made in between, lacks convolutions."""
    rules = sys.modules.get("torch._dynamo.trace_rules")
    if rules is not None and functional.conv2d not in rules.get_torch_obj_rule_map():
        rules.get_torch_obj_rule_map.cache_clear()
