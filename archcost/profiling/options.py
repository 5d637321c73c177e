"""Options of the public calls, under the command line's names, as a Request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from archcost.errors import InputError, Mistake, did_you_mean, one_of
from archcost.latency.measure import Request
from archcost.units import parse_duration, parse_share


class Options(TypedDict, total=False):
    """What, where and how long to measure, as the command line names it: each of the first five one value or several.

    runtime: eager if left out, onnxruntime of an ONNX file; dtype: the network's own if left out; threads: the physical
    cores that this process may use; precision: half-width of the interval over the median at which to stop, 0.02 or
    "2%"; time: the longest for one measurement, in seconds or as text, 0.5 or "0.5s"; 10 seconds if left out.
    """

    target: str | Iterable[str]
    runtime: str | Iterable[str] | None
    batch: int | Iterable[int]
    dtype: str | Iterable[str] | None
    threads: int | Iterable[int] | None
    precision: float | str
    time: float | str | None
    cold_cache: bool


def request(options: Options, *, latency: bool = True, witness: bool = False) -> Request:
    """Return what the options ask for; raises InputError for a time or a precision that cannot be.

    An option that there is not is a TypeError, as of any call. Values of the others are checked when they are used.
    """
    names = Options.__annotations__
    for name in options:
        if name not in names:
            raise TypeError(f"there is no option '{name}'{did_you_mean(name, names)}; allowed: {one_of(names)}")
    default = Request()
    return Request(
        targets=_several(options.get("target", default.targets), str),
        runtimes=_several(options.get("runtime"), str),
        batches=_several(options.get("batch", default.batches), int),
        dtypes=_several(options.get("dtype"), str),
        threads=_several(options.get("threads"), int),
        precision=share(options.get("precision", default.precision)),
        time_s=None if (time := options.get("time")) is None else seconds(time),
        cold_cache=options.get("cold_cache", default.cold_cache),
        latency=latency,
        witness=witness,
    )


def _several(value: object, kind: type) -> tuple:  # type: ignore[type-arg]  # of `kind`, or of what Plan then refuses
    """Return one value or several as several, none for None."""
    if value is None:
        return ()
    return (value,) if isinstance(value, kind) or not isinstance(value, Iterable) else tuple(value)


def seconds(value: float | str) -> float:
    """Return a duration in seconds, given so or as text; raises InputError."""
    try:
        number = parse_duration(value) if isinstance(value, str) else value
    except ValueError as error:
        raise InputError(Mistake(str(error), ("time",))) from None
    if not _between(number, float("inf")):
        raise InputError(Mistake(f"given {value!r}; allowed: seconds above 0, or text such as '0.5s'", ("time",)))
    return number


def share(value: float | str) -> float:
    """Return a share of 1, given so or as text; raises InputError."""
    try:
        number = parse_share(value) if isinstance(value, str) else value
    except ValueError as error:
        raise InputError(Mistake(str(error), ("precision",))) from None
    if not _between(number, 1):
        allowed = "a share above 0 and below 1, or text such as '2%'"
        raise InputError(Mistake(f"given {value!r}; allowed: {allowed}", ("precision",)))
    return number


def _between(number: object, most: float) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and 0 < number < most  # NaN fails too


def one_latency(asked: Request) -> Request:
    """Return a request as it is; raises InputError if it is for more than one latency."""
    for name in ("targets", "runtimes", "batches", "dtypes", "threads"):
        if len(given := getattr(asked, name)) > 1:
            raise InputError(Mistake(f"given {len(given)}; allowed: one, as there is one latency", (name,)))
    return asked
