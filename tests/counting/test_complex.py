"""Complex numbers: four real multiply-adds a complex one, in every product, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import archcost
from archcost.counting.rules.complex_numbers import complex_convolutions, real_products

COMPLEX = torch.complex64


def of(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=COMPLEX)


class Held(nn.Module):
    """A complex parameter, and what is done with it."""

    def __init__(self, held: Tensor, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.held = nn.Parameter(held)
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        """Whatever the call takes and returns."""
        return self.call(self.held, x)


CASES: Mapping[str, tuple[Callable[[], nn.Module], Tensor, int]] = {  # complex products
    "mm": (lambda: Held(of(8, 4), lambda w, x: x @ w), of(3, 8), 3 * 8 * 4),
    "bmm": (lambda: Held(of(2, 8, 4), lambda w, x: x @ w), of(2, 3, 8), 2 * 3 * 8 * 4),
    "mv": (lambda: Held(of(4, 8), lambda w, x: w @ x), of(8), 4 * 8),
    "dot": (lambda: Held(of(8), torch.dot), of(8), 8),
    "vdot": (lambda: Held(of(8), torch.vdot), of(8), 8),
    "conjugate": (lambda: Held(of(8, 4), lambda w, x: w.mH @ x), of(8, 3), 3 * 8 * 4),
    "einsum": (lambda: Held(of(8, 6, 4), lambda w, x: torch.einsum("bim,iom->bom", x, w)), of(2, 8, 4), 2 * 8 * 6 * 4),
    "baddbmm": (lambda: Held(of(2, 8, 4), lambda w, x: torch.baddbmm(of(2, 3, 4), x, w)), of(2, 3, 8), 2 * 3 * 8 * 4),
    "linear": (lambda: nn.Linear(8, 4, dtype=COMPLEX), of(3, 8), 3 * 8 * 4),
    "bilinear": (lambda: Held(of(3, 5, 5), lambda w, x: functional.bilinear(x, x, w)), of(2, 5), 2 * 3 * 5 * 5),
    "recurrent": (lambda: nn.RNN(3, 4, dtype=COMPLEX), of(2, 1, 3), 2 * (3 * 4 + 4 * 4)),
    "conv": (lambda: nn.Conv2d(2, 4, 3, dtype=COMPLEX), of(1, 2, 5, 5), 9 * 4 * 2 * 9),
    "conv, same": (lambda: nn.Conv1d(2, 4, 3, padding="same", dtype=COMPLEX), of(1, 2, 5), 5 * 4 * 2 * 3),
    "conv, groups": (lambda: nn.Conv2d(4, 4, 3, groups=2, dtype=COMPLEX), of(1, 4, 5, 5), 9 * 4 * 2 * 9),
    "transposed conv": (lambda: nn.ConvTranspose2d(2, 4, 3, 2, dtype=COMPLEX), of(1, 2, 5, 5), 25 * 2 * 4 * 9),
    "torch.conv2d": (lambda: Held(of(4, 2, 3, 3), lambda w, x: torch.conv2d(x, w, stride=2)), of(1, 2, 5, 5), 4 * 72),
    "on data": (lambda: Held(of(8, 4), lambda w, x: x @ (w if x.abs().sum() > 0 else -w)), of(3, 8), 3 * 8 * 4),
    "conv on data": (
        lambda: Held(of(4, 2, 3), lambda w, x: torch.conv1d(x if x.abs().sum() > 0 else -x, w)), of(1, 2, 5), 3 * 24,
    ),
    "sparse": (lambda: Held(torch.eye(8, dtype=COMPLEX).to_sparse(), torch.mm), of(8, 3), 8 * 3),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_complex_product_is_four(case: str) -> None:
    """Both witnesses count a complex product as one, and see four here as well, or none if they cannot."""
    make, x, products = CASES[case]
    found = archcost.profile(make(), x, latency=False)
    assert 4 * products == found.macs
    assert ((), 1.0) == (found.uncounted, found.coverage)
    assert (None if case == "sparse" else True) is found.agree


def test_what_is_taken_apart_is_real() -> None:
    """A product of real parts is no complex one."""
    module = Held(of(8, 4), lambda w, x: x.real @ w.real)
    assert 3 * 8 * 4 == archcost.profile(module, of(3, 8), latency=False).macs


@pytest.mark.parametrize(
    ("module", "x", "forward", "backward"),
    [
        (nn.Sequential(nn.Linear(8, 4, dtype=COMPLEX), nn.Linear(4, 2, dtype=COMPLEX)), of(3, 8), 120, 120 + 24),
        (nn.Sequential(nn.Conv1d(2, 4, 3, dtype=COMPLEX), nn.Conv1d(4, 2, 1, dtype=COMPLEX)), of(1, 2, 5), 96, 120),
    ],
    ids=["linear", "conv"],
)
def test_training_too(module: nn.Module, x: Tensor, forward: int, backward: int) -> None:
    """The first layer needs no gradient of its input, the second both."""
    step = archcost.profile(module, x, latency=False, witness=False).account.training
    assert step is not None
    assert (4 * forward, 4 * backward) == (step.forward_macs, step.backward_macs)


def test_a_convolution_by_parts_is_the_same() -> None:
    """Four real convolutions give what torch's three give, with biases and strides; and torch has its own back."""
    own = functional.conv2d
    module = nn.Conv2d(2, 4, 3, stride=2, padding=1, dtype=COMPLEX)
    x = torch.randn(1, 2, 6, 6, dtype=COMPLEX)
    expected = module(x)
    with complex_convolutions():
        assert torch.allclose(expected, module(x), atol=1e-5)
        real = functional.conv2d(x.real, module.weight.real, padding=1)
    assert torch.equal(functional.conv2d(x.real, module.weight.real, padding=1), real)
    assert own is functional.conv2d is torch.conv2d


def test_a_product_with_a_real_number_is_two() -> None:
    """(a + bi) c: two products. A Fourier transform's rule counts real ones itself."""
    assert 2 == real_products("mm", [of(2, 2), torch.ones(2, 2)])
    assert 1 == real_products("mm", [torch.ones(2, 2), torch.ones(2, 2)])
    assert 1 == real_products("_fft_c2c", [of(2, 2)])
