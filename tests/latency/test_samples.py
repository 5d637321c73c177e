"""Measurements: plans are checked at birth, samples are positive times, a device has one fingerprint."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from measurements import DEVICE, burst, samples

from archcost.errors import InputError, TargetError, unknown
from archcost.graph.dtypes import PRECISIONS
from archcost.latency.samples import Plan


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"batch": 0}, "batch: given 0; allowed: an integer of at least 1"),
        ({"batch": True}, "batch: given True; allowed: an integer of at least 1"),
        ({"threads": 1.5}, "threads: given 1.5; allowed: an integer of at least 1"),
        ({"seed": -1}, "seed: given -1; allowed: an integer of at least 0"),
        ({"dtype": "float23"}, f"dtype: {unknown('dtype', 'float23', PRECISIONS)}"),
        ({"precision": 0}, "precision: given 0; allowed: a number above 0 and below 1"),
        ({"precision": 1.0}, "precision: given 1.0; allowed: a number above 0 and below 1"),
        ({"precision": math.nan}, "precision: given nan; allowed: a number above 0 and below 1"),
        ({"time_s": math.inf}, "time_s: given inf; allowed: a number above 0 and finite"),
        ({"time_s": "10"}, "time_s: given '10'; allowed: a number above 0 and finite"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_is_refused(given_: dict[str, Any], message: str) -> None:
    """A plan names the key, what was given and what is allowed."""
    with pytest.raises(InputError) as caught:
        Plan(**given_)
    assert str(caught.value) == message


def test_all_mistakes_of_a_plan_at_once() -> None:
    """Whoever mistypes three values is told of three."""
    with pytest.raises(InputError) as caught:
        Plan(batch=-1, precision=2, time_s=0)
    assert [mistake.path for mistake in caught.value.mistakes] == [("batch",), ("precision",), ("time_s",)]


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_plans_take_every_dtype(dtype: str) -> None:
    """Each of the literal dtypes is a plan."""
    assert Plan(dtype=dtype).dtype == dtype


@pytest.mark.parametrize("wrong", [0.0, -1e-9, math.nan, math.inf])
def test_a_sample_is_a_positive_time(wrong: float) -> None:
    """A clock that stood still or was set back gives no measurement, and the target is named."""
    with pytest.raises(TargetError, match=f"target 'cpu' gave a sample of {wrong} s: its clock"):
        samples([(0.1, wrong)])


@pytest.mark.parametrize("bursts", [[], [()]])
def test_no_sample_is_no_measurement(bursts: list[tuple[float, ...]]) -> None:
    """Statistics of nothing do not exist."""
    with pytest.raises(TargetError, match="target 'cpu' gave no sample"):
        samples(bursts)


def test_samples_keep_their_order() -> None:
    """All bursts' samples are there, in the order they were taken, none left out."""
    assert (0.3, 0.1, 9.0, 0.2) == samples([(0.3, 0.1), (9.0, 0.2)]).samples_s


def test_raw_samples_are_json() -> None:
    """What was measured survives JSON to the last bit."""
    found = samples([burst(0.1, 0.1 + 2**-55, calibration_s=0.01, cpu_s=0.2, waited_s=0.0)])
    value = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert ["first_s", "warmup_s", "loops", "bursts"] == list(value)
    assert [found.bursts[0].samples_s] == [tuple(each["samples_s"]) for each in value["bursts"]]
    assert (0.01, 0.2, 0.0) == tuple(value["bursts"][0][key] for key in ("calibration_s", "cpu_s", "waited_s"))


def test_a_fingerprint_tells_devices_apart() -> None:
    """Equal devices have one fingerprint; another name, memory or system another."""
    others = [replace(DEVICE, name="x"), replace(DEVICE, memory_bytes=None), replace(DEVICE, system="y")]
    assert DEVICE.fingerprint == replace(DEVICE).fingerprint
    assert 4 == len({DEVICE.fingerprint, *(each.fingerprint for each in others)})
    assert 12 == len(DEVICE.fingerprint)
