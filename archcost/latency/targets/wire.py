"""What crosses to another machine as JSON: a job there, and its answer back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, assert_never

from pydantic import ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError, with_config

from archcost.errors import InputError, Mistake, TargetError, quoted, shorten, visible
from archcost.graph import codec
from archcost.graph.graph import Graph
from archcost.latency.bursts import Bursts, Seconds
from archcost.latency.samples import Plan, Samples
from archcost.latency.targets import Facts
from archcost.units import data_size
from archcost.version import __version__

LARGEST_BYTES: Final = 64_000_000
"""Of a job and of an answer."""

MOST_GRAPHS: Final = 64

_STRICT: Final = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_SHOWN: Final = 5  # mistakes in a message of one line
_T = TypeVar("_T")


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class AskFacts:
    """The job of saying what a target is."""

    target: str = "cpu"
    ask: Literal["facts"] = "facts"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class AskSamples:
    """The job of measuring networks that take turns.

    float_layers: of each, those that stay in float32 at int8, None if measuring is to find them.
    """

    runtime: str
    plan: Plan
    graphs: Annotated[
        tuple[Annotated[Graph, PlainValidator(codec.decode)], ...], Field(min_length=1, max_length=MOST_GRAPHS)
    ]
    target: str = "cpu"
    float_layers: tuple[tuple[str, ...] | None, ...] = ()
    ask: Literal["samples"] = "samples"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Described:
    """The answer to AskFacts."""

    facts: Facts
    answer: Literal["facts"] = "facts"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Sampled:
    """The answer to AskSamples: the samples of every network, in the order of the job."""

    samples: tuple[Samples, ...]
    answer: Literal["samples"] = "samples"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Failed:
    """Why a job was not done: what was asked for is wrong, the target could not do it, or archcost has a bug."""

    kind: Literal["input", "target", "bug"]
    message: str
    answer: Literal["error"] = "error"


Job: TypeAlias = AskFacts | AskSamples
Answer: TypeAlias = Described | Sampled | Failed


def encode_job(job: Job) -> str:
    """Return a job as JSON; raises TargetError if it has too many networks, or none."""
    match job:
        case AskFacts():
            value = asdict(job)
        case AskSamples():
            if not 1 <= len(job.graphs) <= MOST_GRAPHS:
                raise TargetError(f"{len(job.graphs)} networks; allowed: 1 to {MOST_GRAPHS} in one measurement")
            graphs = [codec.encode(graph) for graph in job.graphs]
            value = {
                **_fields(job, "ask", "target", "runtime", "float_layers"),
                "plan": asdict(job.plan),
                "graphs": graphs,
            }
        case _:
            assert_never(job)
    return json.dumps({"archcost": __version__, "job": value}, allow_nan=False)


def encode_answer(answer: Answer) -> str:
    """Return an answer as JSON."""
    return json.dumps({"archcost": __version__, "answer": asdict(answer)}, allow_nan=False)


def decode_job(text: bytes) -> Job:
    """Return the job that `encode_job` wrote; raises InputError for anything else, another version's first."""
    return _typed(TypeAdapter(Annotated[Job, Field(discriminator="ask")]), _content(text, "job"))


def decode_answer(text: bytes) -> Answer:
    """Return the answer that `encode_answer` wrote, its texts visible; raises TargetError for anything else.

    Another version's answer is refused before it is looked at.
    """
    try:
        content = _shown(_content(text, "answer"))
        answer = _typed(TypeAdapter(Annotated[Answer, Field(discriminator="answer")]), content)
    except InputError as error:
        raise TargetError("; ".join(map(str, error.mistakes))) from None
    if isinstance(answer, Sampled):
        _check(answer.samples)
    return answer


def _fields(value: object, *names: str) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _content(text: bytes, key: str) -> Any:
    """Return what stands under `key` beside this version."""
    if len(text) > LARGEST_BYTES:
        raise InputError(f"oversized {key}: more than {data_size(LARGEST_BYTES)}")
    try:
        value = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise InputError(f"not JSON: {_beginning(text)}") from None
    version = value.get("archcost") if isinstance(value, dict) else None
    if not isinstance(version, str):
        raise InputError(f"not archcost's JSON: {_beginning(text)}")
    if version != __version__:
        raise InputError(
            f"archcost {visible(shorten(version))} there and {__version__} here; both have to be the same version"
        )
    if value.keys() != {"archcost", key}:
        raise InputError(f"allowed keys are 'archcost' and '{key}': {_beginning(text)}")
    return value[key]


def _refused(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity, which Python reads and JSON has not


def _beginning(text: bytes) -> str:
    return quoted(text[:200].decode("utf-8", "replace")) if text.strip() else "nothing at all"


def _typed(adapter: TypeAdapter[_T], content: Any) -> _T:
    """Return a value of the adapter's type; raises InputError with the first mistakes."""
    try:
        return adapter.validate_json(json.dumps(content))  # strict validation reads a tuple from JSON's list only
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[:_SHOWN]
        raise InputError(*(Mistake(each["msg"], tuple(each["loc"])) for each in wrong)) from None


def _shown(content: Any) -> Any:
    """Return what another machine wrote with every text made visible: it may end in a terminal."""
    match content:
        case str():
            return visible(content)
        case list():
            return [_shown(value) for value in content]
        case dict():
            return {visible(key): _shown(value) for key, value in content.items()}
        case _:
            return content


def _check(samples: tuple[Samples, ...]) -> None:
    """Raise TargetError if no sampling could have given these: statistics stand on it."""
    for each in samples:
        if isinstance(each.bursts, Bursts) or isinstance(each.warmup_s, Seconds):
            raise TargetError("samples that are packed; allowed: a list of them")
        spans = (each.first_s, *each.warmup_s, *(burst.wall_s for burst in each.bursts))
        if each.loops < 1 or min(spans) < 0 or not all(burst.samples_s for burst in each.bursts):
            raise TargetError("samples that no measurement gives: an empty burst, no loop or a negative time")
