"""Scaling and printing of numbers: data holds base units, only this file scales them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from archcost.errors import quoted, shorten, visible

_DECIMAL: Final = (("E", 10**18), ("P", 10**15), ("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3))
_SECONDS: Final = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))

_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(us|ms|s|m|h)?")
_IN_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LARGEST: Final = 2**53  # beyond it a float64, and so many a JSON reader, skips integers
_QUANTITY: Final = re.compile(r"([0-9]{1,16}(?:\.[0-9]{1,16})?)[ ]{0,8}([a-zA-Z]{0,3})")
_COUNTS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_DECIMAL_SIZES: Final = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZES: Final = {**_DECIMAL_SIZES, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_LATENCIES: Final = {"ns": Fraction(1, 10**9), "us": Fraction(1, 10**6), "ms": Fraction(1, 10**3), "s": Fraction(1)}
_BATCHES: Final = re.compile(r"([0-9]{1,12})(?:\.\.([0-9]{1,12}))?")
_SHARE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(%)?")


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


def signed_duration(span_s: float) -> str:
    """Return a difference of seconds with its sign: 0.01863 -> '+18.6 ms'."""
    return f"{'+' if span_s > 0 else ''}{duration(span_s)}"


def typed_duration(value_s: float) -> str:
    """Return a number of seconds as options take it, two digits of it and rounded up: 836.5 -> '840s'."""
    step = 10.0 ** (math.floor(math.log10(value_s)) - 1)
    rounded = math.ceil(value_s / step * (1 - 1e-9)) * step
    return f"{rounded:.0f}s" if step >= 1 else f"{rounded:.9f}".rstrip("0").rstrip(".") + "s"


def grouped(value: int) -> str:
    """Return an exact integer with its digits in groups of three: 25557032 -> '25,557,032'."""
    return f"{value:,}"


def counted_words(count: int, noun: str) -> str:
    """Return a number of things in words: 1 -> '1 thread', 1024 -> '1,024 threads'."""
    return f"{grouped(count)} {noun}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    """Return a share of 1 as a percentage with one digit: 0.0312 -> '3.1%'."""
    return f"{share * 100:.1f}%"


def points(share: float) -> str:
    """Return a difference of two percentages in points, with one digit: 0.0312 -> '3.1 points'."""
    return f"{share * 100:.1f} points"


def parse_duration(text: str) -> float:
    """Return the seconds that `10s`, `500 ms`, `1.5m`, `2h` or a bare number mean; raises ValueError otherwise."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not float(match[1]) > 0:
        raise ValueError(f"given '{text}'; allowed: a time above 0, such as 10s, 500ms or 2m")
    return float(match[1]) * _IN_SECONDS[match[2] or "s"]


def parse_share(text: str) -> float:
    """Return the share of 1 that `2%` or `0.02` mean; raises ValueError otherwise."""
    match = _SHARE.fullmatch(text.strip())
    value = float(match[1]) / (100 if match[2] else 1) if match else 0
    if not 0 < value < 1:
        raise ValueError(f"given '{text}'; allowed: a share such as 2% or 0.02, above 0 and below 1")
    return value


def parse_batches(text: str) -> tuple[int, ...]:
    """Return the batch sizes that `8`, `1..64` (doubled up to the last) or several with commas mean, each once.

    Raises ValueError otherwise.
    """
    found = [_BATCHES.fullmatch(part.strip()) for part in text.split(",")]
    ends = [(int(each[1]), int(each[2] or each[1])) if each else (0, 0) for each in found]
    if not all(1 <= first <= last for first, last in ends):
        allowed = "an integer of at least 1, a range such as 1..64, or several such as 1,8,64"
        raise ValueError(f"batch: given {visible(shorten(text))}; allowed: {allowed}")
    return tuple(dict.fromkeys(first * 2**i for first, last in ends for i in range(64) if first * 2**i <= last))


def parse_count(text: str) -> int:
    """Return the integer that `1500000` or `1.5M` mean (k, M, G, T: 10^3 to 10^12); raises ValueError otherwise."""
    return _whole(text, _COUNTS, "1 to 2^53, also with k, M, G or T, such as 1.5M")


def parse_size(text: str) -> int:
    """Return the bytes that `64 MB` (10^6), `64 MiB` (2^20) or a bare integer mean; raises ValueError otherwise."""
    return _whole(text, _SIZES, "1 to 2^53 bytes, also in kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 64 MB")


def parse_latency(text: str) -> float:
    """Return the seconds that `5 ms`, `800us` or `0.1 s` mean; raises ValueError otherwise, also without a unit."""
    value = _quantity(text, _LATENCIES)
    if not value:
        raise ValueError(f"given {quoted(text)}; allowed: a time above 0 in us, ms or s, such as 5 ms")
    return float(value)


def _whole(text: str, factors: Mapping[str, int], allowed: str) -> int:
    value = _quantity(text, factors)
    if value is None or value.denominator != 1 or not 1 <= value <= _LARGEST:
        raise ValueError(f"given {quoted(text)}; allowed: a whole number, {allowed}")
    return value.numerator


def _quantity(text: str, factors: Mapping[str, int | Fraction]) -> Fraction | None:
    """Return a number times its unit, exactly; None if it is none, or the unit is not one of `factors`."""
    match = _QUANTITY.fullmatch(text.strip())
    return Fraction(match[1]) * factors[match[2]] if match and match[2] in factors else None


def scalar_words(value: object) -> str:
    """Return a drawn value as people read it: four digits of a number that is not whole."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
