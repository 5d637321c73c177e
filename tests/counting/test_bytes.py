"""Bytes that are true: packed weights, views of one memory, tensors kept beside parameters and buffers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.ao import quantization
from torch.nn import functional

import archcost
from archcost.nets import copies

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:UserWarning"),  # torch's, about what it calls quantised
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),
]


def packed(layer: nn.Module, dtype: torch.dtype = torch.qint8) -> nn.Module:
    """Return a network whose layer is quantised for every call."""
    kinds = {nn.Linear, nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell}
    return quantization.quantize_dynamic(nn.Sequential(layer), kinds, dtype)


def shared() -> nn.Module:
    layer = packed(nn.Linear(8, 16))
    return nn.Sequential(layer, nn.Linear(16, 8), layer)


class Still(nn.Module):
    """A convolution and a linear layer, quantised for one range of values."""

    def __init__(self) -> None:
        super().__init__()
        self.begin, self.end = quantization.QuantStub(), quantization.DeQuantStub()
        self.conv, self.linear = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3, H, W) -> (B, 4)."""
        found: Tensor = self.end(self.linear(self.conv(self.begin(x)).mean((2, 3))))
        return found


def still() -> nn.Module:
    module = Still().eval()
    module.qconfig = quantization.get_default_qconfig("x86")  # type: ignore[assignment]  # as torch's guide does
    quantization.prepare(module, inplace=True)
    module(torch.randn(1, 3, 8, 8))
    return quantization.convert(module, inplace=True)


IH, HH = 64 * 8, 64 * 16
PACKED: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "linear": (lambda: packed(nn.Linear(256, 512)), (1, 256), 256 * 512 + 4 * 512),
    "linear, no bias": (lambda: packed(nn.Linear(256, 512, bias=False)), (1, 256), 256 * 512),
    "linear, float16": (lambda: packed(nn.Linear(8, 16), torch.float16), (3, 8), 2 * 128 + 4 * 16),
    "one of two places": (shared, (3, 8), 128 + 4 * 16 + 4 * (128 + 8)),
    "LSTM": (lambda: packed(nn.LSTM(8, 16)), (3, 1, 8), IH + HH + 4 * 2 * 64),
    "LSTM, float16": (lambda: packed(nn.LSTM(8, 16), torch.float16), (3, 1, 8), 2 * (IH + HH) + 4 * 2 * 64),
    "LSTM, two layers, both ways": (
        lambda: packed(nn.LSTM(8, 16, num_layers=2, bidirectional=True)),
        (3, 1, 8),
        2 * (IH + HH) + 2 * (64 * 32 + HH) + 4 * 4 * 2 * 64,
    ),
    "GRU": (lambda: packed(nn.GRU(8, 16)), (3, 1, 8), 48 * 24 + 4 * 2 * 48),
    "LSTM cell": (lambda: packed(nn.LSTMCell(8, 16)), (3, 8), IH + HH + 4 * 2 * 64),
    "convolution": (still, (1, 3, 8, 8), 8 * 27 + 4 * 8 + 8 * 4 + 4 * 4 + 4 + 8),  # and a scale and a zero point
}


@pytest.mark.parametrize("case", PACKED)
def test_packed_weights_are_counted_once(case: str) -> None:
    """A byte a weight, four a bias, however many parts hold the packing."""
    make, shape, size_bytes = PACKED[case]
    found = archcost.profile(make(), torch.ones(shape), latency=False, witness=False)
    assert size_bytes == found.weights_bytes
    assert found.peak_memory_bytes >= size_bytes


class Owner(nn.Module):
    """Owns what it is given as buffers, parameters or attributes."""

    def __init__(self, buffers: Mapping[str, Tensor], parameters: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        for name, value in buffers.items():
            self.register_buffer(name, value)
        for name, value in (parameters or {}).items():
            self.register_parameter(name, nn.Parameter(value))

    def forward(self, x: Tensor) -> Tensor:
        """x: any -> x."""
        return x + 1


def views() -> dict[str, Tensor]:
    base = torch.ones(10, 10)
    return {"base": base, "rows": base[2:4], "columns": base[:, 3]}


def halves() -> dict[str, Tensor]:
    base = torch.ones(10, 10)
    return {"upper": base[:5], "lower": base[5:]}


MEMORY: Mapping[str, tuple[Callable[[], nn.Module], int]] = {
    "views of a buffer": (lambda: Owner(views()), 400),
    "two halves of one memory": (lambda: Owner(halves()), 400),
    "parameters in one memory": (lambda: Owner({}, halves()), 400),
    "an expanded buffer": (lambda: Owner({"wide": torch.ones(1).expand(1000, 1000)}), 4),
    "an expanded row": (lambda: Owner({"wide": torch.ones(1, 7).expand(1000, 7)}), 28),
    "a buffer of a parameter's memory": (
        lambda: Owner({"view": (held := torch.ones(6, 5))[1:3]}, {"held": held}), 120,
    ),
    "two types": (lambda: Owner({"a": torch.ones(3), "b": torch.ones(3, dtype=torch.int64)}), 36),
    "a sparse one, and transposed": (
        lambda: Owner({"a": (eye := torch.eye(5).to_sparse_csr()), "b": eye.t()}), 6 * 8 + 5 * (8 + 4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MEMORY)
def test_memory_is_counted_once(case: str) -> None:
    """However many tensors are views of a piece of memory, and however wide they are spread."""
    make, size_bytes = MEMORY[case]
    found = archcost.profile(make(), torch.ones(2), latency=False)
    assert size_bytes == found.weights_bytes
    assert found.agree is True


def test_a_cast_widens_what_is_floating_once() -> None:
    """Views of one memory become wider with it, whole numbers do not."""
    module = Owner({**views(), "places": torch.ones(3, dtype=torch.int64)})
    assert 800 + 24 == archcost.profile(module, torch.ones(2), latency=False, dtype="float64").weights_bytes


def test_a_copy_shares_what_the_module_shares() -> None:
    """Views of one memory are views of one in a copy with data, and no expanded buffer is made whole."""
    base = torch.arange(12.0).reshape(3, 4)
    module = Owner({"base": base, "row": base[1], "wide": torch.ones(1).expand(10**6, 10**6)}, {"held": base[2]})
    copy = copies.real(module)
    copy.base[1] = -1.0
    assert [-1.0] * 4 == copy.row.tolist()
    assert torch.equal(torch.arange(4.0, 8.0), module.row)
    assert 4 == copy.wide.untyped_storage().nbytes()
    assert isinstance(copy.held, nn.Parameter)
    assert copy.base.untyped_storage()._cdata == copy.held.untyped_storage()._cdata


class Holder:
    """An object that is no module."""

    def __init__(self, table: Tensor) -> None:
        self.table = table


class Slotted:
    """An object without a dictionary."""

    __slots__ = ("table",)

    def __init__(self, table: Tensor) -> None:
        self.table = table


class Table(nn.Module):
    """Keeps a table in some way beside its parameters; another one that it does not read."""

    def __init__(self, keep: Callable[[Tensor], Any], take: Callable[[Any], Tensor], *, branch: bool) -> None:
        super().__init__()
        self.kept, self.unread = keep(torch.ones(1000, 100)), torch.ones(5000)
        self.linear, self.take, self.branch = nn.Linear(100, 2, bias=False), take, branch

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 1000) -> (B, 2)."""
        if self.branch and x.sum() < 0:
            x = -x
        found: Tensor = self.linear(x @ self.take(self.kept))
        return found


KEPT: Mapping[str, tuple[Callable[[Tensor], Any], Callable[[Any], Tensor], str]] = {
    "attribute": (lambda t: t, lambda kept: kept, "kept"),
    "list": (lambda t: [torch.ones(3), t], lambda kept: kept[1], "kept[1]"),
    "tuple in a dict": (lambda t: {"a": (t,)}, lambda kept: kept["a"][0], "kept['a'][0]"),
    "object": (Holder, lambda kept: kept.table, "kept.table"),
    "slots": (Slotted, lambda kept: kept.table, "kept.table"),
    "objects in a list": (lambda t: [Holder(t)], lambda kept: kept[0].table, "kept[0].table"),
    "a view": (lambda t: t, lambda kept: kept.t().t(), "kept"),
    "a module that is no part": (lambda t: [Owner({"table": t})], lambda kept: kept[0].table, "kept[0].table"),
    "transposed": (lambda t: t.t(), lambda kept: kept.t(), "kept"),
}


@pytest.mark.parametrize("branch", [False, True], ids=["on meta", "on data"])
@pytest.mark.parametrize("case", KEPT)
def test_what_is_kept_and_read_is_in_the_peak_and_listed(case: str, branch: bool) -> None:
    """The table, the input, the result in between and the last one: by name, whatever holds it, and nothing unread."""
    keep, take, name = KEPT[case]
    found = archcost.profile(Table(keep, take, branch=branch), torch.ones(1, 1000), latency=False, witness=False)
    table, weights = 4 * 1000 * 100, 4 * 200
    assert {name: table} == found.to_dict()["parameters"]["kept_bytes"]  # type: ignore[index]  # a mapping
    assert weights == found.weights_bytes
    assert weights + table + 4 * (1000 + 100 + 2) == found.peak_memory_bytes


def test_views_of_one_table_are_one() -> None:
    """Four quarters that are joined again: the table, and the joined one, which is gone before the last layer."""
    module = Table(lambda t: list(t.chunk(4)), torch.cat, branch=False)
    found = archcost.profile(module, torch.ones(1, 1000), latency=False, witness=False)
    assert {"kept[0]": 400_000} == found.to_dict()["parameters"]["kept_bytes"]  # type: ignore[index]  # a mapping
    assert 2 * 400_000 + 4 * (200 + 1000 + 100) == found.peak_memory_bytes


class Masked(nn.Module):
    """Attention with a mask that is no buffer, handed on by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.mask, self.linear = torch.ones(6, 6, dtype=torch.bool).tril(), nn.Linear(8, 8)
        self.transposed = self.linear.weight.t()

    def forward(self, x: Tensor) -> Tensor:
        """x: (1, 6, 8) -> (1, 2, 6, 4)."""
        heads = (self.linear(x) @ self.transposed).view(1, 6, 2, 4).transpose(1, 2)
        return functional.scaled_dot_product_attention(heads, heads, heads, attn_mask=self.mask)


def test_a_mask_is_listed_and_a_view_of_a_weight_is_not() -> None:
    """What is a parameter's own memory is in the weights already."""
    found = archcost.profile(Masked(), torch.ones(1, 6, 8), latency=False)
    assert {"mask": 36} == found.to_dict()["parameters"]["kept_bytes"]  # type: ignore[index]  # a mapping
    assert found.agree is True
    json.dumps(found.to_dict(), allow_nan=False)


def test_training_keeps_tables_out_of_what_it_saves() -> None:
    """What exists before and after is no saved byte; it is in the peak."""
    module = Table(lambda t: t, lambda kept: kept, branch=False)
    step = archcost.profile(module, torch.ones(1, 1000), latency=False, witness=False).account.training
    assert step is not None
    assert step.saved_bytes is not None
    assert step.peak_bytes is not None
    assert 4 * 100 <= step.saved_bytes < 4000
    assert step.peak_bytes >= 400_000 + 800
