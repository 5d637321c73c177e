"""Nested tensors, jagged and strided: counted by the lengths of their rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import archcost
from archcost.profiling.result import Profile

pytestmark = pytest.mark.filterwarnings("ignore:.*nested.*:UserWarning")  # torch's, that the strided ones end
LENGTHS: Final = (2, 5)
ROWS: Final = sum(LENGTHS)
SCORES: Final = sum(length**2 for length in LENGTHS)


class Attention(nn.Module):
    """Two heads over each row."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, jagged, 8) -> (B, jagged, 8)."""
        query, key, value = (part(x).unflatten(-1, (2, 4)).transpose(1, 2) for part in self.parts)
        return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(-2)


class Self(nn.Module):
    """Attention of a sequence to itself, in torch's own layer."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, nested, 8) -> (B, nested, 8)."""
        found: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return found


class Runs(nn.Module):
    """Calls a function on its input."""

    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        """Whatever the call takes and returns."""
        return self.call(x)


def encoder() -> nn.Module:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)


def padded(x: Tensor) -> Tensor:
    return torch.nested.to_padded_tensor(x, 0.0) @ torch.ones(8, 4)


BOTH: Mapping[str, tuple[Callable[[], nn.Module], int, int]] = {  # made, MACs, elementwise operations
    "linear": (lambda: nn.Linear(8, 16), ROWS * 8 * 16, ROWS * 16),
    "a chain": (
        lambda: nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 3, bias=False)),
        ROWS * (8 * 16 + 16 * 3),
        ROWS * 16 * (1 + 1 + 2),
    ),
    "norm": (lambda: nn.LayerNorm(8), 0, ROWS * 8 * 2),
    "sum of two": (lambda: Runs(lambda x: x + x), 0, ROWS * 8),
    "a batch of matrices": (lambda: Runs(lambda x: torch.bmm(x, torch.ones(2, 8, 4))), ROWS * 8 * 4, 0),
    "padded": (lambda: Runs(padded), 2 * 5 * 8 * 4, 0),
}
JAGGED: Mapping[str, tuple[Callable[[], nn.Module], int, int]] = {
    "attention": (  # torch takes the difference of the offsets for each of three
        Attention,
        ROWS * 3 * 64 + 2 * 8 * SCORES,
        ROWS * (3 * 8 + 2 * 8) + 2 * SCORES + 3 * len(LENGTHS),
    ),
    "one matrix": (lambda: Runs(lambda x: x @ torch.ones(8, 4)), ROWS * 8 * 4, 0),
}
STRIDED: Mapping[str, tuple[Callable[[], nn.Module], int, int]] = {
    "torch's attention": (Self, ROWS * 4 * 64 + 2 * 8 * SCORES, ROWS * 4 * 8 + 2 * SCORES),
    "torch's encoder": (
        encoder,
        2 * (ROWS * (4 * 64 + 2 * 8 * 16) + 2 * 8 * SCORES),
        2 * (ROWS * (11 * 8 + 2 * 16) + 2 * SCORES),
    ),
}
CASES = [
    *((name, layout, case) for name, case in BOTH.items() for layout in (torch.jagged, torch.strided)),
    *((name, torch.jagged, case) for name, case in JAGGED.items()),
    *((name, torch.strided, case) for name, case in STRIDED.items()),
]


def given(layout: torch.layout) -> Tensor:
    """Return rows of two lengths, 8 values wide."""
    found: Tensor = torch.nested.nested_tensor([torch.ones(length, 8) for length in LENGTHS], layout=layout)
    return found


def profiled(module: nn.Module, x: Tensor) -> Profile:
    """Return the profile, in which no operator is without a count, and no witness says what is not so."""
    found = archcost.profile(module, (x,), latency=False)
    assert ((), 1.0) == (found.uncounted, found.coverage)
    assert found.agree is not False
    assert not any("may depend on values" in note for note in found.warnings)
    json.dumps(found.to_dict(), allow_nan=False)
    return found


@pytest.mark.parametrize(("name", "layout", "case"), CASES, ids=[f"{name}-{layout}" for name, layout, _ in CASES])
def test_rows_are_counted_at_their_lengths(
    name: str, layout: torch.layout, case: tuple[Callable[[], nn.Module], int, int]
) -> None:
    """Nothing is counted for padding that is not there; what is padded is counted as that."""
    make, macs, elementwise = case
    found = profiled(make(), given(layout))
    assert macs == found.macs, name
    assert elementwise == found.elementwise, name


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_bytes_are_those_of_the_rows(layout: torch.layout) -> None:
    """The input and one value in front of the next layer are alive, and no padding."""
    found = profiled(nn.Linear(8, 16, bias=False), given(layout))
    offsets = 8 * (len(LENGTHS) + 1) if layout is torch.jagged else 0
    expected = 4 * ROWS * (8 + 16) + offsets
    assert expected == found.peak_memory_bytes - found.weights_bytes


def test_rows_that_the_call_makes_are_counted() -> None:
    """A sequence is cut into rows inside the call; the lengths are in the data."""
    module = Runs(lambda x: torch.nested.as_nested_tensor([x[:2], x], layout=torch.jagged) @ torch.ones(8, 4))
    assert 7 * 8 * 4 == profiled(module, torch.ones(5, 8)).macs


def test_a_branch_on_the_values_of_rows_is_said() -> None:
    """That torch reads the lengths itself is no branch of the module's; what the module reads is."""
    module = Runs(lambda x: x + x if bool(x.values().sum() > 0) else x)
    found = archcost.profile(module, (given(torch.jagged),), latency=False, witness=False)
    assert any("may depend on values" in note for note in found.warnings)
