"""What runs in ONNX Runtime is what was counted; where it multiplies less, a doubt says so."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_files import model, node, written
from torch import Tensor, nn

import archcost
from archcost.latency.samples import Work
from archcost.profiling.result import Profile


class Pruned(nn.Module):
    """Multiplies 64 x 64 for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(64, 8), nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        """Return (1, 8) of x: (1, 64)."""
        self.unused(x)
        y: Tensor = self.used(x)
        return y


class Folded(nn.Module):
    """Multiplies two weights in every call, which do not depend on its input."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Parameter(torch.randn(32, 64)), nn.Parameter(torch.randn(64, 16))

    def forward(self, x: Tensor) -> Tensor:
        """Return (1, 16) of x: (1, 32)."""
        return x @ (self.left @ self.right)


class Constant(nn.Module):
    """Runs on an input that it holds itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 8))
        self.held: Tensor
        self.register_buffer("held", torch.randn(1, 32))

    def forward(self, x: Tensor) -> Tensor:
        """Return (1, 8) of x: (1, 8)."""
        y: Tensor = self.layers(self.held) + x
        return y


PLANTED = {
    "pruned": (Pruned(), 64, 64 * 8, 64 * 8 + 64 * 64),
    "folded": (Folded(), 32, 32 * 16, 32 * 16 + 32 * 64 * 16),
    "constant": (Constant(), 8, 0, 32 * 32 + 32 * 8),
}


def measured(source: object, inputs: Tensor | None = None) -> Profile:
    """Return the profile of a network in ONNX Runtime."""
    return archcost.profile(source, inputs, runtime="onnxruntime", time="0.05s", threads=1, witness=False)


def said(found: Profile) -> list[str]:
    """Return the notes that are of the work of a network."""
    return [note for note in found.notes if "onnxruntime" in note and "MACs counted" in note]


@pytest.mark.parametrize("case", PLANTED)
def test_planted_work_that_is_not_done_is_found(case: str) -> None:
    """An output that nobody reads, a product of weights, an input that never changes: a value, and a note of it."""
    module, size, run, counted = PLANTED[case]
    found = measured(module, torch.randn(1, size))
    assert Work(counted, run) == found.samples[0].work
    assert 1 == len(said(found))
    assert f"multiplies {run:,} times, of {counted:,} MACs counted" in said(found)[0]
    assert "macs_skipped" not in {doubt.kind for doubt in found.latencies[0].doubts}


def test_a_network_that_runs_all_has_no_note() -> None:
    """Of a family, and a module with attention, all of which an output needs: no false alarm."""
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    for found in (measured("resnet-20"), measured(layer, torch.randn(1, 5, 16))):
        work = found.samples[0].work
        assert work is not None
        assert (work.counted_macs, []) == (work.run_macs, said(found))


def test_products_of_a_zero_state_are_computed_beforehand() -> None:
    """The first steps of a HORNN multiply states that are zero in every call: counted, and not run."""
    found = measured("hornn-3")
    assert found.samples[0].work is not None
    assert found.samples[0].work.skipped
    assert 1 == len(said(found))


@pytest.mark.parametrize("case", ["pruned", "folded"])
def test_it_is_found_at_other_batches(case: str) -> None:
    """Code that is called with eight examples: of what is counted at that batch, which is not eight times as many."""
    module, size, run, counted = PLANTED[case]
    weights = 32 * 64 * 16 if case == "folded" else 0
    found = measured(module, torch.randn(8, size))
    work = found.samples[0].work
    assert Work(8 * (counted - weights) + weights, 8 * run) == work


def test_it_is_found_at_a_batch_that_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As --batch does, for code that makes the module."""
    monkeypatch.chdir(tmp_path)
    source = f"import torch\nfrom torch import nn, Tensor\n{inspect.getsource(Folded)}"
    Path("folding_here.py").write_text(source, encoding="utf-8")
    options = {"batch": [1, 8], "runtime": "onnxruntime", "time": "0.05s", "threads": 1, "witness": False}
    found = archcost.profile("folding_here:Folded", "32", **options)  # type: ignore[arg-type]  # options of profile
    products = 32 * 64 * 16
    assert [Work(32 * 16 * n + products, 32 * 16 * n) for n in (1, 8)] == [each.work for each in found.samples]


def test_it_is_found_in_an_onnx_file(tmp_path: Path) -> None:
    """A product of two weights, in a file that is given as such: what is counted is the file, what runs is less."""
    nodes = [node("MatMul", "a b", "w"), node("MatMul", "x w", "y")]
    nodes[1].name = "other"
    held = {"a": np.ones((8, 64), np.float32), "b": np.ones((64, 4), np.float32)}
    path = written(tmp_path, model(nodes, {"x": (1, ("N", 8))}, ["y"], held))
    found = measured(str(path))
    assert Work(8 * 4 + 8 * 64 * 4, 8 * 4) == found.samples[0].work
    assert 1 == len(said(found))


def test_a_comparison_says_it_too() -> None:
    """Of the network that it is about."""
    module, size, run, counted = PLANTED["pruned"]
    whole = nn.Linear(size, 8)
    options = {"runtime": "onnxruntime", "time": "0.05s", "threads": 1}
    found = archcost.compare(whole, module, inputs=torch.randn(1, size), **options)  # type: ignore[arg-type]  # as above
    notes = [note for note in found.notes if "MACs counted" in note]
    assert 1 == len(notes)
    assert notes[0].startswith("Pruned: ")
    assert f"multiplies {run:,} times, of {counted:,} MACs counted" in notes[0]
