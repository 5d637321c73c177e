"""What crosses between a study and a child process, as JSON: jobs, events and replies."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from archcost.latency.bursts import as_texts
from archcost.latency.samples import Samples
from archcost.nets.export.quantisation.spec import FloatLayer
from archcost.study.records.reasons import Reason
from archcost.study.workers.tasks import Job
from archcost.training.score import Score
from archcost.units import duration


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


@dataclass(frozen=True, slots=True)
class Wanted:
    """A trained network is to be measured again in one way, by another process; a reply is awaited.

    layers: of each network, those that stay in float32.
    """

    way: int
    layers: tuple[tuple[str, ...], ...]
    event: Literal["wanted"] = "wanted"


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
    | Quantised | Wanted | Foreseen | Done | Failed
)  # fmt: skip


@cache
def _jobs() -> TypeAdapter[Job]:
    return TypeAdapter(Annotated[Job, Field(discriminator="job")])


@cache
def _events() -> TypeAdapter[Event]:
    return TypeAdapter(Annotated[Event, Field(discriminator="event")])


def encode(value: Job | Event) -> bytes:
    """Return a job or an event as JSON."""
    return json.dumps(asdict(value, dict_factory=as_texts)).encode()


def decode_job(text: bytes) -> Job:
    """Return the job that `encode` wrote."""
    return _jobs().validate_json(text)


def decode_event(text: bytes) -> Event:
    """Return the event that `encode` wrote."""
    return _events().validate_json(text)
