"""What a child process is asked to do: its network, how it is measured, its job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from archcost.latency.samples import Plan
from archcost.study.workers.in_8_bits.quantise import Quantise
from archcost.training.header import Checkpoint


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to measure: where, with what, and how."""

    target: str
    runtime: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class OfGraph:
    """A network of a family; graph: as codec writes it; init, drop_local, drop_global: its recipe."""

    graph: dict[str, Any]
    init: str = "he"
    drop_local: float = 0.0
    drop_global: float = 0.0
    network: Literal["graph"] = "graph"


@dataclass(frozen=True, slots=True)
class OfCode:
    """A network that code makes; spec: as YAML says it; classes, input: what a factory gets that takes them."""

    spec: dict[str, Any]
    classes: int
    input: Any
    network: Literal["code"] = "code"


Network: TypeAlias = Annotated[OfGraph | OfCode, Field(discriminator="network")]


@dataclass(frozen=True, slots=True)
class Code:
    """The user's own code that a job runs, with consent; folder: the study's, looked in first.

    files: the digests of its files as the study knows them; a job that finds others fails.
    """

    folder: str
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Train:
    """The job of measuring and training one network.

    data, test: files that `shared` wrote, test '' if it is not to be read; fit: the training as its spec's JSON;
    columns: also score every column; weights: the file they are written to, '' for none; threads: to train with; code:
    None if none of the user's own runs; memory: the batch and dtype at which a network of code is counted, for each way
    in which the study runs it; alone: it is trained once more, and scored at the end, also on the test split; metrics:
    those that a score must have; mark: what the file of the weights says of itself; keep: where the training is kept
    until it has ended, None for nowhere; optional: the places of `ways` that it need not run in; predicted: those
    in which it is not measured; quantise: what for at the end, None for nothing; given: what another process has
    measured of it, as the events that tell so; elsewhere: it is measured by other processes alone.
    """

    network: Network
    data: str
    test: str
    fit: dict[str, Any]
    seed: int
    ways: tuple[Setup, ...]
    columns: bool
    weights: str
    threads: int
    code: Code | None = None
    memory: tuple[tuple[int, str], ...] = ((1, "float32"),)
    alone: bool = False
    metrics: tuple[str, ...] = ()
    mark: dict[str, str | int] = field(default_factory=dict)
    keep: Checkpoint | None = None
    optional: tuple[int, ...] = ()
    predicted: tuple[int, ...] = ()
    quantise: Quantise | None = None
    given: tuple[str, ...] = ()
    elsewhere: bool = False
    job: Literal["train"] = "train"

    @property
    def measured(self) -> tuple[int, ...]:
        """The places of `ways` in which it is measured, in their order."""
        return tuple(place for place in range(len(self.ways)) if place not in self.predicted)


@dataclass(frozen=True, slots=True)
class Measure:
    """The job of measuring several networks by turns in one way.

    layers: of each, those that stay in float32 at int8, None if measuring is to find them; () for none of them known.
    """

    networks: tuple[Network, ...]
    way: Setup
    code: Code | None = None
    layers: tuple[tuple[str, ...] | None, ...] = ()
    job: Literal["measure"] = "measure"


@dataclass(frozen=True, slots=True)
class MeasureTrial:
    """The job of measuring the network of a trial, with its columns, for the process that trains it.

    places: of the trial's ways; layers: of each network, those that stay in float32; () if measuring is to find them.
    """

    train: Train
    places: tuple[int, ...]
    layers: tuple[tuple[str, ...], ...] = ()
    job: Literal["measure trial"] = "measure trial"

    @property
    def code(self) -> Code | None:
        """That of the trial."""
        return self.train.code


@dataclass(frozen=True, slots=True)
class Foresee:
    """The job of training a network for a moment, to say how long all of its training takes."""

    train: Train
    job: Literal["foresee"] = "foresee"

    @property
    def code(self) -> Code | None:
        """That of the training."""
        return self.train.code


@dataclass(frozen=True, slots=True)
class Survey:
    """The job of counting networks that code makes, one after the other; memory: at which batches and dtypes."""

    networks: tuple[OfCode, ...]
    memory: tuple[tuple[int, str], ...]
    code: Code
    job: Literal["survey"] = "survey"


@dataclass(frozen=True, slots=True)
class Import:
    """The job of importing code by name, to see that it is there, and which files it consists of."""

    names: tuple[str, ...]
    code: Code
    job: Literal["import"] = "import"


@dataclass(frozen=True, slots=True)
class ReadData:
    """The job of having code give its data; folder: where they are written."""

    name: str
    args: dict[str, Any]
    folder: str
    code: Code
    job: Literal["data"] = "data"


@dataclass(frozen=True, slots=True)
class Describe:
    """The job of describing the arguments of a factory, or other code.

    callables: whether what is no function or class is a mistake; given: how many arguments it is given by position.
    """

    name: str
    code: Code
    callables: bool = True
    given: int = 0
    job: Literal["describe"] = "describe"


@dataclass(frozen=True, slots=True)
class Make:
    """The job of making a module once, to see that it can be made; spec: as YAML says it; offers: what else it gets."""

    spec: dict[str, Any]
    offers: dict[str, Any]
    code: Code
    job: Literal["make"] = "make"


Job: TypeAlias = Train | Measure | MeasureTrial | Foresee | Survey | Import | ReadData | Describe | Make
