"""What crosses between a study and a child process, as JSON: jobs, events and replies."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from archcost.latency.samples import Plan, Samples
from archcost.study.records.reasons import Reason
from archcost.training.score import Score


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to measure: where, with what, and how."""

    target: str
    runtime: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class Train:
    """The job of measuring and training one network.

    graph: as codec writes it; init, drop_local, drop_global: its recipe; data, test: files that `handing` wrote, test
    '' if it is not to be read; fit: the training as its spec's JSON; columns: also score every column; weights: the
    file they are written to, '' for none; threads: to train with; mark: what the file of the weights says of itself.
    """

    graph: dict[str, Any]
    init: str
    drop_local: float
    drop_global: float
    data: str
    test: str
    fit: dict[str, Any]
    seed: int
    ways: tuple[Setup, ...]
    columns: bool
    weights: str
    threads: int
    mark: dict[str, str | int] = field(default_factory=dict)
    job: Literal["train"] = "train"


@dataclass(frozen=True, slots=True)
class Measure:
    """The job of measuring several networks by turns in one way."""

    graphs: tuple[dict[str, Any], ...]
    way: Setup
    job: Literal["measure"] = "measure"


@dataclass(frozen=True, slots=True)
class Foresee:
    """The job of training a network for a moment, to say how long all of its training takes."""

    train: Train
    job: Literal["foresee"] = "foresee"


Job: TypeAlias = Train | Measure | Foresee


@dataclass(frozen=True, slots=True)
class Measured:
    """Samples of every network of a job in one way, the whole one first, then its columns; a reply is awaited."""

    way: int
    samples: tuple[Samples, ...]
    event: Literal["measured"] = "measured"


@dataclass(frozen=True, slots=True)
class Trained:
    """An epoch is over."""

    epoch: int
    loss: float
    seconds: float
    event: Literal["trained"] = "trained"


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
class Foreseen:
    """How long a whole training with its scores would take, and how long looking at some of it took."""

    training_s: float
    looking_s: float
    event: Literal["foreseen"] = "foreseen"


@dataclass(frozen=True, slots=True)
class Done:
    """The job is over."""

    event: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended early."""

    reason: Reason
    event: Literal["failed"] = "failed"


Event: TypeAlias = Measured | Trained | Reached | Scored | Foreseen | Done | Failed


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
