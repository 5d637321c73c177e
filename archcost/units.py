"""Scaling and printing of numbers: data holds base units (seconds, bytes, scalars), only this file scales them."""

from __future__ import annotations

from typing import Final

_DECIMAL: Final = (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3))
_SECONDS: Final = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))


def _three_digits(value: float) -> str:
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f}"


def scaled(value: int, unit: str = "") -> str:
    """Return an integer with a decimal prefix and three digits: 25557032 -> '25.6 M', with a unit '25.6 MB'."""
    for prefix, factor in _DECIMAL:
        # 999,500 would print as 1000 k: the next prefix begins where the smaller one would round up
        if abs(value) >= factor * 0.9995:
            return f"{_three_digits(value / factor)} {prefix}{unit}"
    return f"{value} {unit}".rstrip()


def data_size(value_bytes: int) -> str:
    """Return a number of bytes in decimal units: 102228128 -> '102 MB' (1 MB = 10^6 bytes)."""
    return scaled(value_bytes, "B")


def duration(value_s: float) -> str:
    """Return a number of seconds with three digits: 0.01863 -> '18.6 ms'."""
    for unit, factor in _SECONDS:
        if abs(value_s) >= factor * 0.9995:
            return f"{_three_digits(value_s / factor)} {unit}"
    return f"{_three_digits(value_s / 1e-9)} ns" if value_s else "0 s"


def grouped(value: int) -> str:
    """Return an exact integer with its digits in groups of three: 25557032 -> '25,557,032'."""
    return f"{value:,}"


def percent(share: float) -> str:
    """Return a share of 1 as a percentage with one digit: 0.0312 -> '3.1%'."""
    return f"{share * 100:.1f}%"
