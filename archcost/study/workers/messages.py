"""What crosses between a study and a child process, as JSON: jobs, events and replies."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from archcost.latency.samples import Plan, Samples
from archcost.nets.export.quantisation.spec import FloatLayer
from archcost.study.records.reasons import Reason
from archcost.study.workers.quantise import Quantise
from archcost.training.header import Checkpoint
from archcost.training.score import Score
from archcost.units import duration


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
    until it has ended, None for nowhere; optional: the places of `ways` that it need not run in; quantise: what for at
    the end, None for nothing.
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
    quantise: Quantise | None = None
    job: Literal["train"] = "train"


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


Job: TypeAlias = Train | Measure | Foresee | Survey | Import | ReadData | Describe | Make


@dataclass(frozen=True, slots=True)
class Measured:
    """Samples of every network of a job in one way, the whole one first, then its columns; a reply is awaited.

    reason: why there are none, in a way that is optional.
    """

    way: int
    samples: tuple[Samples, ...]
    reason: Reason | None = None
    event: Literal["measured"] = "measured"


@dataclass(frozen=True, slots=True)
class Counted:
    """What a network that code made costs, before anything of it is measured or trained; of a trial a reply is awaited.

    digest: of what it is: types, shapes, constants, operators and first weights; place: in the job; memory_bytes,
    weights_bytes: in the first way in which the study runs it; others: both, in each other one.
    """

    digest: str
    params: int
    macs: int
    memory_bytes: int
    weights_bytes: int
    notes: tuple[str, ...] = ()
    place: int = 0
    others: tuple[tuple[int, int], ...] = ()
    event: Literal["counted"] = "counted"

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """The bytes of memory and of weights in each way."""
        return (self.memory_bytes, self.weights_bytes), *self.others


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a network of a survey is none."""

    place: int
    reason: Reason
    event: Literal["refused"] = "refused"


@dataclass(frozen=True, slots=True)
class Imported:
    """The files of the user's own code that were imported, relative to the study's folder, with their digests."""

    files: dict[str, str]
    event: Literal["imported"] = "imported"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a factory: default as JSON text, '' if it has none; hint: its annotation as text."""

    name: str
    default: str
    hint: str
    required: bool


@dataclass(frozen=True, slots=True)
class Described:
    """The parameters of a factory; every: whether it takes arguments of any other name too."""

    parameters: tuple[Parameter, ...]
    every: bool = False
    event: Literal["described"] = "described"


@dataclass(frozen=True, slots=True)
class Trained:
    """An epoch is over, or is under way with seconds 0; kept: whether a checkpoint of it was written."""

    epoch: int
    loss: float | None
    seconds: float
    kept: bool = False
    event: Literal["trained"] = "trained"


@dataclass(frozen=True, slots=True)
class Resumed:
    """A training goes on after so many epochs, which took so long.

    note: why it begins again instead, or is not kept; '' if there is nothing to say.
    """

    epoch: int
    seconds: float
    note: str = ""
    event: Literal["resumed"] = "resumed"


@dataclass(frozen=True, slots=True)
class Reached:
    """A rung: the score on the validation split after so many epochs, and that of each column; a reply is awaited."""

    epoch: int
    score: Score
    columns: tuple[Score, ...] = ()
    event: Literal["reached"] = "reached"


@dataclass(frozen=True, slots=True)
class Scored:
    """The score of one column (1 = shallowest), or with column 0 of the whole network, on a split."""

    column: int
    split: Literal["validation", "test"]
    score: Score
    event: Literal["scored"] = "scored"


@dataclass(frozen=True, slots=True)
class Quantised:
    """The score of one column, or with column 0 of the whole network, as it is quantised for a way, on a split.

    score: None if there is none, for a reason; float_layers: those that stay in float32; float_bytes: how
    many more bytes their weights take so; why: what is known of them, with the numbers that decided.
    """

    way: int
    column: int
    split: Literal["validation", "test"]
    score: Score | None
    reason: Reason | None = None
    float_layers: tuple[str, ...] = ()
    float_bytes: int = 0
    why: tuple[FloatLayer, ...] = ()
    event: Literal["quantised"] = "quantised"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """How long a whole training with its scores would take, and how long looking at some of it took."""

    training_s: float
    looking_s: float
    event: Literal["foreseen"] = "foreseen"


@dataclass(frozen=True, slots=True)
class Alive:
    """The user's own code takes its turns: it does not hang."""

    event: Literal["alive"] = "alive"


Doing: TypeAlias = Literal["measures", "trains"]


@dataclass(frozen=True, slots=True)
class Waits:
    """A measurement waits for the device.

    process: that has it, None if that is not known; doing: what it does there; seconds: for how long so far.
    """

    process: int | None
    doing: Doing
    seconds: float
    event: Literal["waits"] = "waits"

    @property
    def words(self) -> str:
        """Who is waited for, in words."""
        who = f"process {self.process}" if self.process else "another process"
        return f"waiting to measure for {duration(self.seconds)}: {who} {self.doing} on the same device"


@dataclass(frozen=True, slots=True)
class Done:
    """The job is over."""

    event: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended early."""

    reason: Reason
    event: Literal["failed"] = "failed"


Event: TypeAlias = (
    Counted | Refused | Imported | Described | Measured | Alive | Waits | Trained | Resumed | Reached | Scored
    | Quantised | Foreseen | Done | Failed
)  # fmt: skip


@cache
def _jobs() -> TypeAdapter[Job]:
    return TypeAdapter(Annotated[Job, Field(discriminator="job")])


@cache
def _events() -> TypeAdapter[Event]:
    return TypeAdapter(Annotated[Event, Field(discriminator="event")])


def encode(value: Job | Event) -> bytes:
    """Return a job or an event as JSON."""
    return json.dumps(asdict(value)).encode()


def decode_job(text: bytes) -> Job:
    """Return the job that `encode` wrote."""
    return _jobs().validate_json(text)


def decode_event(text: bytes) -> Event:
    """Return the event that `encode` wrote."""
    return _events().validate_json(text)
