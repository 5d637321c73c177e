"""Runtimes as users meet them: one that fails does not lose the others, and the list says what is here and why not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
import torch
from commands import run
from torch import nn

from archcost.errors import TargetError
from archcost.latency import runtimes, targets
from archcost.latency.runtimes import Prepared, Runtime, Source
from archcost.latency.samples import Plan

Install = Callable[[Runtime], None]
SMALL = ("resnet-20", "--set", "depths=[1, 1, 1]", "--target", "fake", "--no-witness", "--threads", "1")


def scripted(events: list[str], *, reason: str = "") -> Runtime:
    """Return a runtime that notes what is done with it, and refuses where there is a reason."""

    @contextmanager
    def prepare(source: Source, plan: Plan) -> Iterator[Prepared]:
        if reason:
            raise TargetError(reason)
        events.append(f"in {plan.batch}")
        yield Prepared(lambda: events.append("call"), 2.5)
        events.append("out")

    return Runtime("scripted", prepare, lambda: (("scripted", "1.2"),), lambda: reason)


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return what puts a runtime into the table, where the command line finds it."""

    def install(runtime: Runtime) -> None:
        place = ModuleType("scripted_runtime")
        place.RUNTIME = runtime  # type: ignore[attr-defined]  # as every module of the table has one
        monkeypatch.setitem(sys.modules, "scripted_runtime", place)
        monkeypatch.setitem(runtimes.RUNTIMES, "scripted", "scripted_runtime")

    return install


@pytest.mark.parametrize("target", ["cpu", "fake"])
def test_a_target_calls_what_a_runtime_prepared(target: str) -> None:
    """Calls happen inside the runtime's context, which ends with the measurement; its versions stand in the origin."""
    events: list[str] = []
    plan = Plan(batch=3, time_s=0.01)
    (samples,) = targets.find(target).measure([Source(nn.ReLU(), (torch.ones(1),))], scripted(events), plan)
    assert ("in 3", {"call"}, "out") == (events[0], set(events[1:-1]), events[-1])
    assert ("scripted", (("scripted", "1.2"),)) == (samples.origin.runtime, samples.origin.versions)


def test_a_failing_runtime_does_not_lose_the_others(capsys: pytest.CaptureFixture[str], installs: Install) -> None:
    """The runtimes that work are in the output, the one that does not is named with its reason, and the code is 3."""
    installs(scripted([], reason="no such chip"))
    asked = ("--runtime", "eager", "--runtime", "scripted", "--runtime", "eager")
    code, out, err = run(capsys, "profile", *SMALL, *asked, "--json")
    value = json.loads(out)
    assert (3, ["eager"], ["scripted"]) == (
        code,
        *([row["runtime"] for row in value[k]] for k in ("latencies", "failures")),
    )
    assert "archcost: fake/scripted, batch 1, float32, 1 thread: no such chip\n" in err


@pytest.mark.parametrize(("name", "what"), [("onnxruntime", "onnxruntime"), ("openvino", "'archcost[openvino]'")])
def test_a_runtime_without_its_package_is_named(
    name: str, what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Profile and targets both say what to install; no number is given for it."""
    monkeypatch.setitem(sys.modules, name, None)
    code, out, err = run(capsys, "profile", *SMALL, "--runtime", "eager", "--runtime", name, "--json")
    assert (3, ["eager"]) == (code, [row["runtime"] for row in json.loads(out)["latencies"]])
    assert f"fake/{name}, batch 1, float32, 1 thread: " in err
    assert f"pip install {what}\n" in err
    listed = " ".join(run(capsys, "targets")[1].split()).partition(f"runtime {name} ")[2].partition(" runtime ")[0]
    assert listed.startswith("not here: ")
    assert f"pip install {what}" in listed


def test_two_runtimes_in_one_profile(capsys: pytest.CaptureFixture[str]) -> None:
    """Eager and ONNX Runtime of the same network stand side by side."""
    asked = ("--runtime", "eager", "--runtime", "onnxruntime")
    code, out, _ = run(capsys, "profile", *SMALL, *asked, "--json")
    assert (0, ["eager", "onnxruntime"]) == (code, [row["runtime"] for row in json.loads(out)["latencies"]])


@pytest.mark.parametrize("command", ["profile", "compare", "suggest"])
@pytest.mark.parametrize("runtime", ["eager", "compile"])
def test_int8_is_for_two_runtimes(command: str, runtime: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Another one refuses it before anything runs, and the message says which do."""
    second = ("nin-cifar10",) if command == "compare" else ()
    code, out, err = run(capsys, command, "resnet-20", *second, "--runtime", runtime, "--dtype", "int8")
    assert (2, "") == (code, out)
    words = f"dtype: given int8 for the runtime '{runtime}'; allowed: int8 with the runtime 'onnxruntime' or "
    assert f"archcost: {words}'openvino'\n" == err


def test_int8_chooses_the_runtime_that_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Weights are a byte each, and it is said that no accuracy is claimed; both dtypes run in the same runtime."""
    code, out, err = run(capsys, "profile", *SMALL, "--dtype", "int8", "--dtype", "float32", "--json")
    value = json.loads(out)
    assert (0, [("onnxruntime", "int8"), ("onnxruntime", "float32")]) == (
        code,
        [(row["runtime"], row["dtype"]) for row in value["latencies"]],
    )
    small, whole = (row["weights_bytes"] for row in value["memory"])
    assert value["params"] * 4 > whole - small > value["params"] * 2
    assert 1 == err.count("int8: ranges from inputs drawn at random: a latency, no accuracy is claimed")


def test_a_network_without_products_has_no_int8(capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused with the reason."""
    module = ("torch.nn:ReLU", "--input", "3,8,8", "--dtype", "int8", "--target", "fake", "--no-witness")
    code, _, err = run(capsys, "profile", *module)
    assert 3 == code
    assert "int8: this network has no product that could be quantised" in err


def test_targets_lists_every_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    """Each runtime of the table is in the list, with versions where it is here and a reason if it is not."""
    value = json.loads(run(capsys, "targets", "--json")[1])
    assert list(runtimes.RUNTIMES) == value["runtimes"] == [row["runtime"] for row in value["runtime_facts"]]
    for row in value["runtime_facts"]:
        assert {"runtime", "here", "why_not", "versions"} == set(row)
        assert row["here"] == (not row["why_not"])
        assert all(row["versions"].values())
    lines = run(capsys, "targets")[1].splitlines()
    assert 80 >= max(map(len, lines))
    assert {None} == {row["threads"] for row in value["targets"] if not row["here"]}
    heads = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert [*["target"] * 4, *["runtime"] * len(runtimes.RUNTIMES)] == heads
