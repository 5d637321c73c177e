"""What crosses between a study and its workers: every message comes back from its JSON, a stranger's text does not."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measurements import samples
from pydantic import ValidationError

from archcost.graph.dtypes import FLOATING
from archcost.latency.samples import Plan
from archcost.nets.export.quantisation.spec import FloatLayer
from archcost.study.records.reasons import Reason
from archcost.study.workers import messages
from archcost.study.workers.in_8_bits.quantise import Quantise
from archcost.study.workers.messages import (
    Alive,
    Counted,
    Described,
    Done,
    Event,
    Failed,
    Foreseen,
    Imported,
    Measured,
    Quantised,
    Reached,
    Refused,
    Resumed,
    Scored,
    Trained,
    Waits,
    Wanted,
)
from archcost.study.workers.tasks import (
    Code,
    Describe,
    Foresee,
    Import,
    Job,
    Make,
    Measure,
    MeasureTrial,
    OfCode,
    OfGraph,
    ReadData,
    Setup,
    Survey,
    Train,
)
from archcost.training.header import Checkpoint
from archcost.training.score import Score

NATURAL = st.integers(0, 2**53)
TIME_S = st.floats(1e-9, 1e9)
NUMBER = st.floats(allow_nan=False)  # an infinite perplexity is one
TEXT = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | NATURAL | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)
PLANS = st.builds(
    Plan, NATURAL.map(lambda n: n + 1), st.sampled_from(FLOATING), st.integers(1, 256),
    st.floats(1e-6, 0.5), TIME_S, NATURAL, st.booleans()
)  # fmt: skip
WAYS = st.builds(Setup, TEXT, TEXT, PLANS)
DIGESTS = st.dictionaries(TEXT, TEXT, max_size=3)
CODES = st.builds(Code, TEXT, DIGESTS)
OF_CODE = st.builds(OfCode, OBJECTS, NATURAL, JSON)
NETWORKS = st.builds(OfGraph, OBJECTS, TEXT, NUMBER, NUMBER) | OF_CODE
MEMORY = st.lists(st.tuples(NATURAL, TEXT), max_size=2).map(tuple)
QUANTISE = st.builds(Quantise, st.lists(st.tuples(NATURAL, TEXT), max_size=2).map(tuple), NATURAL)
TRAININGS = st.builds(
    Train,
    network=NETWORKS,
    data=TEXT,
    test=TEXT,
    fit=OBJECTS,
    seed=NATURAL,
    ways=st.lists(WAYS, max_size=2).map(tuple),
    columns=st.booleans(),
    weights=TEXT,
    threads=NATURAL,
    code=st.none() | CODES,
    memory=MEMORY,
    alone=st.booleans(),
    metrics=st.lists(TEXT, max_size=2).map(tuple),
    mark=st.dictionaries(TEXT, TEXT | NATURAL, max_size=3),
    keep=st.none() | st.builds(Checkpoint, TEXT, TEXT, TEXT),
    optional=st.lists(NATURAL, max_size=2).map(tuple),
    quantise=st.none() | QUANTISE,
    given=st.lists(TEXT, max_size=2).map(tuple),
    elsewhere=st.booleans(),
)
NAMES = st.lists(st.lists(TEXT, max_size=2).map(tuple), max_size=2).map(tuple)
JOBS: dict[type[Job], st.SearchStrategy[Any]] = {
    Train: TRAININGS,
    Measure: st.builds(Measure, st.lists(NETWORKS, max_size=2).map(tuple), WAYS, st.none() | CODES),
    MeasureTrial: st.builds(MeasureTrial, TRAININGS, st.lists(NATURAL, max_size=2).map(tuple), NAMES),
    Foresee: st.builds(Foresee, TRAININGS),
    Survey: st.builds(Survey, st.lists(OF_CODE, max_size=2).map(tuple), MEMORY, CODES),
    Import: st.builds(Import, st.lists(TEXT, max_size=2).map(tuple), CODES),
    ReadData: st.builds(ReadData, TEXT, OBJECTS, TEXT, CODES),
    Describe: st.builds(Describe, TEXT, CODES, st.booleans(), NATURAL),
    Make: st.builds(Make, OBJECTS, OBJECTS, CODES),
}
LAYERS = st.builds(FloatLayer, TEXT, st.sampled_from(("slower", "accuracy")), NUMBER, NUMBER)
METRICS = st.dictionaries(TEXT, NUMBER, max_size=2)
SCORES = st.builds(Score, st.none() | NUMBER, st.none() | NATURAL, *(st.none() | NUMBER for _ in range(3)), METRICS)
SAMPLES = st.builds(lambda times, plan: samples([times], plan), st.lists(TIME_S, min_size=1, max_size=5), PLANS)
REASONS = st.none() | st.from_type(Reason)
EVENTS: dict[type[Event], st.SearchStrategy[Any]] = {
    Measured: st.builds(Measured, NATURAL, st.lists(SAMPLES, max_size=2).map(tuple), REASONS),
    Trained: st.builds(Trained, NATURAL, st.none() | NUMBER, NUMBER, st.booleans()),
    Counted: st.builds(Counted, TEXT, *[NATURAL] * 4, st.lists(TEXT, max_size=2).map(tuple), NATURAL,
                       st.lists(st.tuples(NATURAL, NATURAL), max_size=2).map(tuple)),
    Refused: st.from_type(Refused),
    Imported: st.builds(Imported, DIGESTS),
    Described: st.from_type(Described),
    Alive: st.just(Alive()),
    Waits: st.builds(Waits, st.none() | NATURAL, st.sampled_from(("measures", "trains")), NUMBER),
    Resumed: st.builds(Resumed, NATURAL, NUMBER, TEXT),
    Reached: st.builds(Reached, NATURAL, SCORES, st.lists(SCORES, max_size=3).map(tuple)),
    Scored: st.builds(Scored, NATURAL, st.sampled_from(("validation", "test")), SCORES),
    Quantised: st.builds(Quantised, NATURAL, NATURAL, st.sampled_from(("validation", "test")), st.none() | SCORES,
                         REASONS, st.lists(TEXT, max_size=2).map(tuple), NATURAL,
                         st.lists(LAYERS, max_size=2).map(tuple)),
    Wanted: st.builds(Wanted, NATURAL, NAMES),
    Foreseen: st.builds(Foreseen, NUMBER, NUMBER),
    Done: st.just(Done()),
    Failed: st.from_type(Failed),
}  # fmt: skip


def test_every_message_is_tried() -> None:
    """The tables here are the closed sets of jobs and events."""
    assert (set(get_args(Job)), set(get_args(Event))) == (set(JOBS), set(EVENTS))


@given(st.one_of(*JOBS.values()))
def test_a_job_comes_back_from_its_json(job: Job) -> None:
    """Whatever is in it, and of its own kind."""
    again = messages.decode_job(messages.encode(job))
    assert (type(job), job) == (type(again), again)


@given(st.one_of(*EVENTS.values()))
def test_an_event_comes_back_from_its_json(event: Event) -> None:
    """Whatever is in it, infinite numbers too, and of its own kind."""
    again = messages.decode_event(messages.encode(event))
    assert (type(event), event) == (type(again), again)


def test_a_loss_that_is_no_number_comes_back() -> None:
    """A training that diverges tells it."""
    again = messages.decode_event(messages.encode(Trained(1, math.nan, 0.5)))
    assert isinstance(again, Trained)
    assert again.loss is not None
    assert math.isnan(again.loss)


@given(st.one_of(*JOBS.values()), st.data())
def test_a_job_that_lacks_something_is_refused(job: Job, data: st.DataObject) -> None:
    """Every key without a default has to be there; its kind, `job`, above all."""
    tree = json.loads(messages.encode(job))
    needed = {it.name for it in dataclasses.fields(job) if {it.default, it.default_factory} == {dataclasses.MISSING}}
    missing = data.draw(st.sampled_from(sorted(needed | {"job"})))
    del tree[missing]
    with pytest.raises(ValidationError):
        messages.decode_job(json.dumps(tree).encode())


@given(st.one_of(*JOBS.values()), st.one_of(*EVENTS.values()))
def test_a_job_is_no_event_and_an_event_no_job(job: Job, event: Event) -> None:
    """Each way has its own messages."""
    with pytest.raises(ValidationError):
        messages.decode_event(messages.encode(job))
    with pytest.raises(ValidationError):
        messages.decode_job(messages.encode(event))


STRANGE = {
    "nothing": b"",
    "no JSON": b"hello",
    "no text": b"\xff\xfe\x80",
    "cut off": messages.encode(Trained(1, 0.5, 2.0))[:-3],
    "two at once": messages.encode(Done()) * 2,
    "no object": b"[1, 2]",
    "another kind": b'{"event": "resigned"}',
    "another type": b'{"event": "trained", "epoch": "first", "loss": 1, "seconds": 1}',
    "another split": b'{"event": "scored", "column": 0, "split": "train", "score": {"loss": 1, "count": 1}}',
    "an object of pickle": b"\x80\x04\x95\x08\x00\x00\x00\x00\x00\x00\x00\x8c\x04exit\x94.",
}


@pytest.mark.parametrize("what", STRANGE)
def test_a_strangers_text_is_refused(what: str) -> None:
    """What nobody of archcost's wrote is neither a job nor an event."""
    for decode in (messages.decode_job, messages.decode_event):
        with pytest.raises(ValidationError):
            decode(STRANGE[what])


@given(st.binary(max_size=50) | JSON.map(lambda tree: json.dumps(tree).encode()))
def test_no_text_by_chance_is_a_job(text: bytes) -> None:
    """Bytes and JSON that were drawn."""
    with pytest.raises(ValidationError):
        messages.decode_job(text)
