"""Fourier transforms: 5 n log2 n operations, half as many multiply-adds.

The convention of FFTW's benchmark (Frigo and Johnson, http://www.fftw.org/speed), where n is the product of all
dimensions that are transformed; whether n is a power of two does not matter to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, log2, prod
from typing import Any, Final

from archcost.counting.rules.rule import Args, Rule, each


def transform_macs(points: int, *, real: bool) -> int:
    """Return the multiply-adds of one transform of so many points, rounded up."""
    stages = points.bit_length() - 1 if points & (points - 1) == 0 else log2(points)
    return ceil(Fraction(5, 4 if real else 2) * points * Fraction(stages)) if points > 0 else 0


def _batched(full: Any, dimensions: Any, *, real: bool) -> int:
    """Return the multiply-adds of all transforms of values of shape `full`, which real ones have on one side."""
    points = prod(full[d] for d in dimensions)
    return prod(full) // points * transform_macs(points, real=real) if points else 0


def _complex(args: Args, _: Any) -> int:
    """(x, dimensions, ...)."""
    return _batched(args[0].shape, args[1], real=False)


def _from_real(args: Args, _: Any) -> int:
    """(real x, dimensions, ...)."""
    return _batched(args[0].shape, args[1], real=True)


def _to_real(args: Args, out: Any) -> int:
    """(half of a spectrum, dimensions, ...) -> real values."""
    return _batched(out.shape, args[1], real=True)


FFT: Final[Mapping[str, Rule]] = {
    **each("_fft_c2c", _complex),
    **each("_fft_r2c", _from_real),
    **each("_fft_c2r", _to_real),
}
