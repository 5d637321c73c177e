"""Awkward torch modules, and what a call of each multiplies: derived by hand from shapes, from no counter.

MACs are the multiply-accumulates of convolutions and matrix products: every weight of a convolution meets every place
it slides over; a product of (n, k) and (k, m) has n k m. Nothing of archcost is imported. One example a call wherever
that can be, as ptflops gives the MACs of one; what biases add, which some count, stays under 1%.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from networks import MobileNet, encoder, encoder_macs, mobilenet_macs, resnet50_macs
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional
from torch.nn.attention import flex_attention
from torch.nn.utils import rnn
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.checkpoint import checkpoint
from twins import ResNet


class Given(NamedTuple):
    """A module and the arguments of one call of it."""

    module: nn.Module
    args: tuple[object, ...]
    kwargs: Mapping[str, object] = {}


class Case(NamedTuple):
    """How a call is made, anew for every counter, and its true MACs."""

    name: str
    make: Callable[[], Given]
    macs: int


class Runs(nn.Module):
    """A module whose forward is a function of itself and of one input."""

    def __init__(self, run: Callable[..., object], **parts: nn.Module | Tensor) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> object:
        """x: whatever the function takes."""
        return self.run(self, x)


@dataclass
class Scores:
    """An output that is no tensor, tuple or dictionary."""

    logits: Tensor
    loss: Tensor | None = None


class Product(torch.autograd.Function):
    """A matrix product with a gradient of its own."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor) -> Tensor:
        """x: (n, k), weight: (k, m) -> (n, m)."""
        ctx.save_for_backward(x, weight)
        return x @ weight

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """gradient: (n, m) -> (n, k), (k, m)."""
        x, weight = ctx.saved_tensors
        return gradient @ weight.T, x.T @ gradient


class Cells(nn.Module):
    """An LSTM cell, a GRU cell and an RNN cell, one behind another at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.gru, self.rnn = nn.LSTMCell(256, 512), nn.GRUCell(512, 384), nn.RNNCell(384, 256)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, 256) -> (B, 256)."""
        state, gated, last = None, None, None
        for step in x.unbind(1):
            state = self.lstm(step, state)
            gated = self.gru(state[0], gated)
            last = self.rnn(gated, last)
        assert last is not None
        return last


class Packs(nn.Module):
    """An LSTM over sequences of different lengths, packed here."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(256, 512, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x: (B, T, 256), lengths: (B,) -> (B, T, 512)."""
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0]


class Named(nn.Module):
    """Takes its inputs by name only."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = two_layers()

    def forward(self, *, rows: Tensor, scale: float) -> Tensor:
        """rows: (n, 256) -> (n, 256)."""
        return self.layers(rows) * scale


class Tied(nn.Module):
    """A language model's ends: the embedding's weight is the readout's."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.readout = nn.Embedding(1000, 256), nn.Linear(256, 1000, bias=False)
        self.readout.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (B, T) -> (B, T, 1000)."""
        return self.readout(self.embedding(tokens))


class Experts(nn.Module):
    """Each row goes to the 2 of 4 experts that a gate chooses; an expert that nobody chose does not run."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(256, 4, bias=False)
        self.experts = nn.ModuleList(nn.Linear(256, 256, bias=False) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, 256) -> (n, 256)."""
        weights, chosen = self.gate(x).softmax(-1).topk(2)
        y = torch.zeros_like(x)
        for nth, expert in enumerate(self.experts):
            rows, places = torch.where(chosen == nth)
            if len(rows):
                y.index_add_(0, rows, expert(x[rows]) * weights[rows, places, None])
        return y


class Inference(nn.Module):
    """Its forward enters inference mode by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(256, 512)

    @torch.inference_mode()
    def forward(self, x: Tensor) -> Tensor:
        """x: (n, 256) -> (n, 512)."""
        return self.linear(x)


@torch.library.custom_op("awkward::product", mutates_args=())
def product(x: Tensor, weight: Tensor) -> Tensor:
    """x: (n, k), weight: (k, m) -> (n, m), an operator of our own."""
    return x @ weight


@product.register_fake
def _(x: Tensor, weight: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[1])


def forces(module: nn.Module, x: Tensor) -> Tensor:
    """x: (n, 256) -> the gradient of an energy by it, as networks for molecules give."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        energy = ((x @ module.a).tanh() @ module.b).sum()
    return torch.autograd.grad(energy, x)[0]


def attention(x: Tensor, kept: int = 8, **options: bool) -> Tensor:
    """x: (B, 8, T, D) as queries, its first heads as keys and values -> (B, 8, T, D)."""
    return functional.scaled_dot_product_attention(x, x[:, :kept], x[:, :kept], **options)


def weight(*shape: int) -> nn.Parameter:
    """Return a parameter of that shape."""
    return nn.Parameter(torch.randn(*shape) * 0.1)


def case(name: str, macs: int, module: Callable[[], nn.Module], *shapes: tuple[int, ...]) -> Case:
    """Return a case whose inputs are of those shapes."""
    return Case(name, lambda: Given(module(), tuple(torch.randn(shape) for shape in shapes)), macs)


def function(
    name: str, macs: int, run: Callable[..., object], shape: tuple[int, ...], *weights: tuple[int, ...]
) -> Case:
    """Return a case that is a function of one input, (module, x) -> result; its weights are module.a, module.b, ..."""
    return case(name, macs, lambda: Runs(run, **{n: weight(*w) for n, w in zip("abc", weights, strict=False)}), shape)


def using(name: str, macs: int, run: Callable[..., object], *parts: Callable[[], nn.Module]) -> Case:
    """Return a case that is a function of one row of 256, (module, x) -> result; its parts are module.a, module.b."""
    return case(name, macs, lambda: Runs(run, **{n: p() for n, p in zip("ab", parts, strict=False)}), (1, 256))


def two_layers() -> nn.Module:
    """Return the smallest network: 256 to 512 to 256."""
    return nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 256))


def lazy() -> nn.Module:
    """Return a network whose sizes are known after the first call."""
    return nn.Sequential(nn.LazyConv2d(32, 3, bias=False), nn.Flatten(), nn.LazyLinear(10, bias=False))


def int8() -> nn.Module:
    """Return a network whose weights are bytes, quantized for every call."""
    return torch.ao.quantization.quantize_dynamic(two_layers().eval(), {nn.Linear}, torch.qint8)


def packed() -> Given:
    """Return a recurrent network and a packed sequence."""
    return Given(nn.LSTM(256, 512), (rnn.pack_sequence([torch.randn(steps, 256) for steps in (7, 4, 2)]),))


def named() -> Given:
    """Return a module that takes its inputs by name only."""
    return Given(Named(), (), {"rows": torch.randn(1, 256), "scale": 2.0})


LAYERS: Final = 2 * 256 * 512
"""The MACs of two_layers for a row."""
STEP: Final = 4 * 512 * (256 + 512)
"""The MACs of a step of an LSTM, 256 to 512: four gates, each of which meets input and state."""

CONVOLUTIONS: Final = (
    case("ResNet-50", resnet50_macs(), ResNet, (1, 3, 224, 224)),
    case("MobileNet, depthwise convolutions", mobilenet_macs(), MobileNet, (1, 3, 224, 224)),
    case(
        "convolution in 4 groups",
        28**2 * 128 * (64 // 4) * 3**2,
        lambda: nn.Conv2d(64, 128, 3, padding=1, groups=4, bias=False),
        (1, 64, 28, 28),
    ),
    case(
        "transposed convolution",  # every place of the input is multiplied, not of the output
        14**2 * 64 * 32 * 4**2,
        lambda: nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False),
        (1, 64, 14, 14),
    ),
    case("1-D convolution", 98 * 64 * 32 * 3, lambda: nn.Conv1d(32, 64, 3, bias=False), (1, 32, 100)),
    case("3-D convolution", 6 * 12 * 12 * 32 * 16 * 3**3, lambda: nn.Conv3d(16, 32, 3, bias=False), (1, 16, 8, 14, 14)),
    case("convolution, no batch", 30**2 * 64 * 32 * 3**2, lambda: nn.Conv2d(32, 64, 3, bias=False), (32, 32, 32)),
    case(
        'convolution, padding="same"',
        32**2 * 64 * 32 * 3**2,
        lambda: nn.Conv2d(32, 64, 3, padding="same", bias=False),
        (1, 32, 32, 32),
    ),
    function(
        "convolution, functional",
        30**2 * 64 * 32 * 3**2,
        lambda m, x: functional.conv2d(x, m.a),
        (1, 32, 32, 32),
        (64, 32, 3, 3),
    ),
    case(
        "convolution, weight norm",
        30**2 * 64 * 32 * 3**2,
        lambda: weight_norm(nn.Conv2d(32, 64, 3, bias=False)),
        (1, 32, 32, 32),
    ),
)

PRODUCTS: Final = (
    function("bare @", 64 * 32 * 48, lambda m, x: x @ m.a, (64, 32), (32, 48)),
    function("matrix @ vector", 64 * 32, lambda m, x: m.a @ x, (32,), (64, 32)),
    function("@, broadcast batches", 8 * 4 * 16 * 32 * 24, lambda m, x: x @ m.a, (8, 1, 16, 32), (4, 32, 24)),
    function(
        "baddbmm", 8 * 16 * 128 * 24, lambda m, x: torch.baddbmm(m.a, x, m.b), (8, 16, 128), (8, 16, 24), (8, 128, 24)
    ),
    case("linear layer on a sequence", 20 * 256 * 512, lambda: nn.Linear(256, 512), (1, 20, 256)),
    function("linear, functional", 256 * 512, lambda m, x: functional.linear(x, m.a), (1, 256), (512, 256)),
    function("einsum, scores", 4 * 16**2 * 32, lambda m, x: torch.einsum("bhqd,bhkd->bhqk", x, x), (1, 4, 16, 32)),
    function(
        "einsum, ellipsis",
        4 * 16 * 32 * 24,
        lambda m, x: torch.einsum("...ij,...jk->...ik", x, m.a),
        (1, 4, 16, 32),
        (4, 32, 24),
    ),
    function(
        "einsum, three operands",  # from left to right, as torch does: (8, 16) x (16, 32), then 8 products of 32
        8 * 16 * 32 + 8 * 32,
        lambda m, x: torch.einsum("bi,ij,bj->b", x, m.a, m.b),
        (8, 16),
        (16, 32),
        (8, 32),
    ),
    case("bilinear", 40 * 20 * 30, lambda: nn.Bilinear(20, 30, 40, bias=False), (1, 20), (1, 30)),
    case("sparse @ dense", 32 * 24, lambda: Runs(lambda m, x: m.a @ x, a=torch.eye(32).to_sparse()), (32, 24)),
)

RECURRENT: Final = (
    case(
        "LSTM, 2 layers, both directions",
        16 * 2 * (STEP + 4 * 512 * (1024 + 512)),
        lambda: nn.LSTM(256, 512, 2, bidirectional=True, batch_first=True),
        (1, 16, 256),
    ),
    case(
        "LSTM with projections",
        16 * (4 * 512 * (256 + 128) + 512 * 128),
        lambda: nn.LSTM(256, 512, proj_size=128, batch_first=True),
        (1, 16, 256),
    ),
    case("GRU", 16 * 3 * 512 * (256 + 512), lambda: nn.GRU(256, 512, batch_first=True), (1, 16, 256)),
    case("RNN, ReLU", 16 * 512 * 768, lambda: nn.RNN(256, 512, nonlinearity="relu", batch_first=True), (1, 16, 256)),
    case(
        "LSTM, GRU and RNN cells",
        16 * (STEP + 3 * 384 * (512 + 384) + 256 * (384 + 256)),
        Cells,
        (1, 16, 256),
    ),
    Case(
        "sequences packed inside", lambda: Given(Packs(), (torch.randn(3, 7, 256), torch.tensor([4, 7, 2]))), 13 * STEP
    ),
    Case("packed sequence given", packed, 13 * STEP),
)

ATTENTION: Final = (
    case(
        "multi-head attention",
        4 * 20 * 256**2 + 2 * 20**2 * 256,
        lambda: Runs(lambda m, x: m.a(x, x, x)[0], a=nn.MultiheadAttention(256, 4, batch_first=True)),
        (1, 20, 256),
    ),
    case(
        "TransformerEncoder, fused",
        encoder_macs(2, 256, 512, 20),
        lambda: encoder(2, 256, 4, 512),
        (1, 20, 256),
    ),
    # masked scores count: how many a kernel skips is its own affair
    function("attention, causal", 8 * 16**2 * 2 * 32, lambda m, x: attention(x, is_causal=True), (1, 8, 16, 32)),
    function(
        "attention, grouped queries", 8 * 16**2 * 2 * 32, lambda m, x: attention(x, 2, enable_gqa=True), (1, 8, 16, 32)
    ),
    function(
        "attention, flex_attention",
        4 * 128**2 * 2 * 32,
        lambda m, x: flex_attention.flex_attention(x, x, x),
        (1, 4, 128, 32),
    ),
)

STRUCTURE: Final = (
    using("checkpointing", LAYERS, lambda m, x: checkpoint(m.a, x, use_reentrant=False), two_layers),
    function("autograd.Function", 256 * 512, lambda m, x: Product.apply(x, m.a), (1, 256), (256, 512)),
    function("vmap", 20 * 256 * 512, lambda m, x: torch.vmap(lambda row: m.a @ row)(x), (20, 256), (512, 256)),
    # forward, then the gradient of the input alone: as much again
    function("gradients in the forward", 2 * (256 * 512 + 512), forces, (1, 256), (256, 512), (512, 1)),
    using("a part called three times", 3 * 256**2, lambda m, x: m.a(m.a(m.a(x))), lambda: nn.Linear(256, 256)),
    using("a part that is never called", LAYERS, lambda m, x: m.a(x), two_layers, lambda: nn.Linear(256, 256)),
    Case("tied embeddings", lambda: Given(Tied(), (torch.randint(1000, (1, 20)),)), 20 * 256 * 1000),
    using(
        "a branch on data",
        256**2,
        lambda m, x: m.a(x) if x.square().sum() > 0 else m.b(x),
        lambda: nn.Linear(256, 256),
        two_layers,
    ),
    case("experts chosen by a gate", 256 * 4 + 2 * 256**2, Experts, (1, 256)),
    case("lazy layers", 14**2 * 32 * 3 * 3**2 + 32 * 14**2 * 10, lazy, (1, 3, 16, 16)),
    case("inference mode in the forward", 256 * 512, Inference, (1, 256)),
    case("torch.compile", LAYERS, lambda: torch.compile(two_layers(), backend="eager"), (1, 256)),
    case("torch.jit.script", LAYERS, lambda: torch.jit.script(two_layers()), (1, 256)),
    using("torch.cond", LAYERS, lambda m, x: torch.cond(x.sum() > 9e9, m.b, m.a, (x,)), two_layers, two_layers),
    function("custom operator", 256 * 512, lambda m, x: product(x, m.a), (1, 256), (256, 512)),
    using("output is a dataclass", LAYERS, lambda m, x: Scores(m.a(x)), two_layers),
    using("output is a dictionary", LAYERS, lambda m, x: {"logits": m.a(x), "loss": None, "steps": 1}, two_layers),
    Case("inputs by name", named, LAYERS),
    Case("bfloat16", lambda: Given(two_layers().bfloat16(), (torch.randn(1, 256).bfloat16(),)), LAYERS),
    case("int8, quantized dynamically", LAYERS, int8, (1, 256)),
)

CASES: Final = (*CONVOLUTIONS, *PRODUCTS, *RECURRENT, *ATTENTION, *STRUCTURE)
