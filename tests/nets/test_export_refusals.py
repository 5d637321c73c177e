"""Awkward modules as files: those that can be exported are, and what refuses the others is named with its cause."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from archcost.errors import TargetError
from archcost.models import load
from archcost.models.code import parse_input
from archcost.models.load import Reference
from archcost.nets.export import formats

BOTH = ["pt2", "onnx"]
NAMES = (f"awkward_{number}" for number in itertools.count())

CODE = """
import dataclasses, random, torch
from torch import nn
from torch.nn import functional as F

class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

class Writes(Linear):
    def forward(self, x):
        return self.fc(x.add_(1))

class WritesByName(Linear):
    def forward(self, x, *, parts=None):
        x[:, 0] = 7
        return self.fc(x) + x.mul_(3)

class Number(Linear):
    def forward(self, x):
        return {"y": self.fc(x), "steps": 3, "name": "linear", "none": None}

class Deep(Linear):
    def forward(self, x):
        y = self.fc(x)
        return y, [2.5, {"twice": y * 2, "flag": True}]

@dataclasses.dataclass
class Output:
    y: torch.Tensor
    loss: float

class Object(Linear):
    def forward(self, x):
        return Output(self.fc(x), 0.5)

class Fixed(Linear):
    def forward(self, x):
        return self.fc(x).reshape(2, 4) * 2

class Guarded(Linear):
    def forward(self, x):
        return self.fc(x) * 2 if len(x) == 2 else self.fc(x)

class Eight(Linear):
    def forward(self, x):
        return self.fc(x).reshape(8, 4)

class Dropout(Linear):
    def forward(self, x):
        return F.dropout(torch.cat([self.fc(x)] * 64), 0.5, training=True)  # so many never fall alike twice

class Rand(Linear):
    def forward(self, x):
        return self.fc(x) + torch.rand(x.shape)

class Normal(Linear):
    def forward(self, x):
        return self.fc(x) + torch.empty_like(x).normal_()

class Python(Linear):
    def forward(self, x):
        return self.fc(x) + random.random()

class Half(Linear):
    def forward(self, x):
        return F.conv1d(x.bfloat16()[:, None], torch.ones(1, 1, 3, dtype=torch.bfloat16)).float()

class Branch(Linear):
    def forward(self, x):
        return x * 2 if float(x.sum()) > 0 else x
"""


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[str, ...]]]:
    """Return what writes a module of CODE to `net` in tmp_path, and gives what is said of it."""
    name = next(NAMES)
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)

    def export(made: str, to: str, **options: int) -> tuple[str, ...]:
        reference = load.read(f"{name}:{made}", inputs=[parse_input("4")])
        assert isinstance(reference, Reference)
        return formats.export_module(reference, to, tmp_path / "net", **options)

    yield export
    sys.modules.pop(name, None)


Export = Callable[..., tuple[str, ...]]


@pytest.mark.parametrize("to", BOTH)
@pytest.mark.parametrize("made", ["Writes", "WritesByName"])
def test_modules_that_write_to_their_input_are_exported(made: str, to: str, exported: Export, tmp_path: Path) -> None:
    """Module and file are compared on inputs of their own, so that what one changes the other does not get."""
    assert any("differs by" in line for line in exported(made, to))
    assert (tmp_path / "net").stat().st_size > 0


@pytest.mark.parametrize(("made", "count"), [("Number", 1), ("Deep", 2), ("Object", 1)])
def test_outputs_that_are_no_tensors_are_left_out(made: str, count: int, exported: Export, tmp_path: Path) -> None:
    """ONNX gives tensors alone: numbers, texts and objects around them stay behind, parameters keep their names."""
    import onnx

    exported(made, "onnx")
    graph = onnx.load(tmp_path / "net").graph
    assert (count, {"fc.weight", "fc.bias"}) == (len(graph.output), {"fc.weight", "fc.bias"} & names(graph))


def names(graph: object) -> set[str]:
    return {each.name for each in graph.initializer}  # type: ignore[attr-defined]  # onnx has no types


@pytest.mark.parametrize("to", BOTH)
@pytest.mark.parametrize(
    ("made", "drawing"), [("Dropout", "aten.bernoulli_"), ("Rand", "aten.rand"), ("Normal", "aten.normal_")]
)
def test_random_modules_are_refused_with_what_draws(made: str, drawing: str, to: str, exported: Export) -> None:
    """Two calls of the module itself differ: that is said, with the operator, and not that the file is wrong."""
    with pytest.raises(TargetError, match="two calls of the network itself differ") as caught:
        exported(made, to)
    assert f"it draws random numbers ({drawing})" in str(caught.value)


@pytest.mark.parametrize("to", BOTH)
def test_numbers_drawn_outside_torch_are_a_cause_too(to: str, exported: Export) -> None:
    """If no operator draws, the message says what else it can be."""
    with pytest.raises(TargetError, match="it keeps state between calls, or draws numbers outside torch"):
        exported("Python", to)


@pytest.mark.parametrize("to", BOTH)
def test_a_module_of_one_batch_is_told_how(to: str, exported: Export) -> None:
    """A module that fixes its batch is named as one, with the option; with it there is a file."""
    with pytest.raises(TargetError, match=r"it fixes its batch; allowed: a file of one batch, --batch 2$"):
        exported("Guarded", to)
    assert exported("Guarded", to, batch=2)[0].startswith("input (2, 4)")
    with pytest.raises(TargetError, match=r"input of size 4 \(at batch 1; .* --batch 2\)$"):
        exported("Fixed", to)
    with pytest.raises(TargetError, match=r"input of size 8 \(at batch 2; .* --batch N\)$"):
        exported("Eight", to)
    assert exported("Eight", to, batch=8)[0].startswith("input (8, 4)")


def test_what_no_batch_helps_gets_no_hint(exported: Export) -> None:
    """A branch on data is refused at any batch."""
    with pytest.raises(TargetError, match=r"torch.export cannot export") as caught:
        exported("Branch", "pt2")
    assert "--batch" not in str(caught.value)


def test_what_onnx_runtime_refuses_is_said_of_it(exported: Export, tmp_path: Path) -> None:
    """torch.onnx wrote a file, and ONNX Runtime has no kernel for it: the message names the one that refuses."""
    with pytest.raises(TargetError, match=r"^ONNX Runtime cannot run the file of this network: .*bfloat16"):
        exported("Half", "onnx")
    assert not (tmp_path / "net").exists()


def test_inputs_and_modules_stay_as_they_were() -> None:
    """A forward that is replaced while a module is exported is its own again, also one that was set on it."""
    from archcost.nets.call import Call
    from archcost.nets.export.torch_export import _tensors_alone

    module = torch.nn.Linear(4, 4)
    with _tensors_alone(Call(module, (torch.ones(1, 4),))):
        assert isinstance(module(torch.ones(1, 4)), tuple)
    assert ("forward" in vars(module), torch.Size([1, 4])) == (False, module(torch.ones(1, 4)).shape)
    module.forward = own = lambda x: x
    with _tensors_alone(Call(module, (torch.ones(1, 4),))):
        pass
    assert own is module.forward
