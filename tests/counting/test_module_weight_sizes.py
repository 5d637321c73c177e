"""A module's weights at int8: matrices and kernels that products or look-ups read have a byte, all else has four."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from archcost.counting import module as counting
from archcost.nets.call import Call

IMAGE, VECTOR, TOKENS = torch.ones(1, 3, 8, 8), torch.ones(1, 6), torch.zeros(1, 4, dtype=torch.int64)
SEQUENCE = torch.ones(1, 4, 6)


class Scaled(nn.Module):
    """Adds a table of positions to a product, in parts of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.ones(4, 5))
        self.product = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of x's product and the positions; x: (B, 4, 6)."""
        y: Tensor = self.product(x) + self.positions
        return y


def tied() -> nn.Module:
    table, head = nn.Embedding(10, 6), nn.Linear(6, 10, bias=False)
    head.weight = table.weight
    return nn.Sequential(table, head)


CASES: dict[str, tuple[nn.Module, Tensor, int]] = {
    "a bias stays": (nn.Linear(6, 5), VECTOR, 30),
    "kernels of groups": (nn.Conv2d(3, 6, 3, groups=3), IMAGE, 54),
    "norms stay": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), IMAGE, 12),
    "norms over several dimensions stay": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.LayerNorm([8, 8])), IMAGE, 12),
    "tables": (nn.Embedding(10, 6), TOKENS, 60),
    "tied ones count once": (tied(), TOKENS, 60),
    "shared ones count once": (nn.Sequential(*[nn.Linear(6, 6)] * 3), VECTOR, 36),
    "positions stay": (Scaled(), SEQUENCE, 30),
    "recurrent cells stay": (nn.LSTM(6, 5, batch_first=True), SEQUENCE, 0),
    "a plain recurrence is unrolled": (nn.RNN(6, 5, batch_first=True), SEQUENCE, 55),
    "nothing to quantise": (nn.PReLU(), VECTOR, 0),
}


@pytest.mark.parametrize("name", CASES)
def test_weights_at_their_own_sizes(name: str) -> None:
    """What is quantised saves three bytes of four."""
    module, x, expected = CASES[name]
    found = counting.counted("m", lambda _: Call(module, (x,)), [(1, "float32"), (1, "int8")], "float32")
    whole, small = found.accounts
    assert 3 * expected == whole.weights_bytes - small.weights_bytes == whole.peak_bytes - small.peak_bytes
    assert whole.activation_bytes == small.activation_bytes


def test_attention_is_quantised_with_its_projections() -> None:
    """The output projection is read by the part around it."""
    module = nn.MultiheadAttention(6, 2, batch_first=True)
    call = Call(module, (SEQUENCE, SEQUENCE, SEQUENCE), {"need_weights": False})
    whole, small = counting.counted("m", lambda _: call, [(1, "float32"), (1, "int8")], "float32").accounts
    assert 3 * (18 * 6 + 6 * 6) == whole.weights_bytes - small.weights_bytes


def test_no_training_has_8_bits() -> None:
    """The multiplications of a step are those of float32, its bytes are not known."""
    x = torch.ones(2, 6)
    whole, small = counting.counted("m", lambda _: Call(nn.Linear(6, 5), (x,)), [(1, "float32"), (1, "int8")],
                                    "float32").accounts  # fmt: skip
    assert whole.training is not None
    assert small.training is not None
    assert (whole.training.macs, None, None) == (
        *(small.training.macs, small.training.saved_bytes, small.training.peak_bytes),
    )
