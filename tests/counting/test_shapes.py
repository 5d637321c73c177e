"""What shapes.py makes of an operator's arguments is what torch's own shape functions make of them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archcost.counting.shapes import FORMS, Form, contiguous, form_of, made

aten = torch.ops.aten


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


X, C, V = meta(2, 6, 8, 7), meta(6), meta(2, 5, 12)
Y, W = meta(2, 4, 8, 7), meta(4, 6, 3, 3)
PLACED = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)
HALF = meta(2, 6, 8, 7, dtype=torch.bfloat16)
LAST = X.to(memory_format=torch.channels_last)

KNOWN: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "relu": (aten.relu.default, (X,)),
    "relu, channels last": (aten.relu.default, (LAST,)),
    "relu, bfloat16": (aten.relu.default, (HALF,)),
    "add": (aten.add.Tensor, (X, X)),
    "add a number": (aten.add.Tensor, (X, 1.5)),
    "add what is broadcast": (aten.add.Tensor, (V, meta(12))),
    "multiply channels": (aten.mul.Tensor, (X, meta(6, 1, 1))),
    "a mean's gradient": (aten.div.Scalar, (meta(2, 6, 1, 1).expand(2, 6, 8, 7), 56)),
    "a mean's gradient, of a transformer": (aten.div.Scalar, (meta(2, 5, 1).expand(2, 5, 12), 12)),
    "ones": (aten.ones_like.default, (X,)),
    "ones, channels last": (aten.ones_like.default, (LAST,)),
    "gelu": (aten.gelu.default, (V,)),
    "hardtanh": (aten.hardtanh.default, (X, 0, 6)),
    "pow": (aten.pow.Tensor_Scalar, (V, 2)),
    "threshold_backward": (aten.threshold_backward.default, (X, X, 0)),
    "gelu_backward": (aten.gelu_backward.default, (V, V)),
    "convolution": (aten.convolution.default, (X, meta(4, 6, 3, 3), None, [2], [1], [1], False, [0], 1)),
    "grouped, dilated": (
        aten.convolution.default,
        (X, meta(4, 3, 3, 2), C[:4], [2, 1], [1, 0], [2, 1], False, [0, 0], 2),
    ),
    "transposed": (aten.convolution.default, (X, meta(6, 2, 3, 3), None, [2, 2], [1, 1], [1, 1], True, [1, 1], 3)),
    "one dimension": (aten.convolution.default, (V, meta(4, 5, 3), None, [2], [1], [1], False, [0], 1)),
    "three dimensions": (
        aten.convolution.default,
        (meta(1, 2, 5, 5, 5), meta(4, 2, 3, 3, 3), None, [1, 1, 1], [0, 0, 0], [1, 1, 1], False, [0, 0, 0], 1),
    ),
    "convolution, backward": (aten.convolution_backward.default, (Y, X, W, [4], *PLACED, [True] * 3)),
    "convolution, backward, of the first": (
        aten.convolution_backward.default,
        (Y, X, W, None, *PLACED, [False, True, False]),
    ),
    "batch norm, training": (aten.native_batch_norm.default, (X, C, C, C, C, True, 0.1, 1e-5)),
    "batch norm, channels last": (aten.native_batch_norm.default, (LAST, C, C, C, C, True, 0.1, 1e-5)),
    "batch norm, backward": (aten.native_batch_norm_backward.default, (X, X, C, C, C, C, C, True, 1e-5, [True] * 3)),
    "batch norm, backward, channels last": (
        aten.native_batch_norm_backward.default,
        (LAST, LAST, C, C, C, C, C, True, 1e-5, [True] * 3),
    ),
    "layer norm": (aten.native_layer_norm.default, (V, [12], meta(12), meta(12), 1e-5)),
    "layer norm over two": (aten.native_layer_norm.default, (V, [5, 12], None, None, 1e-5)),
    "addmm": (aten.addmm.default, (meta(7), meta(3, 4), meta(4, 7))),
    "mm": (aten.mm.default, (meta(3, 4), meta(7, 4).t())),
    "bmm": (aten.bmm.default, (meta(2, 3, 4), meta(2, 7, 4).mT)),
    "mean": (aten.mean.dim, (X, [2, 3])),
    "mean, kept": (aten.mean.dim, (X, [-1, -2], True)),
    "sum": (aten.sum.default, (X,)),
    "sum, channels last": (aten.sum.dim_IntList, (LAST, [0])),
    "sum of what is repeated": (aten.sum.dim_IntList, (meta(1, 1).expand(4, 7), [0], True)),
    "sum, kept": (aten.sum.dim_IntList, (X, [0, 2], True)),
    "dropout": (aten.native_dropout.default, (X, 0.1, True)),
}


@pytest.mark.parametrize("case", KNOWN)
def test_a_form_is_what_torch_gives(case: str) -> None:
    """Shape, strides and type of every result are torch's."""
    op, args = KNOWN[case]
    ours = FORMS[op._schema.name.partition("::")[2]](args)
    assert ours is not None, "no plain call: the case tests nothing"
    assert form_of(op(*args)) == ours


def test_batch_norm_keeps_nothing_in_evaluation_mode() -> None:
    """As torch's kernel on a CPU; its shape function says otherwise, and would count bytes that are not there."""
    x, c = torch.ones(2, 6, 8, 7), torch.ones(6)
    real = aten.native_batch_norm.default(x, c, c, c, c, False, 0.1, 1e-5)
    assert form_of(real) == FORMS["native_batch_norm"]((X, C, C, C, C, False, 0.1, 1e-5))


def test_batch_norm_backward_makes_what_is_wanted() -> None:
    """As torch's kernel on a CPU: no gradient of an input that needs none, whatever its shape function says."""
    x, c = torch.ones(2, 6, 8, 7), torch.ones(6)
    rest = (True, 1e-5, [False, True, False])
    real = aten.native_batch_norm_backward.default(x, x, c, c, c, c, c, *rest)
    assert form_of(real) == FORMS["native_batch_norm_backward"]((X, X, C, C, C, C, C, *rest))


ASKED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "two types": (aten.add.Tensor, (X, HALF)),
    "integers": (aten.add.Tensor, (meta(3, dtype=torch.int64), 1.5)),
    "a complex number": (aten.mul.Tensor, (V, 1j)),
    "gaps": (aten.relu.default, (X[:, ::2],)),
    "repeated in the middle": (aten.div.Scalar, (meta(2, 1, 7).expand(2, 6, 7), 6)),
    "ones like gaps": (aten.ones_like.default, (X[:, ::2],)),
    "two layouts": (aten.add.Tensor, (X, LAST)),
    "the smaller first": (aten.add.Tensor, (meta(12), V)),
    "convolution, channels last": (
        aten.convolution.default,
        (LAST, meta(4, 6, 3, 3), None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1),
    ),
    "convolution, backward, channels last": (
        aten.convolution_backward.default,
        (Y, LAST, W, None, *PLACED, [True, True, False]),
    ),
    "half batch norm, backward": (
        aten.native_batch_norm_backward.default,
        (HALF, HALF, C, C, C, C, C, True, 1e-5, [True] * 3),
    ),
    "half layer norm": (
        aten.native_layer_norm.default,
        (V.bfloat16(), [12], meta(12).bfloat16(), meta(12).bfloat16(), 1e-5),
    ),
    "a matrix to add": (aten.addmm.default, (meta(3, 1), meta(3, 4), meta(4, 7))),
    "matrices that do not fit": (aten.mm.default, (meta(3, 4), meta(3, 4))),
    "mean of all": (aten.mean.dim, (X, None)),
    "sum of integers": (aten.sum.default, (meta(3, dtype=torch.int64),)),
    "mean of integers": (aten.mean.dim, (meta(3, 4, dtype=torch.int64), [0])),
}


@pytest.mark.parametrize("case", ASKED)
def test_what_is_not_plain_is_left_to_torch(case: str) -> None:
    """A call whose result does not follow from the simple formulas is not answered."""
    op, args = ASKED[case]
    assert FORMS[op._schema.name.partition("::")[2]](args) is None


WINDOWS = st.tuples(*(st.integers(*bounds) for bounds in ((1, 9), (1, 4), (1, 3), (0, 2), (1, 2))))


@given(WINDOWS, st.sampled_from([1, 2]), st.booleans())
def test_any_convolution_has_torch_s_shape(window: tuple[int, ...], groups: int, transposed: bool) -> None:
    """Kernel, stride, padding, dilation, groups and transposition give torch's sides, or no answer where torch errs."""
    size, kernel, stride, padding, dilation = window
    weight = meta(4, 6 // groups if transposed else 4 // groups, kernel, kernel)
    x = meta(2, 4, size, size)
    args = (x, weight, None, [stride] * 2, [padding] * 2, [dilation] * 2, transposed, [0, 0], groups)
    ours = FORMS["convolution"](args)
    try:
        theirs = form_of(aten.convolution.default(*args))
    except RuntimeError:
        assert ours is None
    else:
        assert ours in (theirs, None)
        assert ours == theirs or min(theirs.shape) < 1  # type: ignore[union-attr]  # one tensor, one form


def test_made_is_what_was_described() -> None:
    """A result made from its form has that form, and storage of its own."""
    form = [Form((2, 3), (3, 1), torch.float16), None, 7, [Form((0,), (1,), torch.bool)]]
    assert form == form_of(made(form))  # type: ignore[arg-type]  # a list of results is one
    first, second = made(form[0]), made(form[0])  # type: ignore[arg-type]  # as above
    assert first.untyped_storage()._cdata != second.untyped_storage()._cdata


@given(st.lists(st.integers(0, 5), max_size=4))
def test_contiguous_strides_are_torch_s(shape: list[int]) -> None:
    """Also where a side is 0 or there is none."""
    assert torch.empty(shape, device="meta").stride() == contiguous(shape)


COMMON = """
import sys
import torch
from torch import nn
from archcost import profile

body = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
found = profile(nn.Sequential(*body, nn.Linear(4, 2)), torch.randn(2, 3, 8, 8), latency=False, witness=False)
print(found.macs, found.account.training.backward_macs, [m for m in ("torch._dynamo", "sympy") if m in sys.modules])
"""


def test_a_common_network_needs_none_of_torch_s_slow_modules() -> None:
    """Neither torch.compile nor sympy is loaded for it, forward and backward: they take longer than the count."""
    macs, backward = 2 * (4 * 6 * 6 * 27 + 8), 2 * (4 * 6 * 6 * 27 + 16)
    assert spoken(COMMON) == f"{macs} {backward} []\n"


COMPILING = """
import torch
from torch import nn
from archcost import profile

class Late(nn.Linear):
    def forward(self, x):
        return torch.compile(lambda y: y @ y.T)(super().forward(x))

found = profile(Late(8, 8), torch.randn(2, 8), latency=False, witness=False)
print(found.macs, [layer.op for layer in found.layers])
"""


def test_what_is_compiled_for_the_first_time_is_counted() -> None:
    """In a process that has not loaded torch.compile, and so could not tell it to stay out."""
    assert spoken(COMPILING) == f"{2 * 64 + 4 * 8} ['addmm', 'mm']\n"


def spoken(code: str) -> str:
    """Return what code prints in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
