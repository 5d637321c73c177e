"""What runs in ONNX Runtime is what was counted; where it multiplies less, a doubt says so."""

from __future__ import annotations

import pytest
import torch
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
