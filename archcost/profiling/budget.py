"""Budgets: what a network may cost, as YAML, and a verdict on each limit."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, ConfigDict, WithJsonSchema, model_validator
from pydantic.config import JsonDict

from archcost.config import document
from archcost.config.document import Document
from archcost.config.types import LARGEST, Strict, wrong
from archcost.config.validation import conform, shown
from archcost.errors import InputError, Mistake
from archcost.latency.summary import Latency
from archcost.profiling.bounds import said
from archcost.units import data_size, duration, parse_count, parse_latency, parse_size, scaled

UNITS: Final = {"params": "scalars", "macs": "MACs", "memory": "bytes", "weights": "bytes", "latency": "seconds"}
"""The limits there are, in the order in which they are judged, and the unit of each."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a network may cost at most, None: without limit.

    memory_bytes: at the peak; latency_s: of the median. Raises InputError for every limit that cannot be, and where
    there is none at all.
    """

    params: int | None = None
    macs: int | None = None
    memory_bytes: int | None = None
    weights_bytes: int | None = None
    latency_s: float | None = None

    def __post_init__(self) -> None:
        if mistakes := tuple(_mistakes(self)):
            raise InputError(*mistakes)

    def limits(self) -> dict[str, float]:
        """Return the limits that are set, under the names of UNITS, in base units."""
        each = zip(UNITS, fields(self), strict=True)
        return {name: value for name, field in each if (value := getattr(self, field.name)) is not None}


def _mistakes(budget: Budget) -> Iterator[Mistake]:
    limits = budget.limits()
    if not limits:
        yield Mistake("the budget sets no limit")
    for name, value in limits.items():
        whole = name != "latency"
        kinds = (int,) if whole else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool) or not 0 < value < math.inf:  # NaN fails too
            allowed = "an integer of at least 1" if whole else "a number of seconds above 0"
            yield Mistake(f"given {value!r}; allowed: {allowed}", (name,))


@dataclass(frozen=True, slots=True)
class Memory:
    """What a network needs at one batch and dtype."""

    batch: int
    dtype: str
    peak_bytes: int
    weights_bytes: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a network when it is judged.

    memory: at every batch and dtype asked for; uncounted: operators whose MACs are not in `macs`; failures: why there
    are not more latencies.
    """

    params: int
    macs: int
    memory: tuple[Memory, ...] = ()
    latencies: tuple[Latency, ...] = ()
    uncounted: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a network keeps to one limit, None: it cannot be told; `where`: the setting it was judged in.

    limit and actual are in base units (UNITS), actual None if it is not known; `words` says why. at_least: whether
    actual is a lower bound, as operators have no count.
    """

    name: str
    where: str
    limit: float
    actual: float | None
    holds: bool | None
    words: str
    at_least: bool = False

    @property
    def share(self) -> float | None:
        """How much of the limit is used: 1 is all of it."""
        return None if self.actual is None else self.actual / self.limit

    def to_dict(self) -> dict[str, object]:
        """Return the verdict as JSON holds it."""
        return {**asdict(self), "unit": UNITS[self.name], "share": self.share}


def judge(budget: Budget, facts: Facts) -> tuple[Verdict, ...]:
    """Return a verdict on every limit, and where it depends on one, on every setting the facts know.

    Counts hold where they are at most the limit, to the last unit. MACs that leave operators out are a lower bound:
    they can be too many, never few enough. For time, see `judge_latency`; what was not measured cannot be told.
    """
    found: list[Verdict] = []
    for name, limit in budget.limits().items():
        verdicts = list(_judged(name, limit, facts))
        found += verdicts or [Verdict(name, "", limit, None, None, "not measured")]
    return tuple(found)


def _judged(name: str, limit: float, facts: Facts) -> Iterator[Verdict]:
    match name:
        case "params":
            yield _count(name, "", limit, facts.params)
        case "macs":
            yield _macs(limit, facts)
        case "memory":
            for at in facts.memory:
                yield _count(name, f"batch {at.batch}, {at.dtype}", limit, at.peak_bytes)
        case "weights":
            for dtype, size in {at.dtype: at.weights_bytes for at in facts.memory}.items():
                yield _count(name, dtype, limit, size)
        case _:
            yield from (judge_latency(limit, latency) for latency in facts.latencies)
            yield from (Verdict(name, "", limit, None, None, f"not measured: {why}") for why in facts.failures)


def _count(name: str, where: str, limit: float, actual: int) -> Verdict:
    left = int(limit) - actual
    amount = data_size(abs(left)) if UNITS[name] == "bytes" else scaled(abs(left))
    return Verdict(name, where, limit, actual, left >= 0, f"{amount} left" if left >= 0 else f"{amount} over")


def _macs(limit: float, facts: Facts) -> Verdict:
    verdict = _count("macs", "", limit, facts.macs)
    if not facts.uncounted:
        return verdict
    if verdict.holds is False:
        return replace(verdict, words=said(verdict.words, least=True), at_least=True)
    return replace(verdict, holds=None, words=f"no count for {', '.join(facts.uncounted)}", at_least=True)


def judge_latency(limit_s: float, latency: Latency) -> Verdict:
    """Return whether a median keeps to a limit, judged by the range of its blocks' medians.

    It holds where the whole interval is at most the limit, also if the measurement was disturbed: waiting for a
    core and a warm-up cut short make calls slower, not faster. It does not hold where the whole interval is above the
    limit; a disturbed measurement shows that only if not even its fastest call met the limit. All else, the limit
    inside the interval or fewer than the 6 blocks an interval needs, cannot be told.
    """
    holds, words = _compared(limit_s, latency)
    doubts = "" if latency.stable else f"; not stable: {latency.why}"
    return Verdict("latency", str(latency.way), limit_s, latency.median_s, holds, words + doubts)


def _compared(limit_s: float, latency: Latency) -> tuple[bool | None, str]:
    if latency.interval_s is None:
        return None, f"{latency.blocks} blocks are too few for an interval"
    low, high = latency.interval_s
    words = f"blocks {duration(low)} to {duration(high)}"
    if high <= limit_s:
        return True, words
    if low <= limit_s:
        return None, f"{words}: the limit is inside"
    if not latency.stable and latency.min_s <= limit_s:
        return None, f"{words}, but the fastest call, {duration(latency.min_s)}, met the limit"
    return False, words


_NUMBER: Final = r"[0-9]+(\.[0-9]+)? *"


def _reader(parse: Callable[[str], float]) -> BeforeValidator:
    def read(value: object) -> float:
        try:
            return parse(value if isinstance(value, str) else shown(value))  # a bare number is read as its text
        except ValueError as error:
            raise wrong(str(error)) from None

    return BeforeValidator(read)


def _either(units: str) -> WithJsonSchema:
    text = {"type": "string", "pattern": f"^{_NUMBER}({units})?$"}
    return WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": LARGEST}, text]})


# None is what a limit is that is left out; one that is written as null is refused: it would look like a limit
Count: TypeAlias = Annotated[int | None, _reader(parse_count), _either("[kMGT]")]
Size: TypeAlias = Annotated[int | None, _reader(parse_size), _either("B|[kMGT]B|[KMGT]iB")]
Time: TypeAlias = Annotated[
    float | None,
    _reader(parse_latency),
    WithJsonSchema({"type": "string", "pattern": f"^{_NUMBER}(us|ms|s)$"}),
]


def _without_null(schema: JsonDict) -> None:
    """State in a JSON Schema that at least one limit is there, and that none is null."""
    schema["minProperties"] = 1
    keys = schema["properties"]
    assert isinstance(keys, dict)
    for key in keys.values():
        assert isinstance(key, dict)
        del key["default"]


class Limits(Strict):
    """What a network may cost at most; at least one limit."""

    model_config = ConfigDict(json_schema_extra=_without_null)

    params: Count = None
    """Parameters: `1500000`, `1.5M` (k, M, G, T: 10^3 to 10^12)."""
    macs: Count = None
    """Multiply-accumulates of one example: `50M`."""
    memory: Size = None
    """Weights and the largest set of values alive at once, in bytes: `64 MB` (10^6), `64 MiB` (2^20)."""
    weights: Size = None
    """Parameters and buffers, in bytes: `10 MB`."""
    latency: Time = None
    """The median time of a call, with its unit: `5 ms` (ns, us, ms, s)."""

    @model_validator(mode="after")
    def _some(self) -> Limits:
        if not self.model_fields_set:
            raise wrong(f"sets no limit; allowed: one or more of {', '.join(UNITS)}")
        return self

    def budget(self) -> Budget:
        """Return the limits in base units."""
        return Budget(self.params, self.macs, self.memory, self.weights, self.latency)


def load_budget(path: str | os.PathLike[str]) -> Budget:
    """Return the budget a file holds; raises InputError with every mistake found, each with file, line and column."""
    return read_budget(document.read_file(path))


def read_budget(source: Document) -> Budget:
    """Return the budget a document describes."""
    return conform(source, Limits).budget()


def budget_of(given: object) -> Budget:
    """Return the budget that a file, a mapping of its keys or a Budget is; a latency may be a number of seconds.

    Raises InputError with every mistake found.
    """
    match given:
        case Budget():
            return given
        case Mapping():
            return _of_mapping({str(key): value for key, value in given.items()})
        case str() | os.PathLike():
            return load_budget(given)
        case _:
            allowed = "a file, a mapping of limits or a Budget"
            raise InputError(Mistake(f"given {type(given).__name__}; allowed: {allowed}", ("budget",)))


def _of_mapping(limits: Mapping[str, Any]) -> Budget:
    latency = limits.get("latency")
    if isinstance(latency, bool) or not isinstance(latency, int | float):
        return read_budget(Document("budget", dict(limits), {}, {}))
    rest = {key: value for key, value in limits.items() if key != "latency"}
    counts = read_budget(Document("budget", rest, {}, {})) if rest else Budget(latency_s=latency)
    return replace(counts, latency_s=latency)
