"""Samples that are kept as texts: they are the same as those that were taken, and what was changed is refused."""

from __future__ import annotations

import json
import math
import random
from dataclasses import asdict, replace

import pytest
from measurements import burst, noisy, samples
from pydantic import TypeAdapter, ValidationError

from archcost.errors import TargetError
from archcost.latency import bursts as module
from archcost.latency.bursts import Bursts, Seconds, as_texts, packed_bursts, packed_seconds
from archcost.latency.samples import Samples
from archcost.latency.summary import summarise
from archcost.latency.targets import wire

STRANGE = (5e-324, 1e-9, 0.1 + 0.2, 1.7976931348623157e308, math.nextafter(1.0, 2.0))
TAKEN = samples(
    [
        burst(*STRANGE, wall_s=2.5, calibration_s=0.25, cpu_s=0.0, waited_s=1e-3, process=3, copy=2),
        burst(0.002, wall_s=0.0),
    ],
    warmup_s=(),
    export_s=0.5,
)


def _kept(taken: Samples) -> str:
    return json.dumps(asdict(taken.packed, dict_factory=as_texts))


@pytest.mark.parametrize("taken", [TAKEN, noisy(0.001), noisy(3.0, bursts=1, size=1)])
def test_nothing_is_lost(taken: Samples) -> None:
    """To the last bit, in JSON and back; what is not known stays so."""
    again = TypeAdapter(Samples).validate_python(json.loads(_kept(taken)))
    assert isinstance(again.bursts, Bursts)
    assert again == taken
    assert taken == again
    assert hash(again) == hash(taken)
    assert again.to_dict() == taken.to_dict()
    assert summarise(again) == summarise(taken)
    assert tuple(again.bursts) == taken.bursts
    assert tuple(again.warmup_s) == taken.warmup_s
    assert hash(again.bursts) == hash(taken.bursts)


def test_median_and_counts_are_known_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study of thousands of networks reads the samples of none for its front."""
    taken = noisy(0.001, size=301)
    monkeypatch.setattr(module, "_numbers", None)
    again = TypeAdapter(Samples).validate_python(json.loads(_kept(taken)))
    assert (taken.median_s, 8 * 301, 8, 12) == (again.median_s, again.count, len(again.bursts), len(again.warmup_s))


def test_it_is_short() -> None:
    """What a clock gives takes less than half of what JSON's numbers do."""
    draw, now_s = random.Random(0), 12345.678901234
    taken = samples([[(now_s + draw.lognormvariate(-8, 0.05)) - now_s for _ in range(200)] for _ in range(10)])
    assert len(_kept(taken)) < len(json.dumps(asdict(taken))) / 2


@pytest.mark.parametrize("place", [0, 8, 9, 11, 14, 20, 60, -1])
def test_a_changed_text_is_refused(place: int) -> None:
    """Wherever it was changed: the numbers before the samples too."""
    text = packed_bursts(noisy(0.001).bursts).text
    other = "1" if text[place] != "1" else "2"
    changed = text[:place] + other + (text[place + 1 :] if place != -1 else "")
    with pytest.raises(ValueError, match="samples were changed since they were kept"):
        Bursts(changed)


@pytest.mark.parametrize("text", ["", "x", "0:1", ":" * 4, "00000000:1:1:1.0:AAAA"])
def test_any_other_text_is_refused(text: str) -> None:
    """In the place of samples in JSON, too."""
    with pytest.raises(ValueError, match="checksum"):
        Seconds(text)
    with pytest.raises(ValidationError, match="checksum"):
        TypeAdapter(Samples).validate_python({**asdict(TAKEN), "warmup_s": text})


def test_packed_once() -> None:
    """What is packed stays as it is, also in a copy of what holds it."""
    once = TAKEN.packed
    assert once.bursts is once.packed.bursts
    assert once.warmup_s is once.packed.warmup_s
    assert asdict(once)["bursts"] is once.bursts


def test_another_process_sends_lists() -> None:
    """A target's answer is checked number by number, so none may be hidden."""
    text = json.loads(wire.encode_answer(wire.Sampled((noisy(0.001),))))
    (sent,) = text["answer"]["samples"]
    sent["bursts"] = packed_bursts(noisy(0.001).bursts).text
    with pytest.raises(TargetError, match="packed"):
        wire.decode_answer(json.dumps(text).encode())


def test_sequences() -> None:
    """They are what tuples are, by place, by slice and in order."""
    packed = packed_seconds(STRANGE)
    assert STRANGE == tuple(packed)
    assert STRANGE[1:3] == packed[1:3]
    assert STRANGE[-1] == packed[-1]
    assert packed != replace(TAKEN.packed).warmup_s
    assert packed != 5
