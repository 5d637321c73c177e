"""Laws of every runtime: what it runs gives the eager module's output, and what it cannot do it refuses with why."""

from __future__ import annotations

import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path

import pytest
import torch
from specs import Tree, model
from torch import Tensor, nn

from archcost.errors import TargetError
from archcost.graph.dtypes import FLOATING
from archcost.latency import runtimes
from archcost.latency.runtimes import Prepared, Source
from archcost.latency.samples import Plan
from archcost.nets.call import Call
from archcost.nets.calls.contents import tensors_in
from archcost.nets.export import agreement, torch_export
from archcost.nets.export.quantisation import calibration, file
from archcost.nets.net import build, example

Given = Callable[[str, Source], list[Tensor]]


def here(*names: str) -> list[object]:
    """Return the runtimes of that name as parameters, skipped with the reason if they cannot run here."""
    whys = {name: runtimes.find(name).why_not() for name in names}
    return [pytest.param(n, marks=pytest.mark.skipif(bool(why), reason=f"{n}: {why}")) for n, why in whys.items()]


OTHERS = here("compile", "onnxruntime", "openvino")
EXPORTED = here("onnxruntime", "openvino")

IMAGE: Tree = {"input": [3, 8, 8], "classes": 3}
SMALL: dict[str, Tree] = {
    "fractal": {**IMAGE, "family": "fractal", "columns": 2, "widths": [4]},
    "hornn": {"family": "hornn", "input": {"steps": 3, "vocab": 7}, "hidden": 4, "order": 2, "pooling": "gated"},
    "cic": {**IMAGE, "family": "nin", "span": 2, "layers": [{"kernel": 3, "widths": [4, 3], "sparse": [1, 1]}]},
    "bottleneck": {**IMAGE, "family": "bottleneck", "depths": [1], "widths": [8], "groups": 2},
}


class Branch(nn.Module):
    """Runs one of two ways, by the values it gets."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x, doubled where its sum is positive."""
        return x * 2 if float(x.sum()) > 0 else x


class Dice(nn.Module):
    """Gives another output each time."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x and noise."""
        return x + torch.rand(x.shape)


class Broken(nn.Module):
    """Fails in every forward."""

    def forward(self, x: Tensor) -> Tensor:
        """Raise."""
        raise RuntimeError("no kernel\nfor this")


class Nested(nn.Module):
    """Takes arguments by name, whole numbers among them, and gives a structure; it writes to what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Tensor
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor, *, scale: int, low: Tensor, shift: Tensor) -> dict[str, object]:
        """Return sums of x: (B, 4), low: (B, 4), shift: (4), and nothing."""
        self.calls += 1
        return {"sum": (x.mul_(2) - low) * scale, "list": [shift * 2, None]}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Return what gives the tensors that a runtime made of a source, as they were when they were compared."""

    def run(name: str, source: Source) -> list[Tensor]:
        seen: list[list[Tensor]] = []

        def agree(what: str, expected: object, made: list[Tensor], tolerance: float) -> float:
            seen.append(made)
            return tolerance

        monkeypatch.setattr(agreement, "agree", agree)
        with runtimes.find(name).prepare(source, Plan(batch=2)) as prepared:
            prepared.call()
            prepared.call()
        return seen[0]

    return run


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("case", SMALL)
def test_every_family_gives_the_eager_output(name: str, case: str, given: Given) -> None:
    """What runs gives what the network gives in evaluation mode."""
    network = model(SMALL[case])
    net = build(network.graph)
    x = example(network.graph, 2, seed=3)
    with torch.no_grad():
        expected = net.eval()(x)
    net.train()
    made = given(name, Source(net, (x,)))
    tolerance = float(expected.abs().max()) * 1e-4
    torch.testing.assert_close(made[0], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", OTHERS)
def test_arguments_keep_their_names_and_outputs_their_order(name: str, given: Given) -> None:
    """Arguments by name in any order, a number, integers and a transposed tensor come through; structures are flat."""
    named = {"shift": torch.arange(4), "low": torch.arange(8.0).reshape(4, 2).T, "scale": 3}
    x = torch.ones(2, 4)
    made = given(name, Source(Nested(), (x,), named))
    expected = tensors_in(Nested()(x.clone(), **named))
    assert [t.tolist() for t in expected] == [t.tolist() for t in made]


def world() -> dict[str, object]:
    """Return what a runtime could change besides the module."""
    return {
        "torch's random state": torch.get_rng_state().tolist(),
        "Python's random state": random.getstate(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "dtype and threads": (torch.get_default_dtype(), torch.get_num_threads()),
        **os.environ,
    }


def facts(module: nn.Module) -> tuple[object, ...]:
    """Return what a runtime could change of a module."""
    state = {key: value.tolist() for key, value in module.state_dict().items()}
    return state, [(sorted(part.__dict__), part.training) for part in module.modules()]


@pytest.mark.parametrize("name", OTHERS)
def test_the_source_is_left_as_it_was(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Module, inputs, torch's settings, random states and the disk are as before, and nothing was printed."""
    import torch._inductor.codecache  # chooses, when it is loaded, where torch's precompiled headers stay

    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4)).train()
    module[1].eval()
    x = torch.randn(2, 4)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before, around = (*facts(module), x.tolist()), world()
    with runtimes.find(name).prepare(Source(module, (x,)), Plan(batch=2)) as prepared:
        prepared.call()
    assert before == (*facts(module), x.tolist())
    assert {} == {key: value for key, value in world().items() if around.get(key) != value}
    assert [] == list(tmp_path.iterdir())
    assert ("", "") == capfd.readouterr()
    module(x).sum().backward()


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Dice(), r"two calls of the network itself differ: it draws random numbers \(aten.rand\), as dropout"),
        (Branch(), "cannot (compile|export) this network: .*data-dependent"),
        (Broken(), "the network failed when it was run: RuntimeError: no kernel for this"),
        (nn.Threshold(0.0, float("inf")), "output is not finite: nothing to compare"),
        (nn.Linear(4, 4, device="meta"), "the module cannot be copied"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    name: str, module: nn.Module, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """What computes something else, runs by data, fails, or gives no numbers gets a reason on one line, and no call."""
    with pytest.raises(TargetError, match=message) as caught:
        runtimes.find(name).prepare(Source(module, (-torch.ones(2, 4),)), Plan(batch=2)).__enter__()
    assert str(caught.value).isprintable()
    assert ("", "") == capfd.readouterr()


@pytest.mark.parametrize("name", OTHERS)
def test_a_disk_that_takes_nothing_is_a_target_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a place for temporary files there is no measurement, and the reason is said."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(TargetError, match=r"cannot (be written|write).*No such file"):
        runtimes.find(name).prepare(Source(nn.ReLU(), (torch.ones(2),)), Plan()).__enter__()


@pytest.mark.parametrize("name", EXPORTED)
@pytest.mark.parametrize("dtype", [dtype for dtype in FLOATING if dtype != "float32"])
def test_exported_networks_run_at_float32_alone(name: str, dtype: str) -> None:
    """Another dtype is refused by name: a float32 latency under it would be a wrong one."""
    with pytest.raises(TargetError, match=f"{name} is measured at float32 only, given {dtype}; allowed: the runtimes"):
        runtimes.find(name).prepare(Source(nn.ReLU(), (torch.ones(2),)), Plan(dtype=dtype)).__enter__()


@pytest.mark.parametrize("name", EXPORTED)
@pytest.mark.parametrize(("planted", "message"), [(0.0, ""), (0.2, "what .* runs differs by 0.2[01]? of the largest")])
def test_int8_is_compared_with_its_own_file(
    name: str, planted: float, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs is as near to the file as rounding allows, and is refused if it is not."""
    given = file.emulated

    def other(path: Path, arrays: calibration.Arrays) -> list[Tensor]:
        return [value / (1 + planted) for value in given(path, arrays)]

    monkeypatch.setattr(file, "emulated", other)
    source = Source(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), (torch.ones(1, 6),))
    with pytest.raises(TargetError, match=message) if message else nullcontext():
        found = runtimes.find(name).prepare(source, Plan(dtype="int8", time_s=0.1)).__enter__().findings
        assert found is not None
        assert (2, True) == (found.layers, found.turns is not None)


@pytest.mark.parametrize("name", EXPORTED)
def test_an_onnx_file_runs_as_it_is(name: str, tmp_path: Path) -> None:
    """Its arrays are bound by name, also where the file leaves its batch open."""
    module, x = nn.Sequential(nn.Linear(6, 5), nn.ReLU()), torch.ones(3, 6)
    with torch_export.quiet("torch.onnx cannot export"):
        torch_export.convert(Call(module, (x,)), tmp_path / "net.onnx", {}, is_open=True)
    source = Source(runtimes.OnnxFile(tmp_path / "net.onnx", {"input": x.numpy()}))
    with runtimes.find(name).prepare(source, Plan()) as ready:
        ready.call()
    assert ready.first_s is not None


@pytest.mark.parametrize("name", ["eager", "compile"])
def test_torch_runs_no_int8(name: str) -> None:
    """A job from another machine may ask for it: it is refused, with what torch runs."""
    with pytest.raises(TargetError, match="torch runs no int8 module; allowed: 'float32'"):
        runtimes.find(name).prepare(Source(nn.ReLU(), (torch.ones(2),)), Plan(dtype="int8")).__enter__()


@pytest.mark.parametrize("name", EXPORTED)
def test_weights_beyond_one_file_stand_beside_it(name: str, given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network too large for one ONNX file runs with its weights in a second one."""
    monkeypatch.setattr(torch_export, "LARGEST_ONNX_BYTES", 0)
    module, x = nn.Linear(40, 30), torch.ones(2, 40)
    with torch.no_grad():
        torch.testing.assert_close(given(name, Source(module, (x,)))[0], module(x))


@pytest.mark.parametrize("name", runtimes.RUNTIMES)
def test_versions_are_those_installed(name: str) -> None:
    """A runtime names the version of each package it runs with, as the package index knows it, and torch's build."""
    named = dict(runtimes.find(name).versions())
    python = named.pop("python", platform.python_version())
    assert (platform.python_version(), str(torch.__version__)) == (python, named.pop("torch"))
    assert named == {package: metadata.version(package) for package in named}


LACKING = [
    *(("onnxruntime", package, package) for package in ("onnx", "onnxscript", "onnxruntime")),
    *(("openvino", package, package) for package in ("onnx", "onnxscript")),
    ("openvino", "openvino", "'archcost[openvino]'"),
]


@pytest.mark.parametrize(("name", "package", "what"), LACKING)
def test_a_missing_package_says_what_to_install(
    name: str, package: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a package is missing the reason names it and what brings it, and nothing is made; its version is gone."""
    monkeypatch.setitem(sys.modules, package, None)
    runtime = runtimes.find(name)
    reason = runtime.why_not()
    assert package in reason.partition(" not installed: ")[0]
    assert reason.endswith(f" not installed: pip install {what}")
    assert package not in dict(runtime.versions())
    with pytest.raises(TargetError) as caught:
        runtime.prepare(Source(Broken()), Plan()).__enter__()
    assert reason == str(caught.value)


@pytest.mark.parametrize("name", here("openvino"))
def test_openvino_is_imported_in_silence(name: str) -> None:
    """Preparing a run neither looks for a host nor loads what would send usage data."""
    code = (
        "import sys, torch; from archcost.latency import runtimes; from archcost.latency.samples import Plan\n"
        "seen, own = [], 'socket.gethostname'  # of folders for temporary files\n"
        "sys.addaudithook(lambda event, _: event.startswith('socket.') and event != own and seen.append(event))\n"
        f"source = runtimes.Source(torch.nn.ReLU(), (torch.ones(2),)); runtime = runtimes.find('{name}')\n"
        "with runtime.prepare(source, Plan()) as prepared: prepared.call()\n"
        "print(seen, 'openvino' in sys.modules, 'openvino_telemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert ("[] True False\n", "") == (done.stdout, done.stderr)


@pytest.mark.parametrize("name", here("onnxruntime"))
def test_onnx_runtime_uses_the_plans_threads(name: str) -> None:
    """A session gets as many threads as the plan says, one operator after the other."""
    from archcost.latency.runtimes.onnxruntime import session
    from archcost.nets.call import Call

    with torch_export.onnx_file(Call(nn.ReLU(), (torch.ones(2),))) as path:
        options = session(path, 3).get_session_options()
    assert (3, 1, "ORT_SEQUENTIAL") == (
        options.intra_op_num_threads, options.inter_op_num_threads, options.execution_mode.name
    )  # fmt: skip


@pytest.mark.parametrize("name", here("openvino"))
def test_openvino_uses_the_plans_threads_and_float32(name: str) -> None:
    """What OpenVINO says of the compiled network is what was asked: threads, float32, no pinning."""
    from archcost.latency.runtimes.openvino import loaded, settings
    from archcost.nets.call import Call

    with torch_export.onnx_file(Call(nn.ReLU(), (torch.ones(2),))) as path:
        core = loaded().Core()
        compiled = core.compile_model(core.read_model(path), "CPU", settings(1))
        said = {key: compiled.get_property(key) for key in settings(1)}
    assert "float32" in str(said.pop("INFERENCE_PRECISION_HINT"))
    assert {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False} == {
        key: value for key, value in said.items() if key != "PERFORMANCE_HINT"
    }


def test_a_call_that_compiles_nothing_has_no_first() -> None:
    """Only what compiles has a first call apart from the others."""
    assert Prepared(lambda: None).first_s is None
