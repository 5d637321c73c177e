"""Operators that multiply and that torch's own counter has no formula for: each is counted by a closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils.flop_counter import flop_registry

import archcost
from archcost.counting.dispatch import Calls, Counting, macs
from archcost.counting.lifetimes import Lifetimes
from archcost.counting.operators import MACS
from archcost.counting.rules.fft import transform_macs

aten = torch.ops.aten


def counted(call: Callable[[], Any]) -> Calls:
    """Return what happened in a call."""
    mode = Counting(Lifetimes(()), (), hollow=False)
    with torch.no_grad(), mode:
        call()
    return mode.calls


class Form(NamedTuple):
    """A call, the operator that it is to reach, and what is multiplied, by hand."""

    op: str
    call: Callable[[], Any]
    macs: int


def r(*shape: int) -> Tensor:
    return torch.rand(*shape)


def bf(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.bfloat16)


def meta(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.empty(*shape, device="meta", dtype=dtype)


def offsets(*ends: int) -> Tensor:
    return torch.tensor(ends, dtype=torch.int32)


def csr(n: int, stored: int) -> Tensor:
    """Return a sparse (n, n) with so many values."""
    dense = torch.zeros(n * n)
    dense[:stored] = 1
    return dense.view(n, n).to_sparse_csr()


def lower(n: int) -> Tensor:
    return torch.eye(n) + r(n, n).tril(-1)


def spectrum(x: Tensor) -> Tensor:
    return x.to(torch.cfloat)


def bag_gradients() -> Tensor:
    """Return the gradient of the weights of six values, in bags of 4 features."""
    bags, rows, ends = torch.arange(6) % 2, torch.zeros(6, dtype=torch.int64), torch.tensor([0, 3])
    return aten._embedding_bag_per_sample_weights_backward(r(2, 4), r(3, 4), rows, ends, bags, 0)


def attended(op: str, width: int, depth: int) -> Callable[[], Any]:
    """Return a call of a GPU's kernel on meta: 10 queries, 12 keys, 4 heads, which are the last but one dimension."""
    given = (meta(2, 10, 4, width), meta(2, 12, 4, width), meta(2, 12, 4, depth))
    more = (None, None, 10, 12, 0.0, False, False) if "flash" in op else (None, None, None, None, None, 0.0, 0, True)
    return lambda: getattr(aten, op)(*given, *more)


def conv(*, transposed: bool) -> Tensor:
    """Return an 8-bit convolution of 9 x 9 places with 3 x 3 filters, 3 to 4 channels."""
    kind = torch.ao.nn.quantized.ConvTranspose2d if transposed else torch.ao.nn.quantized.Conv2d
    x = torch.quantize_per_tensor(r(2, 3, 9, 9), 0.1, 0, torch.quint8)
    return kind(3, 4, 3)(x)


def packed(module: torch.nn.Module, x: Tensor) -> Callable[[], Any]:
    """Return a call of a module whose weights are quantized for it."""

    def run() -> object:
        whole = torch.nn.Sequential(module)
        return torch.ao.quantization.quantize_dynamic(whole, {type(module)}, dtype=torch.qint8)(x)

    return run


IN_CHUNKS: Final = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=2)

VECTORS: Final = (
    Form("mv", lambda: torch.mv(r(5, 7), r(7)), 5 * 7),
    Form("dot", lambda: torch.dot(r(7), r(7)), 7),
    Form("vdot", lambda: torch.vdot(r(7), r(7)), 7),
    Form("addmv", lambda: torch.addmv(r(5), r(5, 7), r(7)), 5 * 7),
    Form("addmv_", lambda: r(5).addmv_(r(5, 7), r(7)), 5 * 7),
    Form("addr", lambda: torch.addr(r(5, 7), r(5), r(7)), 5 * 7),
    Form("addbmm", lambda: torch.addbmm(r(5, 3), r(2, 5, 7), r(2, 7, 3)), 2 * 5 * 7 * 3),
    Form("_addmm_activation", lambda: aten._addmm_activation(r(3), r(5, 7), r(7, 3)), 5 * 7 * 3),
    Form("_int_mm", lambda: torch._int_mm(*(torch.ones(32, 32, dtype=torch.int8),) * 2), 32**3),
    Form("_foreach_mm", lambda: aten._foreach_mm([r(2, 3), r(4, 5)], [r(3, 6), r(5, 7)]), 2 * 3 * 6 + 4 * 5 * 7),
    Form("_trilinear", lambda: F.bilinear(r(2, 3), r(2, 4), r(5, 3, 4)), 2 * 3 * 4 * 5),
    Form("_compute_linear_combination", lambda: aten._compute_linear_combination(r(3, 4, 4), r(2, 3)), 2 * 3 * 16),
)
GROUPED: Final = (
    Form("_grouped_mm", lambda: F.grouped_mm(bf(10, 16), bf(3, 16, 32), offs=offsets(2, 7, 10)), 10 * 16 * 32),
    Form("_grouped_mm", lambda: F.grouped_mm(bf(3, 8, 16), bf(3, 16, 32)), 3 * 8 * 16 * 32),
    Form("_grouped_mm", lambda: F.grouped_mm(bf(8, 16), bf(16, 32), offs=offsets(8, 16)), 8 * 16 * 32),
    Form("_grouped_mm", lambda: F.grouped_mm(bf(2, 8, 16), bf(16, 32), offs=offsets(8, 32)), 8 * 16 * 32),
)
FEW_BITS: Final = (
    Form(
        "_weight_int8pack_mm",
        lambda: aten._weight_int8pack_mm(bf(3, 64), torch.ones(32, 64, dtype=torch.int8), bf(32)),
        3 * 64 * 32,
    ),
    Form(
        "_weight_int4pack_mm_for_cpu",
        lambda: aten._weight_int4pack_mm_for_cpu(
            bf(3, 64),
            aten._convert_weight_to_int4pack_for_cpu(torch.ones(32, 64, dtype=torch.int32), 1),
            32,
            bf(2, 32, 2),
        ),
        3 * 64 * 32,
    ),
)
GEOMETRY: Final = (
    Form("_cdist_forward", lambda: torch.cdist(r(2, 3, 7), r(2, 4, 7)), 2 * 3 * 4 * 7),
    Form("_cdist_forward", lambda: torch.cdist(r(2, 1, 3, 7), r(5, 4, 7)), 2 * 5 * 3 * 4 * 7),
    Form("_cdist_forward", lambda: torch.cdist(r(3, 7), r(4, 7), p=1), 0),
    Form("_euclidean_dist", lambda: torch.cdist(r(30, 7), r(40, 7)), 30 * 40 * 7),
    Form("_pdist_forward", lambda: F.pdist(r(5, 7)), 5 * 4 // 2 * 7),
    Form("affine_grid_generator", lambda: F.affine_grid(r(2, 2, 3), [2, 1, 5, 7], False), 2 * 5 * 7 * 2 * 3),
    Form("affine_grid_generator", lambda: F.affine_grid(r(2, 3, 4), [2, 1, 5, 7, 3], False), 2 * 5 * 7 * 3 * 3 * 4),
    Form("linalg_solve_triangular", lambda: torch.linalg.solve_triangular(lower(5), r(5, 3), upper=False), 10 * 3),
    Form("triangular_solve", lambda: torch.triangular_solve(r(5, 3), lower(5), upper=False), 10 * 3),
    Form("cholesky_solve", lambda: torch.cholesky_solve(r(5, 3), lower(5)), 2 * 10 * 3),
    Form("linalg_lu_solve", lambda: torch.linalg.lu_solve(lower(5), offsets(1, 2, 3, 4, 5), r(5, 3)), 2 * 10 * 3),
    Form("linalg_ldl_solve", lambda: torch.linalg.ldl_solve(lower(5), offsets(1, 2, 3, 4, 5), r(5, 3)), 2 * 10 * 3),
)
SPARSE: Final = (
    Form("sparse_sampled_addmm", lambda: torch.sparse.sampled_addmm(csr(5, 7), r(5, 4), r(4, 5)), 7 * 4),
    Form("_sparse_mm_reduce_impl", lambda: torch.sparse.mm(csr(5, 7), r(5, 4), "amax"), 7 * 4),
    Form("_embedding_bag_per_sample_weights_backward", bag_gradients, 6 * 4),
    Form(
        "torch_nn::_linear_cross_entropy_batch_chunked",
        lambda: F.linear_cross_entropy(r(6, 4), r(9, 4), torch.zeros(6, dtype=torch.int64), options=IN_CHUNKS),
        6 * 4 * 9,
    ),
)
CONVOLUTIONS: Final = (
    Form(
        "slow_conv_dilated2d",
        lambda: aten.slow_conv_dilated2d(r(2, 3, 9, 9), r(4, 3, 3, 3), [3, 3], dilation=[2, 2]),
        2 * 25 * 4 * 27,
    ),
    Form(
        "slow_conv_transpose2d",
        lambda: aten.slow_conv_transpose2d(r(2, 3, 5, 5), r(3, 4, 3, 3), [3, 3]),
        2 * 3 * 25 * 4 * 9,
    ),
    Form(
        "slow_conv_transpose3d",
        lambda: aten.slow_conv_transpose3d(r(1, 3, 5, 5, 5), r(3, 4, 2, 2, 2), [2, 2, 2]),
        3 * 125 * 4 * 8,
    ),
    Form(
        "_slow_conv2d_forward",
        lambda: aten._slow_conv2d_forward(r(2, 3, 9, 9), r(4, 3, 3, 3), [3, 3], None, [1, 1], [0, 0]),
        2 * 49 * 4 * 27,
    ),
    Form("conv_tbc", lambda: torch.conv_tbc(r(7, 2, 3), r(5, 3, 4), r(4)), 3 * 2 * 4 * 15),
)

PACKED: Final = (
    Form(
        "quantized_lstm",
        packed(torch.nn.LSTM(4, 5, 2, bidirectional=True), r(3, 2, 4)),
        6 * 2 * 20 * (4 + 5 + 10 + 5),
    ),
    Form("quantized_gru", packed(torch.nn.GRU(4, 5), r(3, 2, 4)), 6 * 15 * 9),
    Form(
        "quantized::quantized_lstm_cell_dynamic",
        packed(torch.nn.LSTMCell(4, 5), r(2, 4)),
        2 * 20 * 9,
    ),
    Form(
        "quantized::quantized_gru_cell_dynamic",
        packed(torch.nn.GRUCell(4, 5), r(2, 4)),
        2 * 15 * 9,
    ),
    Form("quantized::conv2d", lambda: conv(transposed=False), 2 * 49 * 4 * 27),
    Form("quantized::conv_transpose2d", lambda: conv(transposed=True), 2 * 81 * 4 * 27),
    Form("quantized::linear_dynamic", packed(torch.nn.Linear(4, 5), r(2, 4)), 2 * 20),
)

ATTENTION: Final = (
    Form("_flash_attention_forward", attended("_flash_attention_forward", 8, 8), 2 * 10 * 4 * 12 * 16),
    Form("_efficient_attention_forward", attended("_efficient_attention_forward", 8, 6), 2 * 10 * 4 * 12 * 14),
    Form(
        "_scaled_dot_product_fused_attention_overrideable",
        lambda: aten._scaled_dot_product_fused_attention_overrideable(*(meta(2, 4, 10, 8) for _ in "qkv")),
        2 * 4 * 10 * 10 * 16,
    ),
)
TRANSFORMS: Final = (
    Form("_fft_c2c", lambda: torch.fft.fft(spectrum(r(3, 8))), 3 * 60),
    Form("_fft_c2c", lambda: torch.fft.fft2(spectrum(r(3, 4, 8))), 3 * 5 * 32 * 5 // 2),
    Form("_fft_c2c", lambda: torch.fft.ifft(spectrum(r(8, 3)), dim=0), 3 * 60),
    Form("_fft_r2c", lambda: torch.fft.rfft(r(3, 8)), 3 * 30),
    Form("_fft_r2c", lambda: torch.fft.rfft(r(2)), 3),
    Form("_fft_r2c", lambda: torch.fft.rfft2(r(3, 4, 8)), 3 * 5 * 32 * 5 // 4),
    Form("_fft_c2r", lambda: torch.fft.irfft(spectrum(r(3, 5))), 3 * 30),
    Form("_fft_c2r", lambda: torch.fft.irfft2(spectrum(r(3, 4, 5))), 3 * 5 * 32 * 5 // 4),
    Form("_fft_c2c", lambda: torch.fft.fft(spectrum(r(1))), 0),
    Form("_fft_c2c", lambda: torch.fft.fft(spectrum(r(2, 6))), 2 * 39),  # 5 x 6 x log2(6) / 2 = 38.77
)
FORMS: Final = (
    *(*VECTORS, *GROUPED, *FEW_BITS, *GEOMETRY, *SPARSE, *CONVOLUTIONS),
    *(*PACKED, *ATTENTION, *TRANSFORMS),
)


@pytest.mark.filterwarnings("ignore")  # torch's quantization and its solvers are said to move
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.op)
def test_what_is_multiplied_follows_from_the_shapes(form: Form) -> None:
    """A call reaches the operator that it is to reach, and what it multiplies is what was derived by hand."""
    calls = counted(form.call)
    assert form.op in {op for _, op in calls.tallies}
    assert form.macs == macs(calls)
    assert all(tally.known for tally in calls.tallies.values())


@pytest.mark.filterwarnings("ignore")
def test_every_product_is_checked() -> None:
    """What the database multiplies has a formula of torch's own counter, or a closed form here."""
    formulas = {str(op).rpartition(".")[2] for op in flop_registry} | {form.op.removesuffix("_") for form in FORMS}
    formulas |= {"_scaled_dot_product_flash_attention_for_cpu"}  # the same on meta is torch's: test_module.py
    multiplied = set()
    for op in op_db:
        if "jiterator" not in op.name and torch.float32 in op.supported_dtypes("cpu"):
            for sample in islice(op.sample_inputs_func(op, "cpu", torch.float32, False), 1):
                calls = counted(lambda op=op, s=sample: op.op(s.input, *s.args, **s.kwargs))
                multiplied |= {name for (_, name), tally in calls.tallies.items() if tally.macs}
    assert set() == {name for name in multiplied if name.removesuffix("_no_reduction") not in formulas}


@given(st.integers(1, 4096))
def test_a_real_transform_is_half_a_complex_one(points: int) -> None:
    """5 n log2 n operations are half as many multiply-adds; of real values half of those, each rounded up."""
    whole, real = transform_macs(points, real=False), transform_macs(points, real=True)
    assert whole <= 2 * real <= whole + 1
    assert (5 * points * (points.bit_length() - 1)) / 2 <= whole <= 5 * points * points.bit_length() / 2 + 1


OFFSETS: Final = torch.tensor([0, 10, 16, 20], dtype=torch.int32)


@pytest.mark.parametrize("place", ["cpu", "meta"])
def test_packed_attention_is_torch_s(place: str) -> None:
    """Of sequences behind each other only those of one sequence meet; without data each may be the longest."""
    query, key = torch.empty(20, 4, 8, device="meta"), torch.empty(24, 4, 8, device="meta")
    ends = (OFFSETS.to(place), (OFFSETS + torch.tensor([0, 1, 2, 4])).to(torch.int32).to(place))
    args = (query, key, key, *ends, 10, 11, 0.0, False, False)
    expected = flop_registry[aten._flash_attention_forward](*args, out_val=query) // 2
    assert expected == MACS["aten::_flash_attention_forward"](args, (query,))


@contextmanager
def deformable() -> Iterator[None]:
    """Let there be torchvision's deformable convolution, if torchvision is not installed."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    if hasattr(torch.ops.torchvision, "deform_conv2d"):
        yield
        return
    numbers = ", ".join(
        f"int {name}" for name in "stride_h stride_w pad_h pad_w dil_h dil_w groups offset_groups".split()
    )
    library.define(
        f"deform_conv2d(Tensor x, Tensor weight, Tensor offset, Tensor mask, Tensor bias, "
        f"{numbers}, bool use_mask) -> Tensor"
    )
    library.impl(
        "deform_conv2d",
        lambda x, weight, *_: x.new_empty(x.shape[0], weight.shape[0], 7, 7),
        "CompositeExplicitAutograd",
    )
    try:
        yield
    finally:
        library._destroy()


def test_a_deformable_convolution_is_one() -> None:
    """torchvision's operator is known by its name: every weight meets every place, interpolated before."""
    with deformable():
        given = (r(2, 4, 9, 9), r(6, 2, 3, 3), r(2, 18, 7, 7), r(2, 9, 7, 7), r(6), 1, 1, 0, 0, 1, 1, 2, 1, True)
        calls = counted(lambda: torch.ops.torchvision.deform_conv2d(*given))
    assert 2 * 6 * 49 * 2 * 9 == macs(calls)


class Trips(torch.nn.Module):
    """A linear layer in a loop, a scan, a map or a branch of torch's."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.layer = kind, torch.nn.Linear(8, 8, bias=False)

    def forward(self, x: Tensor) -> object:
        """x: (T, B, 8)."""
        from torch._higher_order_ops.map import map as mapped
        from torch._higher_order_ops.scan import scan
        from torch._higher_order_ops.while_loop import while_loop

        match self.kind:
            case "while_loop":
                return while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, self.layer(y)), (torch.tensor(0), x[0]))
            case "scan":
                return scan(lambda carry, y: (self.layer(carry) + y, y.clone()), torch.zeros_like(x[0]), x)
            case "map":
                return mapped(self.layer, x)
            case _:
                return torch.cond(x.sum() > 0, self.layer, lambda y: y.clone(), (x,))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "trips"), [("while_loop", 3), ("scan", 5), ("map", 5), ("cond", 5)])
def test_bodies_of_loops_are_entered(kind: str, trips: int) -> None:
    """What a body multiplies counts for each trip, and its parameters are read."""
    found = archcost.profile(Trips(kind), torch.ones(5, 2, 8), latency=False)
    assert trips * 2 * 64 == found.macs
    assert (0, ()) == (found.to_dict()["parameters"]["unread"], found.uncounted)  # type: ignore[index]  # a mapping
    assert found.agree is not False
    training = found.account.training
    assert training is not None
    products = trips * 2 * 64  # the weight's gradient of each trip; the value's where it depends on the weight
    kept = (trips - 1) * 2 * 64 if kind in ("while_loop", "scan") else 0
    assert (products, products + kept) == (training.forward_macs, training.backward_macs)
