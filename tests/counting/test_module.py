"""Any torch module is counted exactly: awkward ones too, and what cannot be counted is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from awkward import CASES as AWKWARD
from awkward import Case
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from twins import ResNet
from unusual import CASES as UNUSUAL

import archcost
from archcost import cli
from archcost.counting.witnesses import module as engines
from archcost.errors import InputError, TargetError
from archcost.graph.account import Account
from archcost.nets.net import build, example
from archcost.profiling.result import Profile

CASES = (*AWKWARD, *UNUSUAL)
UNCOUNTED = {"custom operator": "awkward::product"}
REFUSED = {"torch.jit.script"}
COUNTABLE = [case for case in CASES if case.name not in REFUSED | UNCOUNTED.keys()]
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:UserWarning"),  # torch's, about the awkward things the cases do
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning"),
]


def profiled(case: Case) -> Profile:
    """Return the profile of a case, its arguments as a user gives them."""
    module, args, kwargs = case.make()
    return archcost.profile(module, dict(kwargs) if kwargs else args, latency=False)


@pytest.mark.parametrize("case", COUNTABLE, ids=lambda case: case.name)
def test_what_is_multiplied_is_counted(case: Case) -> None:
    """The MACs are those derived by hand; a witness that can count the case agrees; layers add up; all is JSON."""
    found = profiled(case)
    assert case.macs == found.macs
    assert found.agree is not False
    assert ((), 1.0) == (found.uncounted, found.coverage)
    for key in ("params", "macs", "elementwise"):
        assert getattr(found, key) == sum(getattr(layer, key) for layer in found.layers)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("case", COUNTABLE, ids=lambda case: case.name)
def test_parameters_are_torch_s(case: Case) -> None:
    """Every parameter counts once, however often it stands there or is read; lazy ones as the call made them."""
    module, args, kwargs = case.make()
    found = archcost.profile(module, dict(kwargs) if kwargs else args, latency=False, witness=False)
    with torch.no_grad():
        module(*args, **kwargs)  # lazy ones get their shapes
    assert sum(parameter.numel() for parameter in module.parameters()) == found.params


def test_what_has_no_rule_is_listed() -> None:
    """An operator nobody knows is named with its calls, lowers the coverage, and is said: never a silent 0."""
    (case,) = (case for case in CASES if case.name in UNCOUNTED)
    found = profiled(case)
    assert ({"op": UNCOUNTED[case.name], "calls": 1},) == found.uncounted
    assert 0 <= found.coverage < 1
    assert found.agree is None  # nobody knows
    assert any("no rule for awkward::product (1)" in line for line in found.warnings)


def test_scripted_modules_are_refused() -> None:
    """A scripted or traced module, also deep inside, runs out of sight: refused with what is allowed."""
    plain = nn.Sequential(nn.Linear(3, 3))
    for module in (
        torch.jit.script(plain),
        torch.jit.trace(plain, torch.ones(1, 3)),
        nn.Sequential(torch.jit.script(plain)),
    ):
        with pytest.raises(InputError, match=r"scripted module.*allowed: the module it was made from"):
            archcost.profile(module, torch.ones(1, 3), latency=False)


WRONG: dict[str, tuple[object, object, str]] = {
    "no module": (len, torch.ones(1), "given builtin_function_or_method; allowed: a YAML file"),
    "no inputs": (nn.Linear(3, 3), None, "a torch module needs inputs"),
    "odd inputs": (nn.Linear(3, 3), 7, "inputs: given int; allowed: a tensor"),
    "a wrong shape": (nn.Linear(3, 3), torch.ones(2, 4), "Linear cannot run on the given input"),
    "a wrong name": (nn.Linear(3, 3), {"x": torch.ones(3)}, "unexpected keyword argument 'x'"),
    "too many": (nn.Linear(3, 3), (torch.ones(3), torch.ones(3)), "takes 2 positional arguments but 3 were given"),
    "inputs of a file": ("resnet-20", torch.ones(1), "inputs go with a torch module"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_counted_is_one_error(case: str) -> None:
    """What was given and what is allowed, with the module's own words where it raised."""
    source, inputs, message = WRONG[case]
    with pytest.raises(InputError, match=message):
        archcost.profile(source, inputs, latency=False)  # type: ignore[arg-type]  # what a user may try


def test_a_batch_does_not_go_with_inputs() -> None:
    """Inputs hold their batch; another one cannot be made of them."""
    with pytest.raises(InputError, match="batch: given 8; allowed: 1"):
        archcost.profile(nn.Linear(3, 3), torch.ones(2, 3), batch=8, latency=False)


PUBLISHED = (
    "resnet-20",
    "resnet-56-option-a",
    "nin-cifar10",
    "rir-18-wide",
    "fractalnet-20",
    "hornn-3",
    "hornn-3-gated",
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_family_s_network_counts_the_same_as_a_module(name: str) -> None:
    """Two counts that share no code, of the graph and of what torch dispatches, agree to the last operation."""
    model = archcost.load(name)
    net, x = build(model.graph), example(model.graph)
    found = archcost.profile(net, x, latency=False, witness=False)
    cost, own = model.cost, archcost.profile(model, latency=False, witness=False)
    assert (cost.params, cost.macs, cost.elementwise) == (found.params, found.macs, found.elementwise)
    assert own.weights_bytes == found.weights_bytes
    held = x.numel() * x.element_size()  # a module's caller holds the input, a graph lets it go
    assert own.peak_memory_bytes <= found.peak_memory_bytes <= own.peak_memory_bytes + 2 * held + 64 * 1024
    trained, counted = found.account.training, own.account.training
    assert trained is not None
    assert counted is not None
    assert (counted.forward_macs, counted.backward_macs) == (trained.forward_macs, trained.backward_macs)


def account(module: nn.Module, *inputs: Tensor, **more: object) -> Account:
    return archcost.profile(module, inputs, latency=False, witness=False, **more).account  # type: ignore[arg-type]  # as given


def chain(*widths: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(widths)))


def test_the_first_layer_needs_no_input_gradient() -> None:
    """Backward, a layer multiplies as much as forward for its weight, and again for its input where that is needed."""
    found = account(chain(3, 5, 7), torch.ones(2, 3))
    assert [2 * 3 * 5, 2 * 2 * 5 * 7] == [layer.backward_macs for layer in found.layers]
    assert found.training is not None
    assert (2 * (3 * 5 + 5 * 7), 2 * (3 * 5 + 2 * 5 * 7)) == (found.training.forward_macs, found.training.backward_macs)


def test_frozen_layers_have_no_weight_gradient() -> None:
    """What is frozen is passed through; where all of it is, nothing is multiplied backward."""
    module = chain(3, 5, 7, 2)
    module[1].requires_grad_(False)
    found = account(module, torch.ones(1, 3))
    assert [15, 35, 2 * 14] == [layer.backward_macs for layer in found.layers]
    assert account(module.requires_grad_(False), torch.ones(1, 3)).training.macs == 15 + 35 + 14  # type: ignore[union-attr]  # there is one


def test_groups_are_right_backward() -> None:
    """A grouped convolution's gradients multiply as often as its forward pass: torch's counter says `groups` times."""
    module = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 8, 3, padding=1, groups=4), nn.Flatten(), nn.Linear(200, 1))
    found = account(module, torch.ones(1, 4, 5, 5))
    one, grouped, last = 25 * 16, 25 * 8 * 9, 200
    assert [one, 2 * grouped, 2 * last] == [layer.backward_macs for layer in found.layers if layer.macs]


@settings(max_examples=20)
@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=4), st.integers(1, 3), st.sampled_from([1, 3]), st.integers(1, 2)
)
def test_training_is_torch_s_without_groups(widths: list[int], batch: int, kernel: int, stride: int) -> None:
    """Forward and backward together are half of FlopCounterMode's operations on any ungrouped network."""
    layers = [nn.Conv2d(a, b, kernel, stride, kernel // 2) for a, b in pairwise(widths)]
    module = nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    x = torch.ones(batch, widths[0], 7, 7)
    module(x)
    step = account(module, x).training
    with FlopCounterMode(display=False) as counter:
        module(x).sum().backward()
    assert step is not None
    assert counter.get_total_flops() == 2 * step.macs


def test_saved_and_peak_bytes_of_a_chain() -> None:
    """By hand: the ReLUs overwrite, so each hidden value is there once; its input is the caller's."""
    module = nn.Sequential(nn.Linear(10, 100), nn.ReLU(True), nn.Linear(100, 50), nn.ReLU(True), nn.Linear(50, 1))
    found = account(module, torch.ones(8, 10))
    weights = 4 * (10 * 100 + 100 + 100 * 50 + 50 + 50 + 1)
    assert weights == found.weights_bytes
    assert 4 * 8 * (10 + 100 + 50) == found.peak_bytes - weights
    assert found.training is not None
    assert 4 * 8 * (100 + 50) == found.training.saved_bytes


def test_memory_follows_the_dtype() -> None:
    """In its own dtype a module runs as it is; cast to another, all its floating values have that size."""
    x = torch.ones(4, 10)
    full, half = account(chain(10, 20, 5), x), account(chain(10, 20, 5), x, dtype="bfloat16")
    assert ("float32", "bfloat16") == (full.dtype, half.dtype)
    assert full.weights_bytes == 2 * half.weights_bytes
    assert full.peak_bytes == 2 * half.peak_bytes
    own = account(chain(10, 20, 5).bfloat16(), x.bfloat16())
    assert ("bfloat16", half.peak_bytes) == (own.dtype, own.peak_bytes)
    assert "float64" == account(chain(10, 5).double(), x.double()).dtype


def test_a_module_of_two_types_runs_as_it_is() -> None:
    """If no dtype is asked for nothing is cast, neither for the count nor for the latency."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.low, self.high = nn.Linear(8, 64).bfloat16(), nn.Linear(64, 2)

        def forward(self, x: Tensor) -> Tensor:
            assert self.high.weight.dtype is torch.float32
            return self.high(self.low(x).float())

    found = archcost.profile(Mixed(), torch.ones(1, 8).bfloat16(), target="fake", threads=1)
    assert ("bfloat16", 2 * (8 * 64 + 64) + 4 * (64 * 2 + 2)) == (found.dtype, found.weights_bytes)
    assert "bfloat16" == found.latencies[0].dtype


class Owner(nn.Module):
    """Parameters of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(4, 4, bias=False)
        self.again = self.shared
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = nn.Parameter(self.shared.weight.detach())
        self.frozen = nn.Linear(4, 3, bias=False).requires_grad_(False)
        self.lazy = nn.LazyLinear(5, bias=False)
        self.never = nn.Linear(7, 7)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 4) -> (B, 5)."""
        return self.lazy(self.frozen(self.norm(self.tied(self.again(self.shared(x))))))


def test_parameters_are_told_apart() -> None:
    """Shared, tied, frozen, lazy and unread parameters, and buffers; each scalar counts once."""
    found = archcost.profile(Owner(), torch.ones(2, 4), latency=False)
    value = found.to_dict()["parameters"]
    assert {
        "params": 16 + 12 + 15 + 56 + 8,
        "trainable": 16 + 15 + 56 + 8,
        "frozen": 12,
        "shared": 16,
        "tied": 16,
        "lazy": 15,
        "unread": 56,
        "buffers": 9,
        "kept_bytes": {},
    } == value
    assert found.agree is True
    assert any("56 parameters are not read by this call: never.weight, never.bias" in w for w in found.warnings)


def test_the_part_that_reads_a_parameter_need_not_own_it() -> None:
    """A part whose parameters another reads has a row of its own, not called; each call of a part counts."""
    found = archcost.profile(nn.MultiheadAttention(8, 2, batch_first=True), (torch.ones(1, 3, 8),) * 3, latency=False)
    rows = {layer.name: layer for layer in found.layers if layer.op == "not called"}
    assert ["out_proj"] == list(rows)
    assert (72, 0, 0) == (rows["out_proj"].params, rows["out_proj"].macs, rows["out_proj"].runs)
    assert 0 == found.to_dict()["parameters"]["unread"]  # type: ignore[index]  # a mapping


def test_runs_and_groups() -> None:
    """A part that runs three times says so; parts are grouped by their names."""
    part = nn.Linear(4, 4)
    found = archcost.profile(nn.Sequential(part, nn.Sequential(part, part)), torch.ones(2, 4), latency=False)
    assert [("0", 3, 3 * 2 * 16)] == [(layer.name, layer.runs, layer.macs) for layer in found.layers]
    deep = nn.Sequential()
    deep.body = nn.Sequential(*(chain(4, 4, 4) for _ in range(5)))
    groups = archcost.profile(deep, torch.ones(1, 4), latency=False, witness=False).model.cost.by_group()
    assert [f"body.{i}" for i in range(5)] == list(groups)


@pytest.mark.parametrize(("blocks", "expected"), [(4, 4), (48, 48), (100, 100), (101, 1)])
def test_many_layers_are_not_one_group(blocks: int, expected: int) -> None:
    """Blocks of a module's list are groups, up to a hundred of them; a depth that is asked for has its own."""
    deep = nn.Sequential()
    deep.body = nn.Sequential(*(chain(4, 4, 4) for _ in range(blocks)))
    found = archcost.profile(deep, torch.ones(1, 4), latency=False, witness=False)
    assert expected == len(found.groups())
    assert (["body"], blocks) == (list(found.groups(1)), len(found.groups(2)))
    assert found.macs == sum(total.macs for total in found.groups(2).values())


class Wrong(nn.Module):
    """Takes another course while it is traced."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (2, 3) -> (2, 2)."""
        return x if torch.jit.is_tracing() else x @ x.T  # type: ignore[no-untyped-call]  # torch's


def test_a_difference_is_printed_with_its_operators() -> None:
    """If a witness counts otherwise both counts and the operators are named, and nothing agrees."""
    found = archcost.profile(Wrong(), torch.ones(2, 3), latency=False)
    assert (12, False) == (found.macs, found.agree)
    assert ["12 MACs counted, fvcore sees 0", "Wrong: mm 12 counted, fvcore sees nothing"] == list(found.differences)


def test_a_witness_that_cannot_count_is_not_an_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where fvcore fails the profile says so: neither True nor False."""

    def failing(*_: object) -> None:
        raise RuntimeError("no trace today")

    monkeypatch.setattr(engines, "trace", failing)
    found = archcost.profile(chain(3, 3), torch.ones(1, 3), latency=False)
    assert found.agree is None
    assert any("fvcore could not count this call: RuntimeError: no trace today" in line for line in found.warnings)
    assert found.to_dict()["witnesses"]["fvcore"]["macs"] is None  # type: ignore[index]  # a mapping


def test_a_module_without_data_is_counted() -> None:
    """Built on meta a network of any size is counted, with memory and training; it cannot be measured, and says so."""
    with torch.device("meta"):
        module = chain(100_000, 200_000, 10)
    found = archcost.profile(module, torch.empty(1, 100_000, device="meta"), latency=False)
    assert (100_000 * 200_000 + 200_000 * 10, None) == (found.macs, found.agree)
    assert 4 * found.params == found.weights_bytes
    assert any("hold no data" in line for line in found.warnings)
    with pytest.raises(TargetError, match="meta"):
        archcost.profile(chain(3, 3).to("meta"), torch.empty(1, 3, device="meta"), target="fake", threads=1)


def test_a_hand_written_network_costs_what_the_family_s_does() -> None:
    """ResNet-50 written by hand has the parameters, MACs and elementwise operations of resnet-50.yaml."""
    with torch.device("meta"):
        module = ResNet()
    found = archcost.profile(module, torch.empty(1, 3, 224, 224, device="meta"), latency=False)
    cost = archcost.load("resnet-50").cost
    assert (cost.params, cost.macs, cost.elementwise) == (found.params, found.macs, found.elementwise)
    assert 53 == sum(layer.op == "convolution" for layer in found.layers)


@dataclass
class Output:
    """What transformers return."""

    hidden: Tensor
    scores: tuple[Tensor, ...]


class Batched(nn.Module):
    """Normalises over the batch alone: with one example there is nothing to normalise."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.BatchNorm1d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Output:
        """x: (B, 4) -> (B, 3)."""
        y = self.linear(self.norm(x))
        return Output(y, (y, y))


def test_what_cannot_train_says_why() -> None:
    """A batch norm over one value refuses to train: the counts stand, and the reason is in the warnings."""
    found = archcost.profile(Batched(), torch.ones(1, 4), latency=False)
    assert (12, None) == (found.macs, found.account.training)
    assert any(
        "training is not counted: ValueError: Expected more than 1 value" in w for w in found.to_dict()["warnings"]
    )  # type: ignore[attr-defined]  # a list


def test_attention_keeps_no_scores() -> None:
    """On a CPU attention without a mask never holds the scores: 1,000 x 1,000 of them are not in the memory."""
    x = torch.ones(1, 1, 1000, 8)

    class Attends(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.scaled_dot_product_attention(x, x, x)

    assert account(Attends(), x).peak_bytes < 4 * 1000 * 1000


CODE = """import torch
class Wrong(torch.nn.Module):
    def forward(self, x):
        return x if torch.jit.is_tracing() else x @ x.T
"""


@pytest.mark.parametrize("strict", [False, True])
def test_strict_makes_a_difference_an_error(
    strict: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the command line a module's witnesses may differ, as some are known to be wrong; not with --strict."""
    (tmp_path / f"differs_{strict}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    arguments = ["profile", f"differs_{strict}:Wrong", "--input", "3", "--batch", "2", "--no-latency"]
    with pytest.raises(SystemExit) as stopped:
        cli.main([*arguments, *(["--strict"] if strict else [])])
    assert "DISAGREE" in capsys.readouterr().out
    assert int(strict) == stopped.value.code


def test_linear_in_the_number_of_operators() -> None:
    """Twice as many operators are noted twice: what is done for each does not depend on how many there are."""

    def calls(make: Callable[[], nn.Module]) -> int:
        layers = archcost.profile(make(), torch.ones(1, 4), latency=False, witness=False).layers
        return len(layers)

    assert 2 * calls(lambda: chain(*[4] * 51)) == calls(lambda: chain(*[4] * 101))


class Threads(nn.Module):
    """Runs a part in two other threads."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 4) -> (B, 4)."""
        with ThreadPoolExecutor(2) as pool:
            one, two = pool.map(self.linear, [x, x])
        return one + two


def test_what_runs_in_another_thread_is_not_a_silent_0() -> None:
    """An operator is seen in its own thread only: a part that runs elsewhere is listed as uncounted."""
    found = archcost.profile(Threads(), torch.ones(2, 4), latency=False, witness=False)
    assert ({"op": "another thread", "calls": 2},) == found.uncounted
    assert found.coverage < 1


@dataclass
class Batch:
    """An input that is a dataclass."""

    x: Tensor
    scale: float = 2.0


class Takes(nn.Module):
    """Takes a dataclass, and writes into it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, batch: Batch) -> Tensor:
        """batch.x: (B, 4) -> (B, 4)."""
        return self.linear(batch.x.add_(1)) * batch.scale


def test_a_dataclass_may_be_an_input() -> None:
    """Its tensors are copied as any input's are."""
    batch = Batch(torch.zeros(2, 4))
    found = archcost.profile(Takes(), (batch,), latency=False)
    assert (32, True, 0.0) == (found.macs, found.agree, float(batch.x.sum()))


def test_what_attention_refuses_is_refused() -> None:
    """Fewer heads of keys than of queries without grouped queries: an error on data is one in the count too."""

    class Attends(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.scaled_dot_product_attention(x, x[:, :2], x[:, :2])

    with pytest.raises(InputError, match="Attends cannot run on the given input"):
        archcost.profile(Attends(), torch.ones(1, 4, 5, 8), latency=False)


LOUD = """import sys, torch
class Loud(torch.nn.Linear):
    def __init__(self):
        super().__init__(3, 3)
    def forward(self, x):
        print("forward", self.training)
        if self.training:
            sys.exit(3)
        return super().forward(x)
"""


def test_what_a_module_prints_or_exits_with_is_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard output holds one JSON document whatever a forward prints; an exit in training is a reason."""
    (tmp_path / "loud_module.py").write_text(LOUD)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["profile", "loud_module:Loud", "--input", "3", "--no-latency", "--json"])
    value = json.loads(capsys.readouterr().out)
    assert (0, 9, None) == (stopped.value.code, value["macs"], value["training"])
    assert "training is not counted: SystemExit: 3" in value["warnings"]
