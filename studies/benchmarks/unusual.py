"""Unusual torch modules, and what a call of each multiplies: sparse, quantised, complex, experts, inputs that change.

As in awkward.py, MACs are derived by hand and nothing of archcost is imported. A sparse product counts its stored
values; a complex product is four real ones; a Fourier transform of n complex values has 5 n log2(n) / 2
multiply-adds, of n real ones half as many (van Loan, Computational Frameworks for the FFT, 1992, counts flops).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from math import ceil, log2
from typing import Final

import torch
from awkward import Case, Given, Runs, case, two_layers, using, weight
from torch import Tensor, nn
from torch.nn import functional

HELD: Final = 96
"""The values that a sparse matrix of 64 x 32 stores."""


def scattered() -> Tensor:
    """Return a matrix of 64 x 32 with HELD values that are not 0, at most two in a row."""
    places = torch.arange(HELD)
    matrix = torch.zeros(64, 32)
    matrix[places % 64, (7 * places + places // 64) % 32] = 1.0
    return matrix


def held(name: str, macs: int, matrix: Callable[[], Tensor], run: Callable[..., object], *shape: int) -> Case:
    """Return a case that is a function of one input, (module, x) -> result; module.a is a matrix that it holds."""
    return case(name, macs, lambda: _holding(run, matrix()), shape)


def _holding(run: Callable[..., object], matrix: Tensor) -> nn.Module:
    module = Runs(run)
    module.register_buffer("a", matrix)
    return module


def times(m: nn.Module, x: Tensor) -> Tensor:
    """x: (32, ...) -> (64, ...)."""
    return m.a @ x


class Grouped(nn.Module):
    """Every expert multiplies its own rows, in one grouped product; the rows are sorted by expert."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(3, 64, 32, dtype=torch.bfloat16))

    def forward(self, x: Tensor, ends: Tensor) -> Tensor:
        """x: (n, 64), ends: (3,), where the rows of each expert end -> (n, 32)."""
        return functional.grouped_mm(x, self.a, offs=ends)


class Cache:
    """Keys and values of a decoder, which grow by every call."""

    def __init__(self) -> None:
        self.keys = self.values = torch.zeros(1, 7, 64)

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Both: (B, T, 64) -> (B, all, 64)."""
        self.keys, self.values = torch.cat([self.keys, keys], 1), torch.cat([self.values, values], 1)
        return self.keys, self.values


class Step(nn.Module):
    """One step of a decoder with a cache that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(64, 192, bias=False)

    def forward(self, x: Tensor, cache: Cache) -> Tensor:
        """x: (B, 1, 64) -> (B, 1, 64)."""
        query, key, value = self.a(x).chunk(3, -1)
        return functional.scaled_dot_product_attention(query, *cache.add(key, value))


class Adapted(nn.Module):
    """One step of gradient descent on a copy of a part, then the copy (1703.03400)."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(64, 32, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x: (n, 64), y: (n, 32) -> (n, 32)."""
        with torch.enable_grad():
            part = copy.deepcopy(self.a)
            gradient = torch.autograd.grad(functional.mse_loss(part(x), y), part.weight)[0]
        with torch.no_grad():
            part.weight -= 0.1 * gradient
        return part(x)


def differentiated(m: nn.Module, x: Tensor) -> Tensor:
    """x: (n, 256), of which the gradient is asked for -> (n, 256)."""
    with torch.enable_grad():
        return torch.autograd.grad(m.a(x).sum(), x)[0]


class Table(nn.Module):
    """Multiplies by a tensor that is neither a parameter nor a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.randn(256, 512)

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, 256) -> (n, 512)."""
        return x @ self.table


def plain(name: str, macs: int, run: Callable[..., object], x: Callable[[], Tensor], *parts: Tensor) -> Case:
    """Return a case that is a function of one input, made by x, and of parameters module.a, module.b."""
    named = {key: nn.Parameter(part) for key, part in zip("ab", parts, strict=False)}
    return Case(name, lambda: Given(Runs(run, **named), (x(),)), macs)


def integers(*shape: int) -> Tensor:
    """Return int8 values."""
    return torch.randint(-8, 8, shape, dtype=torch.int8)


def scan(m: nn.Module, x: Tensor) -> object:
    """x: (T, 1, 64) -> the last state (1, 64) and all of them (T, 1, 64)."""
    from torch._higher_order_ops.scan import scan as scanned  # noqa: PLC0415  # not in every torch

    def step(state: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        following = torch.tanh(state @ m.a + row)
        return following, following.clone()

    return scanned(step, torch.zeros(1, 64), x)


def looped(m: nn.Module, x: Tensor) -> object:
    """x: (1, 64) -> (1, 64), multiplied 5 times."""
    from torch._higher_order_ops.while_loop import while_loop  # noqa: PLC0415  # not in every torch

    return while_loop(
        lambda count, _: count < 5, lambda count, row: (count + 1, torch.tanh(row @ m.a)), (torch.tensor(0), x)
    )


def mobile() -> nn.Module:
    """Return a block of MobileNetV3 (1905.02244): 1x1, depthwise 3x3, 1x1 with hard-swish, PReLU and a GLU."""
    layers = [
        nn.Conv2d(16, 64, 1, bias=False),
        nn.Hardswish(inplace=True),
        nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False),
        nn.PReLU(64),
        nn.GLU(1),
        nn.Conv2d(32, 16, 1, bias=False),
        nn.LogSigmoid(),
    ]
    return nn.Sequential(*layers)


def static() -> nn.Module:
    """Return a convolution whose weights and inputs are bytes, with scales from one batch of inputs."""
    tools = torch.ao.quantization
    net = tools.QuantWrapper(nn.Conv2d(16, 32, 3)).eval()
    net.qconfig = tools.get_default_qconfig("x86")  # type: ignore[assignment]  # as torch's documentation does
    tools.prepare(net, inplace=True)
    net(torch.randn(1, 16, 10, 10))
    return tools.convert(net)


def transform(size: int) -> float:
    """Return the multiply-adds of a Fourier transform of so many complex values."""
    return 5 * size * log2(size) / 2


def nested(m: nn.Module, x: Tensor) -> Tensor:
    """x: (10, 256), the rows of three texts -> their linear layer, one text after another."""
    texts = torch.nested.nested_tensor_from_jagged(x, torch.tensor([0, 2, 7, 10]))
    return m.a(texts).values()


SPARSE: Final = (
    held("sparse COO @ vector", HELD, lambda: scattered().to_sparse(), times, 32),
    held("dense @ sparse COO", 5 * HELD, lambda: scattered().to_sparse(), lambda m, x: x @ m.a, 5, 64),
    held("sparse CSR @ dense", 24 * HELD, lambda: scattered().to_sparse_csr(), times, 32, 24),
    held("sparse CSC @ dense", 24 * HELD, lambda: scattered().to_sparse_csc(), times, 32, 24),
    held("dense @ sparse CSR", 5 * HELD, lambda: scattered().to_sparse_csr(), lambda m, x: x @ m.a, 5, 64),
    # two of the 16 x 8 blocks of 4 x 4 are stored
    held("sparse BSR @ dense", 24 * 2 * 16, lambda: blocks().to_sparse_bsr((4, 4)), times, 32, 24),
    held(
        "products sampled where a sparse matrix stores",
        HELD * 16,
        lambda: scattered().to_sparse_csr(),
        lambda m, x: torch.sparse.sampled_addmm(m.a, x, x[:32].T),
        *(64, 16),
    ),
    held(
        "linear layer of a sparse CSR weight",
        10 * HELD,
        lambda: scattered().to_sparse_csr(),
        lambda m, x: functional.linear(x, m.a),
        *(10, 32),
    ),
    held(
        "batches of sparse COO",
        2 * 24 * HELD,
        lambda: torch.stack([scattered(), scattered()]).to_sparse(),
        lambda m, x: torch.bmm(m.a, x),
        *(2, 32, 24),
    ),
    # a row of the left has k values, each of which meets a row of the right
    held("sparse @ sparse", 64, lambda: torch.eye(64).to_sparse(), lambda m, x: m.a @ x.to_sparse(), 64, 1),
    using("jagged rows", 10 * 256 * 512, lambda m, x: nested(m, x.expand(10, -1)), lambda: nn.Linear(256, 512)),
)


def blocks() -> Tensor:
    """Return a matrix of 64 x 32 with two blocks of 4 x 4."""
    matrix = torch.zeros(64, 32)
    matrix[:4, 8:12] = matrix[60:, 28:] = 1.0
    return matrix


QUANTISED: Final = (
    case("int8 convolution, quantized statically", 8**2 * 32 * 16 * 9, static, (1, 16, 10, 10)),
    case(
        "int8 LSTM, quantized dynamically",
        16 * 4 * 512 * (256 + 512),
        lambda: torch.ao.quantization.quantize_dynamic(
            nn.Sequential(nn.LSTM(256, 512, batch_first=True)), {nn.LSTM}, torch.qint8
        ),
        (1, 16, 256),
    ),
    Case(
        "product of int8",
        lambda: Given(Runs(lambda m, x: torch._int_mm(x, m.a), a=integers(64, 32)), (integers(32, 64),)),
        32 * 64 * 32,
    ),
    Case(
        "int8 weights alone",
        lambda: Given(
            Runs(lambda m, x: torch._weight_int8pack_mm(x, m.a, m.b), a=integers(32, 64), b=torch.rand(32).bfloat16()),
            (torch.randn(8, 64).bfloat16(),),
        ),
        8 * 64 * 32,
    ),
    Case(
        "experts, a grouped product",
        lambda: Given(
            Grouped(), (torch.randn(10, 64, dtype=torch.bfloat16), torch.tensor([2, 7, 10], dtype=torch.int32))
        ),
        10 * 64 * 32,
    ),
)

COMPLEX: Final = (
    plain(
        "complex @",
        4 * 16 * 32 * 24,
        lambda m, x: x @ m.a,
        lambda: torch.randn(16, 32, dtype=torch.cfloat),
        torch.randn(32, 24, dtype=torch.cfloat),
    ),
    plain(
        "complex einsum",
        4 * 8 * 12 * 6,
        lambda m, x: torch.einsum("bim,iom->bom", x, m.a),
        lambda: torch.randn(1, 8, 6, dtype=torch.cfloat),
        torch.randn(8, 12, 6, dtype=torch.cfloat),
    ),
    plain(
        "complex convolution",
        4 * 98 * 16 * 8 * 3,
        lambda m, x: functional.conv1d(x, m.a),
        lambda: torch.randn(1, 8, 100, dtype=torch.cfloat),
        torch.randn(16, 8, 3, dtype=torch.cfloat),
    ),
    case(
        "Fourier transform, two dimensions",  # one of 256 values
        4 * ceil(transform(16 * 16)),
        lambda: Runs(lambda _, x: torch.fft.ifft2(torch.complex(x, x))),
        (4, 16, 16),
    ),
    case(
        "Fourier transform, complex",
        4 * ceil(transform(256)),
        lambda: Runs(lambda _, x: torch.fft.fft(torch.complex(x, x))),
        (4, 256),
    ),
    case(
        "Fourier transform, real",
        4 * ceil(transform(256) / 2),
        lambda: Runs(lambda _, x: torch.fft.rfft(x)),
        (4, 256),
    ),
)

CHANGING: Final = (
    Case("a cache that is given", lambda: Given(Step(), (torch.randn(1, 1, 64), Cache())), 64 * 192 + 2 * 8 * 64),
    # forward and the weight's gradient, then forward
    Case("a step on a copy", lambda: Given(Adapted(), (torch.randn(5, 64), torch.randn(5, 32))), 3 * 5 * 64 * 32),
    Case(
        "the gradient of an input",
        lambda: Given(Runs(differentiated, a=two_layers()), (torch.randn(1, 256, requires_grad=True),)),
        2 * 2 * 256 * 512,
    ),
    case("a tensor that is a plain attribute", 256 * 512, Table, (1, 256)),
    using(
        "output is a distribution",
        256 * 512,
        lambda m, x: torch.distributions.Normal(m.a(x), 1.0),
        lambda: nn.Linear(256, 512),
    ),
    Case(
        "a parameter joined to the input",
        lambda: Given(
            Runs(lambda m, x: m.b(torch.cat([m.a, x])), a=weight(4, 256), b=nn.Linear(256, 2)), (torch.randn(3, 256),)
        ),
        7 * 256 * 2,
    ),
)

OPERATORS: Final = (
    case("hard-swish, PReLU, GLU", 8**2 * (64 * 16 + 64 * 9 + 16 * 32), mobile, (1, 16, 8, 8)),
    Case("scan", lambda: Given(Runs(scan, a=weight(64, 64)), (torch.randn(6, 1, 64),)), 6 * 64 * 64),
    Case("while_loop", lambda: Given(Runs(looped, a=weight(64, 64)), (torch.randn(1, 64),)), 5 * 64 * 64),
    case(
        "affine grid and samples",  # each of the 8 x 8 places is a product of (2, 3) and (3,)
        8 * 8 * 3 * 2 + 64 * 16 * 3,
        lambda: Runs(sampled, a=nn.Conv2d(3, 16, 1, bias=False)),
        (1, 3, 8, 8),
    ),
)


def sampled(m: nn.Module, x: Tensor) -> Tensor:
    """x: (1, 3, 8, 8) -> (1, 16, 8, 8), sampled at the same places."""
    grid = functional.affine_grid(torch.eye(2, 3)[None], [1, 3, 8, 8], align_corners=False)
    return m.a(functional.grid_sample(x, grid, align_corners=False))


CASES: Final = (*SPARSE, *QUANTISED, *COMPLEX, *CHANGING, *OPERATORS)
