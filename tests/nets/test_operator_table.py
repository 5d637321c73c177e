"""Exports share one table of ONNX operators and are, byte for byte, what torch makes by itself."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.onnx._internal.exporter import _registration
from torch.onnx._internal.exporter._registration import ONNXRegistry

from archcost.nets.call import Call
from archcost.nets.export import operator_table
from archcost.nets.export.torch_export import convert, quiet

NETWORKS = {
    "convolutions": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()), (1, 3, 9, 9)),
    "products": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.LayerNorm(5)), (2, 6)),
    "recurrence": (lambda: nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.Softmax(dim=-1)), (2, 7, 6)),
}


def exported(name: str, path: Path) -> bytes:
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    call = Call(make().eval(), (torch.rand(shape),))
    with quiet("torch.onnx cannot export"):
        convert(call, path, {}, is_open=False)
    return path.read_bytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_files_are_those_of_torchs_own_table(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the shared table, first made or used again, a file has the bytes that it has without it."""
    shared = [exported(name, tmp_path / "shared.onnx") for _ in range(2)]
    monkeypatch.setattr(operator_table, "kept", nullcontext)
    assert shared == [exported(name, tmp_path / "own.onnx")] * 2


def test_tables_are_copies() -> None:
    """What one export adds to its table, the next one does not see; and the table is torch's, entry for entry."""
    own = ONNXRegistry.from_torchlib()
    with operator_table.kept():
        first = ONNXRegistry.from_torchlib()
        known = {target: len(each) for target, each in first.functions.items()}
        first.functions.clear()
        second = ONNXRegistry.from_torchlib()
    assert {target: len(each) for target, each in second.functions.items()} == known
    assert known == {target: len(each) for target, each in own.functions.items()}
    assert second.opset_version == own.opset_version


def test_torch_has_its_own_way_back() -> None:
    """After the block, also one that raises, torch makes its table itself."""
    before = vars(ONNXRegistry)["from_torchlib"]
    with suppress(ZeroDivisionError), operator_table.kept():
        assert vars(ONNXRegistry)["from_torchlib"] is not before
        raise ZeroDivisionError
    assert vars(ONNXRegistry)["from_torchlib"] is before


def test_another_form_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """If torch has no such class, or makes its table in another way, nothing is changed."""
    own = staticmethod(lambda opset_version=18: None)
    monkeypatch.setattr(ONNXRegistry, "from_torchlib", own)
    with operator_table.kept():
        assert vars(ONNXRegistry)["from_torchlib"] is own
    monkeypatch.delattr(_registration, "ONNXRegistry")
    with operator_table.kept():
        assert not hasattr(_registration, "ONNXRegistry")
