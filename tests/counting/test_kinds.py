"""Networks of kinds that people build hold no operator without a count, and nobody objects to their MACs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import torch
from commands import run
from mobilenet_v3 import MobileNetV3
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing._internal.common_modules import module_db

import archcost
from archcost.counting import passes
from archcost.nets.call import Call


class Runs(nn.Module):
    """A linear layer and a function of what it gives."""

    def __init__(self, run: Callable[..., object], width: int = 16) -> None:
        super().__init__()
        self.layer, self.run = nn.Linear(16, width, bias=False), run

    def forward(self, x: Tensor) -> object:
        """x: (B, 16)."""
        return self.run(self.layer(x))


class Kind(NamedTuple):
    """What is done with the 16 values of 8 examples, and what it multiplies besides the layer's 8 x 256."""

    run: Callable[[Tensor], object]
    macs: int = 0
    elementwise: int | None = None


def image(y: Tensor) -> Tensor:
    return y.view(1, 8, 4, 4)


def bf16(y: Tensor) -> Tensor:
    return y.to(torch.bfloat16)


TARGET: Final = torch.arange(8) % 16
KINDS: Final[dict[str, Kind]] = {
    "hardswish": Kind(F.hardswish, 0, 128),
    "hardsigmoid": Kind(F.hardsigmoid, 0, 128),
    "GLU": Kind(F.glu, 0, 64),
    "PReLU": Kind(lambda y: F.prelu(y, torch.full((16,), 0.25, device=y.device)), 0, None),
    "log-sigmoid": Kind(F.logsigmoid, 0, 128),
    "RReLU": Kind(F.rrelu, 0, 128),
    "complex": Kind(lambda y: torch.complex(y, y), 0, 128),
    "polar": Kind(lambda y: torch.polar(y, y), 0, 128),
    "fake-quantise": Kind(lambda y: torch.fake_quantize_per_tensor_affine(y, 0.1, 0, 0, 255), 0, 128),
    "scatter_reduce": Kind(lambda y: y.scatter_reduce(1, torch.zeros_like(y).long(), y, "amax"), 0, 128),
    "index_reduce": Kind(lambda y: y.index_reduce(0, torch.zeros(8, device=y.device).long(), y, "mean"), 0, 128),
    "cross-entropy": Kind(lambda y: F.cross_entropy(y, TARGET.to(y.device)), 0, 128),
    "mean squared error": Kind(lambda y: F.mse_loss(y, y), 0, 128),
    "Huber": Kind(lambda y: F.huber_loss(y, y), 0, 128),
    "binary cross-entropy": Kind(lambda y: F.binary_cross_entropy_with_logits(y, y), 0, None),
    "margins": Kind(lambda y: F.multi_margin_loss(y, TARGET.to(y.device)), 0, 128),
    "antialiased": Kind(lambda y: F.interpolate(image(y), (2, 2), mode="bilinear", antialias=True)),
    "antialiased bicubic": Kind(lambda y: F.interpolate(image(y), (2, 2), mode="bicubic", antialias=True)),
    "nearest-exact": Kind(lambda y: F.interpolate(image(y), (8, 8), mode="nearest-exact")),
    "max-unpool": Kind(lambda y: F.max_unpool2d(*F.max_pool2d(image(y), 2, return_indices=True), 2)),
    "fractional max-pool": Kind(lambda y: F.fractional_max_pool2d(image(y), 2, output_ratio=(0.5, 0.5))),
    "distances": Kind(lambda y: torch.cdist(y, y), 8 * 8 * 16),
    "distances of many": Kind(lambda y: torch.cdist(y.repeat(4, 1), y.repeat(4, 1)), 32 * 32 * 16),
    "cumulative maximum": Kind(lambda y: y.cummax(-1).values, 0, 128),
    "log of a cumulative sum": Kind(lambda y: y.logcumsumexp(-1), 0, 128),
    "affine grid": Kind(lambda y: F.affine_grid(y.view(-1)[:12].view(2, 2, 3), [2, 1, 5, 5], False), 2 * 25 * 6),
    "grouped products": Kind(
        lambda y: F.grouped_mm(bf16(y), bf16(torch.ones(2, 16, 32, device=y.device)), offs=ends(y, 3, 8)), 8 * 16 * 32
    ),
    "experts of one size": Kind(
        lambda y: F.grouped_mm(bf16(y.view(2, 4, 16)), bf16(torch.ones(2, 16, 32, device=y.device))), 8 * 16 * 32
    ),
    "8-bit weights": Kind(
        lambda y: torch.ops.aten._weight_int8pack_mm(
            bf16(y), torch.ones(32, 16, dtype=torch.int8, device=y.device), bf16(torch.ones(32, device=y.device))
        ),
        8 * 16 * 32,
    ),
    "Fourier mixing": Kind(lambda y: torch.fft.fft(torch.fft.fft(y, dim=-1), dim=-2).real, 8 * 80 + 16 * 60),
    "Fourier filter": Kind(lambda y: torch.fft.irfft2(torch.fft.rfft2(image(y)), s=(4, 4)), 2 * 8 * 5 * 16 * 4 // 4),
}


def ends(y: Tensor, *at: int) -> Tensor:
    return torch.tensor(at, dtype=torch.int32, device=y.device)


@pytest.mark.filterwarnings("ignore")  # torch's own, as a user may see them
@pytest.mark.parametrize("name", KINDS)
def test_kinds_of_operators_are_covered(name: str) -> None:
    """Every operator has a count, the MACs are those by hand, and no witness objects to them."""
    kind = KINDS[name]
    found = archcost.profile(Runs(kind.run), torch.ones(8, 16), latency=False)
    assert () == found.model.uncounted
    assert 8 * 256 + kind.macs == found.macs
    if kind.elementwise is not None:
        assert kind.elementwise == found.elementwise
    training = found.account.training
    assert training is None or training.forward_macs == found.macs


WITNESSED: Final = (
    *("distances", "distances of many", "affine grid", "grouped products"),
    *("experts of one size", "8-bit weights", "PReLU", "complex"),
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WITNESSED)
def test_fvcore_sees_them_too(name: str) -> None:
    """With a handle for what it has no count for, fvcore counts the same."""
    found = archcost.profile(Runs(KINDS[name].run), torch.ones(8, 16), latency=False)
    assert (True, ()) == (found.agree, found.differences)


def test_a_mobilenet_v3_is_covered() -> None:
    """Hard swishes, hard sigmoids and squeezes are counted: 56,510,400 MACs, as its authors' 56 M, and both agree."""
    found = archcost.profile(MobileNetV3(), torch.ones(1, 3, 224, 224), latency=False)
    assert (2_542_856, 56_510_400) == (found.params, found.macs)
    assert (True, (), 1.0) == (found.agree, found.model.uncounted, found.coverage)


@pytest.mark.parametrize("command", [["profile", "--strict", "--no-latency"], ["check", "--budget", "budget.yaml"]])
def test_a_mobilenet_v3_passes(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`profile --strict` and `check` end with 0: nothing about it is a lower bound."""
    monkeypatch.chdir(tmp_path)
    Path("budget.yaml").write_text("{macs: 57M, params: 2.6M}\n")
    code, out, err = run(capsys, command[0], "mobilenet_v3:MobileNetV3", "--input", "3,224,224", *command[1:])
    assert 0 == code, out + err
    assert "at least" not in out


class Elementwise(nn.Module):
    """An elementwise operator of a library's own, which says so by its tag."""

    def forward(self, x: Tensor) -> Tensor:
        """x: any -> the same."""
        return torch.ops.kindstest.shifted(x)


@torch.library.custom_op("kindstest::shifted", mutates_args=(), tags=(torch.Tag.pointwise,))
def shifted(x: Tensor) -> Tensor:
    """x: any -> the same."""
    return x + 1


@shifted.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


def test_an_elementwise_operator_needs_no_rule() -> None:
    """What torch tags as elementwise is an operation an element, and makes no MACs a lower bound."""
    found = archcost.profile(Elementwise(), torch.ones(3, 4), latency=False)
    assert ((), 12, 0) == (found.model.uncounted, found.elementwise, found.macs)


NEEDS_DOUBLES: Final = frozenset({"nn.FractionalMaxPool2d", "nn.FractionalMaxPool3d"})  # their samples are of that type


@pytest.mark.filterwarnings("ignore")  # what is deprecated
@pytest.mark.parametrize("training", [False, True])
def test_every_module_of_torch_s_is_covered(training: bool) -> None:
    """Each module of torch.nn's database runs under the count, and consists of operators that have one."""
    uncounted, counted = set(), 0
    for info in module_db:
        inputs = info.module_inputs_func(
            info, device="cpu", dtype=torch.float32, requires_grad=False, training=training
        )
        for given in inputs if "ARCHCOST_EVERY_SAMPLE" in os.environ else inputs[:1]:
            if info.name in NEEDS_DOUBLES:
                continue
            module = info.module_cls(*given.constructor_input.args, **given.constructor_input.kwargs).train(training)
            call = Call(module, given.forward_input.args, given.forward_input.kwargs)
            seen = passes.forward(call).calls
            uncounted |= {(info.name, op) for (_, op), tally in seen.tallies.items() if not tally.known}
            counted += 1
    assert set() == uncounted
    assert counted > 100
