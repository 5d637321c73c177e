"""Profiles and comparisons as JSON holds them (schema 1), typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from archcost.errors import InputError, Mistake, quoted
from archcost.graph.codec import digest, unpack
from archcost.graph.graph import Graph
from archcost.latency.doubts import Doubt
from archcost.latency.samples import Failure, Way
from archcost.latency.summary import Latency
from archcost.profiling.result import SCHEMA
from archcost.report import json_before
from archcost.report.layers.differences import Differences
from archcost.report.layers.rows import Layered, Rooflines
from archcost.units import counted_words, grouped
from archcost.version import __version__

_LARGEST_BYTES: Final = 512 * 2**20


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Network(_Part):
    """What was counted; packed: its graph as JSON holds it, None if code made it or archcost 0.1.0 wrote it."""

    name: str
    family: str
    input: Any = None
    digest: str
    packed: Any = Field(None, alias="graph")

    def graph(self) -> Graph | None:
        """Return the graph, None if there is none; raises InputError for what is not the graph that was counted."""
        if self.packed is None:
            return None
        try:
            graph = unpack(self.packed)
        except InputError as error:
            raise InputError(Mistake(f"the graph of {quoted(self.name)}: {error}")) from None
        self.expect(graph, "graph")
        return graph

    def expect(self, graph: Graph, what: str) -> None:
        """Raise InputError if a graph, which is that of `what`, is not the one that was counted."""
        if digest(graph) != self.digest:
            raise InputError(Mistake(f"the {what} of {quoted(self.name)} is not the network that was counted"))

    @property
    def words(self) -> str:
        """What it takes, in words."""
        match self.input:
            case {"steps": int(steps), **rest}:
                of = ", ".join(f"{key} {value}" for key, value in rest.items())
                return f"{counted_words(steps, 'step')}, {of}"
            case list(sizes) if all(isinstance(size, int) for size in sizes):
                return " x ".join(map(str, sizes))
            case list(arguments):
                return ", ".join(f"{_shape(each)} {each.get('dtype', '')}".strip() for each in arguments)
            case _:
                return ""


def _shape(argument: Any) -> str:  # JSON
    shape = argument.get("shape", "") if isinstance(argument, dict) else argument
    return " x ".join(map(str, shape)) if isinstance(shape, list) else str(shape)


class Layer(_Part):
    """One row of `layers`."""

    name: str
    op: str
    group: str = ""
    column: int | None = None
    shape: list[int] = []
    params: int
    macs: int
    elementwise: int
    read_bytes: int
    written_bytes: int
    runs: int = 1
    backward_macs: int | None = None
    intensity: float | None = None


@dataclass(frozen=True, slots=True)
class Timed:
    """One row of `latencies`, and its raw samples burst by burst, none if they were not kept."""

    latency: Latency
    bursts: tuple[tuple[float, ...], ...]


_ROWS: Final = TypeAdapter(Latency)


def _timed(row: object) -> Timed:
    if not isinstance(row, Mapping):
        raise ValueError("a latency is a mapping")  # noqa: TRY004  # pydantic tells where
    pairs = {
        key: tuple(value.items()) if isinstance(value := row.get(key, ()), Mapping) else value
        for key in ("versions", "settings")
    }
    raw = row.get("raw") or {}
    bursts = tuple(tuple(map(float, burst["samples_s"])) for burst in raw.get("bursts", ()))
    known = row if "doubts" in row else json_before.doubted(row)
    return Timed(_ROWS.validate_python({**known, **pairs}), bursts)


Latencies: TypeAlias = list[Annotated[Timed, BeforeValidator(_timed)]]


class Column(_Part):
    """One row of `columns`; latencies: of the column alone, where they were measured."""

    column: int
    depth: int
    params: int
    macs: int
    latencies: Latencies = []


class Step(_Part):
    """The training step of `training`."""

    forward_macs: int
    backward_macs: int
    saved_bytes: int | None = None
    peak_bytes: int | None = None


class Memory(_Part):
    """One row of `memory`: what the network takes at one batch and dtype."""

    batch: int
    dtype: str
    weights_bytes: int
    peak_bytes: int


class Refused(_Part):
    """One row of `failures`: what could not be measured, and why."""

    target: str
    runtime: str
    batch: int
    dtype: str
    threads: int | None = None
    reason: str

    def failure(self) -> Failure:
        """Return it as measuring gives it."""
        return Failure(Way(self.target, self.runtime, self.batch, self.dtype, self.threads), self.reason)


class Operator(_Part):
    """One row of `uncounted`."""

    op: str
    calls: int


class Totals(_Part):
    """The totals of a network at a batch and dtype, its uncounted operators and its latencies."""

    batch: int
    dtype: str
    params: int
    macs: int
    elementwise: int
    flops: int
    weights_bytes: int
    activation_bytes: int
    peak_memory_bytes: int
    uncounted: list[Operator] = []
    latencies: Latencies = []


class Said(_Part):
    """What a document says in words; notes: all of `warnings` that is about no latency, None if 0.1.0 wrote it."""

    archcost: str
    warnings: list[str] = []
    notes: list[str] | None = None

    @property
    def remarks(self) -> list[str]:
        """The warnings that no latency's doubts say."""
        return json_before.notes(self.warnings) if self.notes is None else self.notes


class Profiled(Totals, Said):
    """What `archcost profile --json` prints; yaml: the network's spec, None if code made it.

    layer_times: None if they were not asked for.
    """

    yaml: str | None = None
    model: Network
    witnesses: dict[str, Any] | None = None
    agree: bool | None = None
    layers: list[Layer]
    columns: list[Column] = []
    streaming: Latencies = []
    coverage: float = 1.0
    training: Step | None = None
    memory: list[Memory] = []
    failures: list[Refused] = []
    layer_times: Layered | None = None
    rooflines: Rooflines = []


class Side(Totals, Network):
    """One row of `models`."""


class Quantity(_Part):
    """One count of two networks."""

    first: int
    other: int
    difference: int
    ratio: float | None


class Matched(_Part):
    """One row of a comparison's `layers`."""

    name: str
    params: Quantity
    macs: Quantity


class Alone(_Part):
    """A layer that only one of two networks has."""

    name: str
    params: int
    macs: int


class Pair(_Part):
    """The latencies of two networks that took turns."""

    target: str
    runtime: str
    device: str
    batch: int
    dtype: str
    threads: int
    median_s: dict[str, float]
    stable: dict[str, bool]
    ratio: float
    ratio_interval: tuple[float, float] | None
    rounds: int
    differ: bool | None
    one_sided: dict[str, list[Doubt]] = {}


class Against(_Part):
    """One row of `comparisons`; first, other: places in `models`; layer_times: None if they were not asked for."""

    first: int
    other: int
    totals: dict[str, Quantity]
    layers: list[Matched]
    only_first: list[Alone]
    only_other: list[Alone]
    latencies: list[Pair] = []
    layer_times: Differences | None = None


class Compared(Said):
    """What `archcost compare --json` prints."""

    models: list[Side]
    comparisons: list[Against]


def typed(told: Mapping[str, object], name: str = "the document") -> Profiled | Compared:
    """Return what a document of `profile --json` or `compare --json` says; raises InputError if it is neither."""
    if told.get("schema") != SCHEMA or "archcost" not in told:
        given = f"schema {told['schema']!r}" if "schema" in told else "no schema"
        by = f"archcost {told['archcost']}" if "archcost" in told else "another program"
        message = f"{name} has {given}, by {by}; allowed: schema {SCHEMA}, as archcost {__version__} prints it"
        raise InputError(Mistake(message))
    kind = Compared if "comparisons" in told else Profiled
    if kind is Profiled and "layers" not in told:
        raise InputError(Mistake(f"{name} is neither what 'archcost profile --json' nor 'compare --json' prints"))
    try:
        found = kind.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            Mistake(f"{name} is not as archcost {__version__} prints it: {where}: {first['msg']}")
        ) from None
    if isinstance(found, Compared):
        for each in found.models:  # no report draws them, but what is wrong is refused all the same
            each.graph()
    return found


def read(file: str) -> tuple[Profiled | Compared, dict[str, Any]]:
    """Return what a JSON file holds, typed and as it stands; raises InputError if it cannot be read."""
    name, path = quoted(file), Path(file)
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise InputError(Mistake(f"{name} is larger than {grouped(_LARGEST_BYTES)} bytes"))
        told = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except OSError as error:
        raise InputError(Mistake(f"{name} cannot be read: {error.strerror}")) from None
    except (ValueError, RecursionError) as error:
        raise InputError(Mistake(f"{name} is not JSON: {error}")) from None
    if not isinstance(told, dict):
        raise InputError(Mistake(f"{name} is neither what 'archcost profile --json' nor 'compare --json' prints"))
    return typed(told, name), told


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number")
