"""What is measured if nobody says what: eager first, and beside it what people deploy with, in the same time."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import run
from torch import Tensor, nn

import archcost
from archcost.latency.measure import DEPLOYED, TIME_S
from archcost.profiling.result import Profile

X = torch.randn(2, 8)
NET = nn.Sequential(nn.Linear(8, 8), nn.ReLU())


class Branching(nn.Module):
    """Takes a course that depends on its input: no exporter can trace it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 8) of x: (B, 8)."""
        y: Tensor = self.one(x) if x.sum() > 0 else self.other(x)
        return y


def profiled(module: nn.Module = NET, **options: object) -> Profile:
    """Return a profile that stops as soon as it can."""
    given: dict[str, object] = {"precision": 0.9, "threads": 1, "witness": False, **options}
    return archcost.profile(module, X, **given)  # type: ignore[arg-type]  # options of profile


def runtimes(found: Profile) -> list[str]:
    """Return what each latency was measured in."""
    return [latency.runtime for latency in found.latencies]


def test_eager_is_first_and_both_share_the_time() -> None:
    """Each has half of it, in which the export is; what that took is apart from the latency and from the first call."""
    found = profiled()
    assert ["eager", DEPLOYED] == runtimes(found)
    assert [(TIME_S / 2, False), (TIME_S / 2, True)] == [
        (each.plan.time_s, each.plan.export_in_time) for each in found.samples
    ]
    eager, deployed = found.latencies
    assert eager.export_s is None
    assert deployed.export_s is not None
    assert deployed.export_s > deployed.median_s


def test_a_time_that_is_given_is_that_of_each() -> None:
    """As the option says: the longest for one measurement; an export is then no part of it."""
    plans = [each.plan for each in profiled(time="60ms").samples]
    assert [(0.06, False)] * 2 == [(plan.time_s, plan.export_in_time) for plan in plans]


@pytest.mark.parametrize(
    "options", [{"dtype": "bfloat16"}, {"runtime": "eager"}, {"target": "fake"}], ids=["dtype", "runtime", "target"]
)
def test_what_cannot_be_beside_is_left_out_without_a_word(options: dict[str, object]) -> None:
    """Another dtype, a runtime that was asked for, a target that nobody deploys on."""
    found = profiled(time="60ms", **options)
    assert (["eager"], (), ()) == (runtimes(found), found.notes, found.failures)


def test_what_cannot_be_exported_is_a_note() -> None:
    """No failure, as nobody asked for it; if it is asked for, it is one."""
    found = profiled(Branching(), time="60ms")
    assert (["eager"], ()) == (runtimes(found), found.failures)
    (note,) = [note for note in found.notes if DEPLOYED in note]
    assert note.startswith(f"not measured: cpu/{DEPLOYED}, batch 1, float32, 1 thread: torch.onnx cannot export")
    asked = profiled(Branching(), time="60ms", runtime=["eager", DEPLOYED])
    assert [DEPLOYED] == [failure.way.runtime for failure in asked.failures]


def test_the_command_ends_with_0(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if what nobody asked for fails; the note is in the table and in the JSON."""
    monkeypatch.chdir(tmp_path)
    Path("branching_here.py").write_text(
        f"import torch\nfrom torch import nn, Tensor\n{inspect.getsource(Branching)}", encoding="utf-8"
    )
    typed = ("profile", "branching_here:Branching", *"--input 8 --threads 1 --time 60ms --no-witness".split())
    code, out, _ = run(capsys, *typed)
    assert (0, True) == (code, "note        not measured: cpu/onnxruntime" in out)
    code, out, _ = run(capsys, *typed, "--json")
    value = json.loads(out)
    assert (0, [], ["eager"]) == (code, value["failures"], [row["runtime"] for row in value["latencies"]])
    assert 1 == sum(DEPLOYED in note for note in value["notes"])
    assert 3 == run(capsys, *typed, "--runtime", DEPLOYED)[0]


def test_what_a_session_was_told_is_in_the_row() -> None:
    """Provider, level of optimisation, threads within and between operators, spinning: nothing is left to a default."""
    (_, deployed) = profiled(time="60ms").latencies
    expected = {
        "providers": "CPUExecutionProvider",
        "graph_optimization_level": "ORT_ENABLE_ALL",
        "execution_mode": "ORT_SEQUENTIAL",
        "intra_op_num_threads": "1",
        "inter_op_num_threads": "1",
        "session.intra_op.allow_spinning": "1",
        "session.inter_op.allow_spinning": "0",
        "session.set_denormal_as_zero": "0",
    }
    assert expected == deployed.to_dict()["settings"]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ((torch.zeros(2, 8),), ["0"]),
        ((torch.full((2, 8), 0.5),), ["0.5"]),
        ((torch.randn(2, 8),), []),
        ((torch.randn(2, 8), torch.ones(2)), []),
        ((torch.ones(2, 8), torch.tensor(3.0)), ["1"]),
    ],
)
def test_inputs_of_one_value_are_said(inputs: tuple[Tensor, ...], expected: list[str]) -> None:
    """If all are so, as a mask of ones beside drawn numbers is what people give; and if anything is measured."""

    class Added(nn.Module):
        def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            return x if y is None else x.sum(1) + y

    for latency in (True, False):
        found = archcost.profile(Added(), inputs, latency=latency, witness=False, target="fake", time="60ms")
        said = [note for note in found.notes if "the inputs hold one value alone" in note]
        assert (expected if latency else []) == [note.partition("(")[2].partition(")")[0] for note in said]


def test_torch_compiles_convolutions_after_a_profile() -> None:
    """In a process of its own: what torch's compiler looks up was first made while a count had replaced them."""
    code = (
        "import torch, archcost; from torch import nn; net, x = nn.Conv2d(3, 4, 3), torch.randn(1, 3, 8, 8)\n"
        "archcost.profile(net, x, time=0.02, threads=1)\n"
        "print(torch.compile(net, fullgraph=True, backend='eager')(x).shape[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ("4\n", 0) == (done.stdout, done.returncode), done.stderr
