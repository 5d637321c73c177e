"""Bursts of samples, and how they are kept: thousands as one text, read when it is needed.

The text is a quarter as long as JSON's numbers, and nothing of them is lost: the eight bytes of each are sorted by
their weight, deflated, and written in base 64. A checksum stands first, so that what was changed is found when a text
is met, not when it is read.
"""

from __future__ import annotations

import sys
import zlib
from abc import abstractmethod
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from math import isnan, nan
from typing import Final, TypeVar, final, overload

from pydantic_core import CoreSchema, core_schema

from archcost.latency.statistics import median

_T_co = TypeVar("_T_co", covariant=True)

_BYTES: Final = 8  # of a number
_LATELY: Final = 64  # texts that are not read again if they were among the last
_FIELDS: Final = 7  # of a burst: how many samples it has, and what is known besides


@final
@dataclass(frozen=True, slots=True)
class Burst:
    """Samples taken in a row, apart from other bursts by a pause; `wall_s` is the time all of it took.

    A sample is the time of one call, or, where one call is too short for a clock, the mean of several.
    calibration_s: what a fixed kernel took next to it, None if the target has none; cpu_s: CPU time of the process;
    waited_s: summed over threads, the time they were ready and had no core; these two None if not known; process,
    copy: which of those that the network ran in, and which of the network's copies there, each in memory of its own.
    """

    samples_s: tuple[float, ...]
    wall_s: float
    calibration_s: float | None = None
    cpu_s: float | None = None
    waited_s: float | None = None
    process: int = 0
    copy: int = 0


class Packed(Sequence[_T_co]):
    """A sequence that is kept as a text: how many items it has, how many samples, and their median are known unread.

    Raises ValueError if the text is not one that `packed_seconds` or `packed_bursts` gave.
    """

    __slots__ = ("_count", "median_s", "samples", "text")

    def __init__(self, text: str) -> None:
        check, _, rest = text.partition(":")
        parts = rest.split(":")
        if len(parts) != 4 or f"{zlib.crc32(rest.encode()):08x}" != check:
            raise ValueError("samples were changed since they were kept: their checksum is another one")
        self.text: Final = text
        self._count, self.samples, self.median_s = int(parts[0]), int(parts[1]), float(parts[2])

    @property
    @abstractmethod
    def _items(self) -> tuple[_T_co, ...]:
        """Everything, read now."""

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[_T_co]:
        return iter(self._items)

    @overload
    def __getitem__(self, place: int) -> _T_co: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[_T_co, ...]: ...
    def __getitem__(self, place: int | slice) -> _T_co | tuple[_T_co, ...]:
        return self._items[place]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Packed):
            alike = (self._count, self.samples, self.median_s) == (other._count, other.samples, other.median_s)
            return self.text == other.text or (alike and self._items == other._items)
        return self._items == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._items)  # as that of an equal tuple

    def __deepcopy__(self, _: object) -> Packed[_T_co]:
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> CoreSchema:
        """Return what makes it of a text, and a text of it."""
        text = core_schema.plain_serializer_function_ser_schema(lambda packed: packed.text)
        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(strict=True), serialization=text
        )


@final
class Seconds(Packed[float]):
    """Durations."""

    __slots__ = ()

    @property
    def _items(self) -> tuple[float, ...]:
        return _numbers(self.text)


@final
class Bursts(Packed[Burst]):
    """Bursts."""

    __slots__ = ()

    @property
    def _items(self) -> tuple[Burst, ...]:
        return _bursts(self.text)


def packed_seconds(durations: Sequence[float]) -> Seconds:
    """Return durations packed, of which there may be none."""
    return durations if isinstance(durations, Seconds) else Seconds(_text(durations, len(durations), durations))


def packed_bursts(bursts: Sequence[Burst]) -> Bursts:
    """Return bursts packed, which have a sample at least."""
    if isinstance(bursts, Bursts):
        return bursts
    every = [sample for burst in bursts for sample in burst.samples_s]
    known = chain.from_iterable(_known(burst) for burst in bursts)
    return Bursts(_text([*known, *every], len(bursts), every))


def _known(burst: Burst) -> tuple[float, ...]:
    perhaps = (burst.calibration_s, burst.cpu_s, burst.waited_s)
    return (len(burst.samples_s), burst.wall_s, *(nan if each is None else each for each in perhaps),
            burst.process, burst.copy)  # fmt: skip


def _text(numbers: Iterable[float], count: int, samples: Sequence[float]) -> str:
    raw = _little(array("d", numbers)).tobytes()
    sorted_ = b"".join(raw[place::_BYTES] for place in range(_BYTES))
    middle = median(samples) if samples else nan
    rest = f"{count}:{len(samples)}:{middle!r}:{b64encode(zlib.compress(sorted_)).decode()}"
    return f"{zlib.crc32(rest.encode()):08x}:{rest}"


@lru_cache(_LATELY)
def _numbers(text: str) -> tuple[float, ...]:
    sorted_ = zlib.decompress(b64decode(text.rpartition(":")[2]))
    raw, count = bytearray(len(sorted_)), len(sorted_) // _BYTES
    for place in range(_BYTES):
        raw[place::_BYTES] = sorted_[place * count : (place + 1) * count]
    return tuple(_little(array("d", bytes(raw))))


@lru_cache(_LATELY)
def _bursts(text: str) -> tuple[Burst, ...]:
    count = int(text.split(":", 2)[1])
    numbers = _numbers(text)
    known = [numbers[_FIELDS * place : _FIELDS * (place + 1)] for place in range(count)]
    ends = list(accumulate((int(size) for size, *_ in known), initial=_FIELDS * count))
    return tuple(
        _burst(numbers[low:high], *rest) for (low, high), (_, *rest) in zip(pairwise(ends), known, strict=True)
    )


def _burst(samples_s: tuple[float, ...], wall_s: float, *rest: float) -> Burst:
    calibration_s, cpu_s, waited_s = (None if isnan(each) else each for each in rest[:3])
    process, copy = map(int, rest[3:])
    return Burst(samples_s, wall_s, calibration_s, cpu_s, waited_s, process, copy)


def _little(numbers: array[float]) -> array[float]:
    """Return numbers with their least byte first, or from that order."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def as_texts(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Return a mapping with the text of what is packed: a `dict_factory` of `dataclasses.asdict`, for JSON."""
    return {key: value.text if isinstance(value, Packed) else value for key, value in pairs}
