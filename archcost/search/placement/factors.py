"""Which factors make one list of numbers another: the rule `scale` read backwards."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, TypeAlias, assert_never

from archcost.config.document import Value
from archcost.search.domains import Choice, Domain, Real, Whole, contains

Number: TypeAlias = int | float

_MOST: Final = 1000
"""Integers that are tried: all of them make the same list."""
_NEXT: Final = 4
"""Neighbouring floats of a quotient that are tried: rounding may have moved it."""


def tried(numbers: Value, result: Value, domain: Domain) -> Iterator[Number]:
    """Yield the factors of a domain that may make a list the result, each once; all that do are among them,
    of numbers without end some.
    """
    if isinstance(domain, Choice):
        yield from (each for each in domain.options if isinstance(each, int | float) and not isinstance(each, bool))
        return
    pairs = list(_pairs(numbers, result))
    whole = isinstance(numbers, list) and all(isinstance(each, int) for each in numbers)
    found = _rounded(pairs, domain) if whole else _exact(pairs, domain)
    yield from dict.fromkeys(each for each in found if contains(domain, each))


def _pairs(numbers: Value, result: Value) -> Iterator[tuple[Number, Number]]:
    """Yield what each number above 0 became."""
    if isinstance(numbers, list) and isinstance(result, list):
        for one, other in zip(numbers, result, strict=False):
            if isinstance(one, int | float) and isinstance(other, int | float) and one > 0:
                yield one, other


def _rounded(pairs: Sequence[tuple[Number, Number]], domain: Whole | Real) -> Iterator[Number]:
    """Yield factors that round integers to others, the exact quotients first; what is less than 1 becomes 1."""
    low = max([domain.low, *(0.0 if result == 1 else (result - 0.5) / number for number, result in pairs)])
    high = min([domain.high, *((result + 0.5) / number for number, result in pairs)])
    if low > high:
        return
    match domain:
        case Whole():
            first = math.ceil((low - domain.low) / domain.step)
            last = min(math.floor((high - domain.low) / domain.step), first + _MOST)
            yield from (domain.low + domain.step * place for place in range(first, last + 1))
        case Real():
            yield from (result / number for number, result in pairs)
            yield from map(float, (low / 2 + high / 2, low, high))
        case _:
            assert_never(domain)


def _exact(pairs: Sequence[tuple[Number, Number]], domain: Whole | Real) -> Iterator[Number]:
    """Yield factors whose products, rounded as floats are, may be the result."""
    ratios = [result / number for number, result in pairs]
    match domain:
        case Whole():
            yield from (round(each) for each in ratios)
        case Real():
            yield from map(float, chain(ratios, chain.from_iterable(map(_neighbours, ratios))))
        case _:
            assert_never(domain)
    yield domain.low


def _neighbours(value: float) -> Iterator[float]:
    below = above = value
    for _ in range(_NEXT):
        below, above = math.nextafter(below, -math.inf), math.nextafter(above, math.inf)
        yield from (below, above)
