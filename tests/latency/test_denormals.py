"""Weights that decayed below the smallest normal number are found out, in every runtime that is here."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archcost
from archcost.latency import runtimes
from archcost.nets.call import Call
from archcost.nets.calls.denormals import share, share_of_values

HERE = [name for name in ("eager", "onnxruntime", "openvino") if not runtimes.find(name).why_not()]


def decayed(factor: float) -> nn.Module:
    """Return a layer whose 12 weights are all `factor`, and its 4 biases 1, so that its output is normal."""
    layer = nn.Linear(3, 4)
    nn.init.constant_(layer.weight, factor)
    nn.init.ones_(layer.bias)
    return layer


@pytest.mark.parametrize(
    ("factor", "dtype", "expected"),
    [
        (1e-39, torch.float32, 12 / 19),
        (-1e-42, torch.float32, 12 / 19),
        (1e-37, torch.float32, 0.0),
        (0.0, torch.float32, 0.0),
        (1e-39, torch.float64, 0.0),
        (1e-310, torch.float64, 12 / 19),
        (1e-6, torch.float16, 12 / 19),
        (1e-39, torch.bfloat16, 12 / 19),
    ],
)
def test_the_share_of_denormal_numbers(factor: float, dtype: torch.dtype, expected: float) -> None:
    """Of 12 weights, 4 biases and 3 inputs; zeros and small normal numbers are none; each type has its limit."""
    assert expected == share(
        Call(decayed(1).to(dtype).apply(lambda m: filled(m, factor)), (torch.ones(3, dtype=dtype),))
    )


def filled(module: nn.Module, factor: float) -> None:
    """Give a layer equal weights."""
    assert isinstance(module, nn.Linear)
    nn.init.constant_(module.weight, factor)


def test_inputs_count_and_integers_do_not() -> None:
    """A denormal input is one too; integers have none, and nothing is a share of nothing."""
    assert 3 / 19 == share(Call(decayed(1), (torch.full((3,), 1e-40),)))
    assert 0.0 == share(Call(nn.Identity(), (torch.ones(3, dtype=torch.int64),)))


@pytest.mark.parametrize("runtime", HERE)
def test_a_network_of_decayed_weights_is_doubted(runtime: str) -> None:
    """Its latency is not stable, with the share; a network of normal weights has no such doubt."""
    for factor, expected in ((1e-39, [12 / 19]), (1.0, [])):
        found = archcost.profile(
            decayed(factor), torch.ones(1, 3), runtime=runtime, time="0.05s", threads=1, witness=False
        ).latencies[0]
        assert expected == [doubt.value for doubt in found.doubts if doubt.kind == "denormals"]
        assert not (expected and found.stable)


class Fading(nn.Module):
    """Scales what it is given by 1e-20 twice: weights and inputs are normal, what comes between layers is not."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(factor))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a value as large as x: (B, 8)."""
        return ((x * self.scale) * self.scale) / self.scale / self.scale


def test_values_between_operators_are_looked_at() -> None:
    """Of four results of eight numbers one is denormal; if nothing fades, none is."""
    x = torch.linspace(1, 2, 8)[None]
    assert 1 / 4 == share_of_values(Call(Fading(1e-20), (x,)), on_copies=False)
    assert 0.0 == share_of_values(Call(Fading(1.0), (x,)), on_copies=True)


def test_large_results_are_looked_at_in_part() -> None:
    """Evenly, so that the share stays what it is."""
    x = torch.linspace(1, 2, 100_000)[None]
    assert 1 / 4 == share_of_values(Call(Fading(1e-20), (x,)), on_copies=False)


def test_a_network_of_normal_weights_that_fades_is_doubted() -> None:
    """Eagerly and in ONNX Runtime, which computes the same; the words say what is denormal."""
    x = torch.linspace(1, 2, 8)[None]
    for runtime in ("eager", "onnxruntime"):
        latency = archcost.measure(Fading(1e-20), x, runtime=runtime, threads=1, time="0.05s")
        assert [1 / 4] == [doubt.value for doubt in latency.doubts if doubt.kind == "denormal_values"]
        assert "25.0% of its values between operators are denormal" in latency.why


class Looping(nn.Module):
    """Doubles its input until it is large: a loop that torch compiles by itself."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (8,) of x: (8,)."""
        from torch._higher_order_ops.while_loop import while_loop

        (y,) = while_loop(lambda x: x.sum() < 100, lambda x: (x * 2,), (x,))
        return y  # type: ignore[no-any-return]  # torch's


def test_what_torch_compiles_by_itself_still_runs_when_it_was_watched() -> None:
    """A compiler that refuses a call once would refuse it in every sample."""
    assert archcost.measure(Looping(), torch.ones(8), runtime="eager", threads=1, time="0.02s").median_s > 0
