"""The profile as a value: what Python callers and the JSON get."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

import archcost
from archcost.errors import InputError, TargetError
from archcost.latency import runtimes, samples, targets
from archcost.latency.measure import Request
from archcost.latency.samples import Plan
from archcost.latency.targets import fake
from archcost.profiling import subjects
from archcost.profiling.compare import compared
from archcost.profiling.profile import profiled

KEYS = [
    *("archcost", "schema", "warnings", "model", "batch", "dtype", "params", "macs", "elementwise", "flops"),
    *("weights_bytes", "activation_bytes", "peak_memory_bytes", "uncounted", "witnesses", "agree"),
    *("layers", "columns", "latencies", "streaming", "failures"),
    *("parameters", "coverage", "training", "memory", "yaml", "notes"),
]
LATENCY_KEYS = [
    *("target", "runtime", "device", "batch", "dtype", "threads", "warmup", "samples", "median_s", "min_s"),
    *("p90_s", "p99_s", "interval_s", "spread", "stable", "why", "doubts", "examples_per_s", "first_s"),
    *("blocks", "cold_cache", "contention", "calibration_s", "relative", "machine_speed", "fingerprint"),
    *("conditions", "versions", "enough_s", "export_s", "settings", "processes", "copies", "repeat_s", "int8", "raw"),
]


def test_the_json_has_the_keys_that_are_promised() -> None:
    """Every key of the format is there, in its order, and all of it is JSON."""
    found = archcost.profile("fractalnet-ultra-2", target="fake", threads=1)
    value = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert KEYS == list(value)
    assert ["name", "family", "input", "steps", "digest", "graph"] == list(value["model"])
    assert LATENCY_KEYS == list(value["latencies"][0])
    assert ["column", "depth", "params", "macs"] == list(value["columns"][0])
    assert value["agree"] is True
    assert {"params": 847716, "macs": 19182080, "unsupported": {}} == value["witnesses"]["fvcore"]
    assert {"macs": 19182080} == value["witnesses"]["torch"]


def test_layers_add_up_to_the_totals() -> None:
    """Parameters, MACs and elementwise operations of the layers are those of the network."""
    value = archcost.profile("nin-cifar10", latency=False, witness=False).to_dict()
    for key in ("params", "macs", "elementwise"):
        assert value[key] == sum(layer[key] for layer in value["layers"])  # type: ignore[attr-defined,union-attr]
    assert 2 * 222486528 + 1570688 == value["flops"]
    assert (None, None, [], []) == (value["witnesses"], value["agree"], value["latencies"], value["columns"])


def test_memory_follows_batch_and_dtype() -> None:
    """Weights halve with the width of the dtype, activations grow with the batch."""
    one = archcost.profile("resnet-20", latency=False, witness=False)
    other = archcost.profile("resnet-20", batch=8, dtype="bfloat16", latency=False, witness=False)
    assert one.weights_bytes == 2 * other.weights_bytes == 4 * (272474 + 2 * 784)
    assert 8 * one.activation_bytes == 2 * other.activation_bytes


def test_every_combination_is_measured_once() -> None:
    """Several batches and thread counts give a latency each, in order, and what is named twice is measured once."""
    several = {"target": ["fake", "fake"], "runtime": ["eager"] * 2, "batch": (1, 4, 1), "threads": [1, 2, 1]}
    found = archcost.profile("hornn-1", witness=False, **several)  # type: ignore[arg-type]  # of several types
    assert [(1, 1), (1, 2), (4, 1), (4, 2)] == [(f.batch, f.threads) for f in found.latencies]


def test_a_model_can_be_given() -> None:
    """A Model that was loaded before is profiled without reading it again."""
    model = archcost.load("resnet-20", ["depths=[1, 1, 1]"])
    assert model.cost.params == archcost.profile(model, latency=False).params


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"target": "gpu"}, "unknown target 'gpu'"),
        ({"runtime": "onnx"}, "unknown runtime 'onnx'; allowed: 'eager'"),
        ({"batch": 0}, "batch: given 0; allowed: an integer of at least 1"),
        ({"dtype": "int4"}, "unknown dtype 'int4'"),
        ({"threads": 0}, "threads: given 0"),
        ({"threads": 10**6}, "threads: given 1000000; allowed: 1 to "),
        ({"precision": 2.0}, "precision: given 2.0"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_built(
    asked: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name or number that cannot be is an InputError that says what is allowed, and nothing is built for it."""
    monkeypatch.setattr(subjects, "built", lambda *_: pytest.fail("built"))
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        archcost.profile("resnet-20", **asked)  # type: ignore[arg-type]  # wrong on purpose


def test_what_is_no_network_is_refused() -> None:
    """An object that is neither a path nor a Model is an InputError."""
    with pytest.raises(InputError, match="given int; allowed: a YAML file"):
        archcost.profile(3)  # type: ignore[arg-type]  # wrong on purpose


def test_too_large_to_build_says_how_to_count_it(tmp_path: Path) -> None:
    """10^14 parameters are counted, but not built; the message says both sizes and the way out."""
    path = tmp_path / "giant.yaml"
    path.write_text(
        "family: bottleneck\ninput: [3, 8, 8]\nclasses: 2\nblock: basic\ndepths: [1]\nwidths: [4000000]\n", "utf-8"
    )
    assert 144_000_000_000_000 < archcost.profile(path, latency=False, witness=False).params
    with pytest.raises(InputError, match=r"too large to build: 576 TB of weights.*\n.*--no-latency --no-witness"):
        archcost.profile(path, latency=False)


def test_a_batch_too_large_for_memory_is_refused() -> None:
    """A batch whose values cannot fit is a TargetError with both sizes, before anything is allocated."""
    with pytest.raises(
        TargetError, match=r"batch 100000000, float32, [0-9]+ threads?: needs [0-9.]+ TB of memory, .* are free"
    ):
        archcost.profile("resnet-20", batch=10**8, witness=False)


def _failing(name: str) -> targets.Target:
    def measure(
        sources: Sequence[runtimes.Source], runtime: runtimes.Runtime, plan: Plan
    ) -> tuple[samples.Samples, ...]:
        if plan.batch == 2:
            raise TargetError("out of order")
        return fake.measure(sources, runtime, plan)

    return targets.Target(name, "", fake.describe, measure)


def test_one_failure_does_not_lose_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """If one combination fails, the others are measured and the failure is told with its reason."""
    broken = _failing("fake")
    monkeypatch.setattr(targets, "find", lambda name: broken)
    request = Request(targets=("fake",), batches=(1, 2, 3), witness=False, threads=(1,))
    found = profiled(archcost.load("hornn-1"), request)
    assert [1, 3] == [f.batch for f in found.latencies]
    assert ["fake/eager, batch 2, float32, 1 thread: out of order"] == [str(failure) for failure in found.failures]
    (row,) = found.to_dict()["failures"]  # type: ignore[misc]  # a list
    assert {"target": "fake", "runtime": "eager", "batch": 2, "dtype": "float32", "threads": 1} | {
        "reason": "out of order"
    } == row
    assert str(found.failures[0]) in found.to_dict()["warnings"]  # type: ignore[operator]  # a list


@pytest.mark.parametrize(("asked", "told"), [((), None), ((2,), 2)])
def test_threads_of_a_target_that_was_not_reached_are_not_known(
    asked: tuple[int, ...], told: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are null if none were asked for: nobody knows how many it has."""

    def describe() -> targets.Facts:
        raise TargetError("no route to it")

    away = targets.Target("far", "", describe, fake.measure)
    monkeypatch.setattr(targets, "find", lambda name: away)
    found = profiled(archcost.load("hornn-1"), Request(targets=("far",), witness=False, threads=asked))
    assert [(told, "no route to it")] == [(failure.way.threads, failure.reason) for failure in found.failures]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_what_no_gpu_would_help_is_said_first(runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime of the processor says so, whether a GPU and its own package are here or not."""
    monkeypatch.setitem(sys.modules, runtime, None)
    request = Request(targets=("cuda", "mps"), runtimes=(runtime,), witness=False)
    failures = profiled(archcost.load("hornn-1"), request).failures
    assert ["this runtime runs on processors only"] * 2 == [failure.reason for failure in failures]


def test_where_all_fails_python_gets_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that could measure nothing raises the target's error."""
    broken = _failing("fake")
    monkeypatch.setattr(targets, "find", lambda name: broken)
    with pytest.raises(TargetError, match="out of order"):
        archcost.profile("hornn-1", target="fake", batch=2, witness=False)


def test_a_slower_sparse_layer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a sparse layer takes longer than a dense one in its place, the profile says both times and the MACs."""

    def script(source: runtimes.Source) -> fake.Script:
        assert source.graph is not None
        base_s = 0.003 if any("window" in node.name for node in source.graph.nodes) else 0.001
        return fake.Script(base_s, base_s, 0, 0.001)

    def measure(
        sources: Sequence[runtimes.Source], runtime: runtimes.Runtime, plan: Plan
    ) -> tuple[samples.Samples, ...]:
        return fake.measure(sources, runtime, plan, scripts=[script(source) for source in sources])

    slow = targets.Target("fake", "", fake.describe, measure)
    monkeypatch.setattr(targets, "find", lambda name: slow)
    path = tmp_path / "cic.yaml"
    path.write_text(
        "family: nin\ninput: [3, 8, 8]\nclasses: 4\nlayers:\n"
        "  - {kernel: 3, widths: [8, 8, 4], sparse: [0, 1, 0], span: 4}\n",
        "utf-8",
    )
    (line,) = archcost.profile(path, target="fake", threads=1, witness=False).warnings
    assert line.startswith("layer1.conv2: the sparse layer takes 3.0")
    assert line.endswith("with 50.0% of the dense one's MACs")


def test_public_names_are_listed_and_there() -> None:
    """Every public name is importable, and the list is complete."""
    assert set(archcost._HOMES) == set(archcost.__all__)
    assert sorted(archcost.__all__) == archcost.__all__
    for name in archcost.__all__:
        assert getattr(archcost, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        archcost.nothing  # noqa: B018  # the access is the test


def test_a_stream_is_measured_step_by_step() -> None:
    """A recurrent network has, beside its whole sequence, the latency of one step with the state carried."""
    several = archcost.load("hornn-3", ["input.steps=5"])
    found = archcost.profile(several, target="fake", threads=1, witness=False, batch=(1, 4))
    value = found.to_dict()
    assert [1, 4] == [row["batch"] for row in value["streaming"]]  # type: ignore[attr-defined]  # a list of rows
    assert [] == archcost.profile("resnet-20", target="fake", threads=1, witness=False).to_dict()["streaming"]


def test_a_step_carries_the_state() -> None:
    """Steps one after the other give what the whole sequence gives: a step is not a sequence of its own."""
    model = archcost.load("hornn-3", ("input.steps=5",))
    subject = subjects.of_net(model.graph, subjects.built(model, nullcontext))
    assert subject.step is not None
    plan = Plan(batch=2)
    stepping, (_, state) = subject.step.source(plan).network, subject.step.source(plan).args
    x = subject.source(plan).args[0]
    with torch.no_grad():
        whole = subject.source(plan).network(x)
        steps = []
        for t in range(5):
            y, state = stepping(x[:, t : t + 1], state)  # type: ignore[index]  # a tensor
            steps.append(y)
    assert torch.allclose(whole, torch.cat(steps, 1), atol=1e-6)


def test_networks_of_a_comparison_take_turns() -> None:
    """Every way of measuring gives each network a latency, and each pair the ratio of their rounds."""
    request = Request(targets=("fake",), batches=(1, 8), witness=False, threads=(1,))
    found = compared([archcost.load("resnet-20"), archcost.load("resnet-56")], request)
    assert [1, 8] == [timed.first.batch for timed in found.against[0].latencies]
    assert all(timed.paired.rounds >= 8 for timed in found.against[0].latencies)
    assert ([1, 8], ()) == ([row.batch for row in found.profiles[1].latencies], found.failures)
