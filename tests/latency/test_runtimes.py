"""Runtimes: what runs is what the plan says, and the caller's module and inputs stay as they were."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from archcost.errors import InputError, TargetError, unknown
from archcost.graph.dtypes import FLOATING
from archcost.latency import runtimes, targets
from archcost.latency.runtimes import Source
from archcost.latency.samples import Plan
from archcost.latency.targets import cuda

EAGER = runtimes.find("eager")


class Careless(nn.Module):
    """Changes its input, its buffer and itself in every forward, and may fail after that."""

    def __init__(self, *, fails: bool) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
        self.calls: Tensor
        self.register_buffer("calls", torch.zeros(1))
        self.cache: Tensor | None = None
        self.fails = fails

    def forward(self, x: Tensor) -> Tensor:
        """Return the inner layers' output; x: (B, 4)."""
        self.calls += 1
        self.cache = x
        if self.fails:
            raise RuntimeError("no kernel for this")
        y: Tensor = self.inner(x.relu_())
        return y


class Uncopyable(nn.Linear):
    """Refuses to be copied, as modules with locks or computed tensors do."""

    def __deepcopy__(self, memo: dict[int, object]) -> nn.Module:
        raise TypeError("cannot pickle\n'_thread.lock' object")


class State(NamedTuple):
    """A state with a name for each part, as recurrent networks hand them over."""

    hidden: Tensor
    steps: Tensor


def facts(module: nn.Module) -> tuple[object, ...]:
    """Return everything of a module that a profile could change."""
    flags = [(name, part.training) for name, part in module.named_modules()]
    tensors = [(name, t.dtype, t.requires_grad, t.data_ptr(), t.tolist()) for name, t in module.state_dict().items()]
    return (flags, tensors, sorted(module.__dict__), getattr(module, "cache", None))


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("fails", [False, True])
def test_a_module_is_left_as_it_was(dtype: str, fails: bool) -> None:
    """Training flags, parameters, buffers and attributes are the same after a run, also after one that failed."""
    module = Careless(fails=fails).train()
    module.inner[1].eval()
    before, x = facts(module), torch.tensor([[-1.0, 2, -3, 4], [1, 1, 1, 1]])
    with EAGER.prepare(Source(module, (x,)), Plan(dtype=dtype)) as prepared:
        if fails:
            with pytest.raises(RuntimeError, match="no kernel for this"):
                prepared.call()
        else:
            prepared.call()
    assert facts(module) == before
    assert x.tolist() == [[-1, 2, -3, 4], [1, 1, 1, 1]]


def test_an_error_inside_the_context_restores_too() -> None:
    """What goes wrong around the calls leaves neither the flags of a module that ran itself nor torch's mode behind."""
    module = Uncopyable(4, 4).train()
    context = EAGER.prepare(Source(module, (torch.ones(1, 4),)), Plan())
    context.__enter__()
    assert (module.training, torch.is_grad_enabled()) == (False, False)
    assert not context.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert module.training
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("dtype", FLOATING)
def test_what_runs_is_what_the_plan_says(dtype: str) -> None:
    """Forward sees the plan's dtype in inputs and weights, evaluation mode and no autograd; integers stay."""
    seen: list[object] = []

    class Probe(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2, dtype=torch.float64))

        def forward(self, x: Tensor, *, state: dict[str, object]) -> None:
            seen.extend([x.dtype, self.weight.dtype, self.training, torch.is_grad_enabled(), state])

    state = {"pair": [State(torch.ones(2, dtype=torch.float64), torch.arange(2)), (torch.ones(1), "label", None)]}
    with EAGER.prepare(Source(Probe(), (torch.ones(1, 2),), {"state": state}), Plan(dtype=dtype)) as prepared:
        prepared.call()
    torch_dtype = getattr(torch, dtype)
    assert seen[:4] == [torch_dtype, torch_dtype, False, False]
    assert isinstance(seen[4], dict)
    named, plain = seen[4]["pair"]
    assert (type(named), named.hidden.dtype, named.steps.dtype) == (State, torch_dtype, torch.int64)
    assert (plain[0].dtype, plain[1:]) == (torch_dtype, ("label", None))


def test_an_uncopyable_module_runs_itself() -> None:
    """A module that cannot be copied is still measured where no cast is needed, and can be trained afterwards."""
    module = nn.Sequential(Uncopyable(4, 4), nn.ReLU())
    with EAGER.prepare(Source(module, (torch.ones(1, 4),)), Plan()) as prepared:
        assert [part.training for part in module.modules()] == [False] * 3
        prepared.call()
    assert [part.training for part in module.modules()] == [True] * 3
    module(torch.ones(1, 4)).sum().backward()


def test_an_uncopyable_module_is_not_cast() -> None:
    """If a cast would change the caller's module, the runtime refuses and says why, on one line."""
    with pytest.raises(TargetError) as caught:
        EAGER.prepare(Source(Uncopyable(4, 4)), Plan(dtype="bfloat16")).__enter__()
    what, _, why = str(caught.value).partition(": ")
    assert what == "the module cannot be copied to torch.bfloat16 on the CPU"
    assert why == "TypeError: cannot pickle '_thread.lock' object"


def test_meta_tensors_are_refused() -> None:
    """A module or an input without data cannot be measured, and the message says which of the two it was."""
    with pytest.raises(TargetError, match="the module cannot be copied"):
        EAGER.prepare(Source(nn.Linear(2, 2, device="meta")), Plan()).__enter__()
    with pytest.raises(TargetError, match="the input cannot be copied"):
        EAGER.prepare(Source(nn.ReLU(), (torch.ones(1, device="meta"),)), Plan()).__enter__()


def test_shared_parameters_stay_shared() -> None:
    """The copy that runs ties what the module ties: memory traffic is part of the latency."""
    shared: list[bool] = []

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)
            self.b.weight = self.a.weight

        def forward(self) -> None:
            shared.append(self.a.weight is self.b.weight)

    with EAGER.prepare(Source(Tied()), Plan(dtype="bfloat16")) as prepared:
        prepared.call()
    assert shared == [True]


def test_versions_name_torch() -> None:
    """A latency says which torch it was, in plain text."""
    assert dict(EAGER.versions())["torch"] == str(torch.__version__)
    assert [type(text) for pair in EAGER.versions() for text in pair] == [str] * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("debug = False\n__version__ = '2.13.0+cu130'\ncuda = '13.0'\n", "2.13.0+cu130"),
        ("__version__ = '2.14.1'\n", "2.14.1"),
        ("__version__ = None\n", "2.13.0"),
        (None, "2.13.0"),
    ],
)
def test_torch_is_named_with_its_build(
    text: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index knows torch 2.13.0+cu130 as 2.13.0: torch's own file says which build it is, if there is one."""
    (tmp_path / "torch-2.13.0.dist-info").mkdir()
    facts = "Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n"
    (tmp_path / "torch-2.13.0.dist-info" / "METADATA").write_text(facts, encoding="utf-8")
    if text is not None:
        (tmp_path / "torch").mkdir()
        (tmp_path / "torch" / "version.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert runtimes.version("torch") == expected


def test_unknown_runtimes() -> None:
    """A mistyped runtime is answered with the known ones."""
    with pytest.raises(InputError) as caught:
        runtimes.find("eagre")
    assert str(caught.value) == unknown("runtime", "eagre", ["eager", "compile", "onnxruntime", "openvino"])


@pytest.mark.parametrize("name", runtimes.RUNTIMES)
def test_the_table_names_what_there_is(name: str) -> None:
    """Every runtime of the table can be found, and knows its own name."""
    assert runtimes.find(name).name == name


def test_listing_loads_no_torch() -> None:
    """The runtimes, the targets and the facts of this machine are there without the 2 s that torch takes to load.

    Only where there may be a GPU is torch asked about it.
    """
    may_be = {"cuda": cuda.has_driver(), "mps": platform.system() == "Darwin"}
    names = [name for name in targets.LISTED if not may_be.get(name)]
    code = (
        f"import sys; from archcost.latency import runtimes, targets; [targets.find(n).describe() for n in {names}];"
        " [(r.why_not(), r.versions()) for r in map(runtimes.find, runtimes.RUNTIMES)];"
        " print({'torch', 'numpy', 'onnx', 'onnxscript', 'onnxruntime', 'openvino'} & sys.modules.keys())"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")
