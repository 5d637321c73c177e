"""What is asked for becomes raw seconds: every way on every target, in order, each with its samples or its failure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import pytest
import torch
from torch import nn

from archcost.errors import InputError, TargetError
from archcost.latency import measure, runtimes, targets
from archcost.latency.measure import Place, Request, Subject, all_measured, places
from archcost.latency.runtimes import Source
from archcost.latency.samples import Plan, Samples, way
from archcost.latency.targets import fake

FEW = Request(targets=("fake",), threads=(1,), time_s=0.5)


def subject(needed_bytes: int = 0, seen: list[Plan] | None = None) -> Subject:
    """Return a product of four numbers, which notes the plans that it is called with."""

    def source(plan: Plan) -> Source:
        if seen is not None:
            seen.append(plan)
        return Source(nn.Linear(4, 2), (torch.ones(plan.batch, 4),))

    return Subject(source, lambda _: needed_bytes)


def at(target: targets.Target) -> tuple[Place, ...]:
    """Return a target as a place that was reached."""
    return (Place(target, target.describe()),)


def found(name: str = "fake", **changes: object) -> targets.Target:
    """Return the fake target with other properties."""
    return replace(targets.find("fake"), name=name, **changes)  # type: ignore[arg-type]  # a field's own type


def test_every_combination_is_a_plan_once() -> None:
    """Batches, types and threads are combined in this order; what is asked for twice is one plan."""
    asked = Request(batches=(1, 8, 1), dtypes=("float32", "bfloat16"), threads=(2, 1), precision=0.05, time_s=3.0)
    plans = [(plan.batch, plan.dtype, plan.threads) for plan in asked.plans()]
    both = ("float32", "bfloat16")
    assert [(batch, dtype, threads) for batch in (1, 8) for dtype in both for threads in (2, 1)] == plans
    assert {(0.05, 3.0)} == {(plan.precision, plan.time_s) for plan in asked.plans()}
    assert ((1, "float32"), (1, "bfloat16"), (8, "float32"), (8, "bfloat16")) == asked.settings()


def test_what_is_not_asked_for_is_the_networks_and_the_targets() -> None:
    """Without a type it is the network's own, without threads they are the target's."""
    (plan,) = Request().plans("bfloat16", default_threads=3)
    assert ("bfloat16", 3) == (plan.dtype, plan.threads)
    target = found(describe=lambda: replace(fake.describe(), threads=7))
    assert [7] == [plan.threads for plan in at(target)[0].plans(Request(), "float32")]
    assert [1] == [plan.threads for plan in Place(target, None, "away").plans(Request(), "float32")]


def test_no_target_is_asked_if_nothing_is_measured() -> None:
    """Counts alone do not look at a machine, but a target's name is checked all the same."""
    assert () == places(replace(FEW, latency=False, threads=()))
    with pytest.raises(InputError, match="unknown target 'gpu'"):
        places(replace(FEW, latency=False, targets=("gpu",)))


def test_threads_are_checked_against_the_target() -> None:
    """More threads than the target has CPUs are a mistake of the request."""
    with pytest.raises(InputError, match="threads: given 65; allowed: 1 to 64, the CPUs of target 'fake'"):
        places(replace(FEW, threads=(1, 65)))


def test_ways_come_in_order_and_only_those_that_are_wanted() -> None:
    """A row for every plan, or for those that are named."""
    asked, where = replace(FEW, batches=(1, 2, 3)), places(FEW)
    rows = all_measured([subject()], asked, where, nullcontext)
    assert [1, 2, 3] == [row.samples[0].plan.batch for row in rows]
    wanted = way("fake", "eager", rows[1].samples[0].plan)
    assert [2] == [
        row.samples[0].plan.batch for row in all_measured([subject()], asked, where, nullcontext, only={wanted})
    ]


def test_subjects_take_turns_in_one_measurement() -> None:
    """Several networks give a row of several samples, made at one time: as many bursts of each."""
    (row,) = all_measured([subject(), subject()], FEW, places(FEW), nullcontext)
    one, other = row.samples
    assert len(one.bursts) == len(other.bursts) > 0


def test_a_failure_is_a_row_and_not_the_end() -> None:
    """What one way cannot do is its failure; the others are measured, and what begins is told."""

    def measured(sources: Sequence[Source], runtime: runtimes.Runtime, plan: Plan) -> tuple[Samples, ...]:
        if plan.batch == 2:
            raise TargetError("out of order")
        return fake.measure(sources, runtime, plan)

    told: list[str] = []

    def progress(what: str) -> AbstractContextManager[None]:
        told.append(what)
        return nullcontext()

    rows = all_measured([subject()], replace(FEW, batches=(1, 2)), at(found(measure=measured)), progress)
    assert [1, 0] == [len(row.samples) for row in rows]
    assert "fake/eager, batch 2, float32, 1 thread: out of order" == str(rows[1].failure)
    assert [
        "measuring on fake/eager, batch 1, float32, 1 thread",
        "measuring on fake/eager, batch 2, float32, 1 thread",
    ] == told


def test_what_does_not_fit_is_not_made() -> None:
    """Memory that is short is said with both sizes, before the network's arguments are made."""
    seen: list[Plan] = []
    target = found(describe=lambda: replace(fake.describe(), memory_bytes=1_000_000))
    (row,) = all_measured([subject(600_000, seen), subject(600_000, seen)], FEW, at(target), nullcontext)
    assert ([], True) == (seen, str(row.failure).endswith("needs 1.20 MB of memory, 1.00 MB are free"))


def test_what_was_not_reached_says_why() -> None:
    """A place that was not reached, or is not here, fails with its own words."""
    away = Place(found("far"), None, "no route to it")
    (row,) = all_measured([subject()], replace(FEW, threads=()), (away,), nullcontext)
    assert (None, "no route to it") == (row.failure and row.failure.way.threads, str(row.failure).partition(": ")[2])


@pytest.mark.parametrize(
    ("holder", "who"),
    [(None, "another process"), (17, "process 17"), pytest.param(os.getpid(), "another thread", id="this process")],
)
def test_who_is_waited_for_is_said(holder: int | None, who: str) -> None:
    """The line says which process has the device, if that is known."""
    told: list[str] = []

    def progress(what: str) -> AbstractContextManager[None]:
        told.append(what)
        return nullcontext()

    with measure.waiting("cpu", progress, "measures", holder):
        assert [f"waiting: {who} measures on cpu"] == told


def test_a_long_export_waits_until_it_is_asked_for() -> None:
    """Of a network with many operators; eager has all the time then, and the reason says how to ask."""
    large = subject()._replace(operators=1001)
    asked = replace(FEW, beside=True, time_s=None)
    eager, deployed = all_measured((large,), asked, at(found(deploys=True)), nullcontext)
    assert ((), False, measure.TIME_S) == (deployed.samples, deployed.asked, eager.samples[0].plan.time_s)
    assert "fake/onnxruntime, batch 1, float32, 1 thread: exporting 1,001 operators" in str(deployed.failure)
    assert str(deployed.failure).endswith("--runtime onnxruntime")


def test_what_eager_cannot_do_is_said_once() -> None:
    """If there is no room for the network, no other runtime is tried unasked."""
    target = found(describe=lambda: replace(fake.describe(), memory_bytes=10), deploys=True)
    (only,) = all_measured((subject(11)._replace(operators=1),), replace(FEW, beside=True), at(target), nullcontext)
    assert ("eager", True) == (only.failure and only.failure.way.runtime, only.asked)
