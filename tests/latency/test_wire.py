"""The wire: what was written is read back exactly, and nothing else is read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost import load
from archcost.errors import InputError, TargetError
from archcost.latency.bursts import Burst
from archcost.latency.samples import Conditions, Device, Origin, Plan, Samples
from archcost.latency.targets import Facts
from archcost.latency.targets.wire import (
    LARGEST_BYTES,
    MOST_GRAPHS,
    AskFacts,
    AskSamples,
    Described,
    Failed,
    Sampled,
    decode_answer,
    decode_job,
    encode_answer,
    encode_job,
)
from archcost.version import __version__

GRAPH = load("resnet-20").graph
JOB = AskSamples("eager", Plan(threads=2, time_s=0.1), (GRAPH,))
DEVICE = Device("a processor", 8, 2**34, "Linux 6 x86_64")
FACTS = Facts("cpu", True, "", DEVICE, 4, 8, None)
ORIGIN = Origin("cpu", "eager", DEVICE, Conditions((0, 1), "performance", 1.5, 0.1), (("torch", "2.13"),))
SAMPLES = Samples(ORIGIN, Plan(), 0.5, (0.5, 0.1), (Burst((0.1, 0.2), 0.3), Burst((0.1,), 0.1, 1e-4, 0.2, 0.0)), 2)

spans = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False)
meters = st.none() | spans


@given(st.lists(st.builds(Burst, st.lists(spans, min_size=1).map(tuple), spans, meters, meters, meters), min_size=1))
def test_samples_cross_exactly(bursts: list[Burst]) -> None:
    """Every float arrives as it was, to the last bit."""
    answer = Sampled((replace(SAMPLES, bursts=tuple(bursts)), SAMPLES))
    assert answer == decode_answer(encode_answer(answer).encode())


@pytest.mark.parametrize("answer", [Described(FACTS), Failed("target", "it burns"), Failed("bug", "x"), Sampled(())])
def test_answers_cross(answer: Described | Failed | Sampled) -> None:
    """Every kind of answer arrives as what it was."""
    assert answer == decode_answer(encode_answer(answer).encode())


@pytest.mark.parametrize("job", [AskFacts(), AskFacts("cpu:0"), JOB, replace(JOB, graphs=(GRAPH,) * MOST_GRAPHS)])
def test_jobs_cross(job: AskFacts | AskSamples) -> None:
    """Every kind of job arrives as what it was, the graphs checked as they were at birth, on one line."""
    assert "\n" not in encode_job(job)
    assert job == decode_job(encode_job(job).encode())


@pytest.mark.parametrize("count", [0, MOST_GRAPHS + 1])
def test_the_number_of_networks_is_bounded(count: int) -> None:
    """A job of no network, and one of too many, is neither sent nor read."""
    with pytest.raises(TargetError, match=rf"^{count} networks; allowed: 1 to 64 in one measurement$"):
        encode_job(replace(JOB, graphs=(GRAPH,) * count))
    text = json.loads(encode_job(JOB))
    text["job"]["graphs"] *= count
    with pytest.raises(InputError, match=r"samples\.graphs: Tuple should have at "):
        decode_job(json.dumps(text).encode())


def changed(text: str, path: str, value: Any) -> bytes:
    """Return JSON in which the value at a dotted path is another."""
    tree = json.loads(text)
    *before, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    inner = tree
    for key in before:
        inner = inner[key]
    inner[last] = value
    return json.dumps(tree).encode()


WRONG_JOBS = {
    "job.ask": ("run", "ask"),
    "job.runtime": (1, "samples.runtime: Input should be a valid string"),
    "job.plan.batch": ("1", "samples.plan.batch: Input should be a valid integer"),
    "job.plan.threads": (0, "threads: given 0; allowed: an integer of at least 1"),
    "job.plan.time_s": (float("nan"), "not JSON: "),
    "job.plan.more": (1, "samples.plan.more: Unexpected keyword argument"),
    "job.more": (1, "samples.more: Unexpected keyword argument"),
    "job.graphs.0.nodes.1.inputs": ([7], "nodes.1.inputs: inputs are positions of earlier nodes"),
    "job.graphs": (None, "samples.graphs: Input should be a valid array"),
    "archcost": ("9.9", f"archcost 9.9 there and {__version__} here; both have to be the same version"),
    "more": (1, "allowed keys are 'archcost' and 'job'"),
}


@pytest.mark.parametrize("path", WRONG_JOBS)
def test_another_job_is_refused(path: str) -> None:
    """Whatever is not a job is an error of one line that says where and what."""
    value, words = WRONG_JOBS[path]
    with pytest.raises(InputError) as refused:
        decode_job(changed(encode_job(JOB), path, value))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


WRONG_SAMPLES = {
    "answer.samples.0.first_s": "0.5",
    "answer.samples.0.warmup_s": 1.0,
    "answer.samples.0.bursts.0.samples_s": [-1.0],
    "answer.samples.0.bursts.0.wall_s": -1.0,
    "answer.samples.0.bursts.1.samples_s": [],
    "answer.samples.0.bursts": [],
    "answer.samples.0.loops": 0,
    "answer.samples.0.plan.dtype": "int3",
    "answer.samples.0.origin.device.cpus": 1.5,
    "answer.answer": "facts",
    "answer": [],
    "archcost": None,
}


@pytest.mark.parametrize("path", WRONG_SAMPLES)
def test_another_answer_is_refused(path: str) -> None:
    """Whatever no measurement gives is an error of the target, in one line."""
    with pytest.raises(TargetError) as refused:
        decode_answer(changed(encode_answer(Sampled((SAMPLES,))), path, WRONG_SAMPLES[path]))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"[1", b"1", b"null", b"[" * 10**5, b"9" * 5000, b'{"archcost": Infinity}']
)
def test_garbage_is_refused(text: bytes) -> None:
    """Text that no archcost wrote is shown, short, and not understood."""
    with pytest.raises(InputError, match=r"^not (JSON|archcost's JSON): "):
        decode_job(text)
    with pytest.raises(TargetError, match=r"^not (JSON|archcost's JSON): "):
        decode_answer(text)


def test_the_version_comes_first() -> None:
    """Another version is named even if everything else in its answer is strange."""
    with pytest.raises(TargetError, match=rf"^archcost 9\\u202e there and {__version__} here; "):
        decode_answer('{"archcost": "9\u202e", "reply": {}}'.encode())


def test_oversized_text_is_refused() -> None:
    """What is larger than allowed is not parsed."""
    with pytest.raises(InputError, match=r"^oversized job: more than "):
        decode_job(b" " * (LARGEST_BYTES + 1))


def test_texts_of_another_machine_are_visible() -> None:
    """An escape sequence in a device's name does not reach the terminal."""
    answer = decode_answer(encode_answer(Described(replace(FACTS, why_not="\x1b[2J"))).encode())
    assert Described(replace(FACTS, why_not="\\x1b[2J")) == answer
