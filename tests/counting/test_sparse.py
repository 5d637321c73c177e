"""Sparse tensors of every layout: products by the values stored, bytes by indices and values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import archcost
from archcost.counting.layouts.sparse import macs_of
from archcost.profiling.result import Profile

pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch's, that they are new


class Held(nn.Module):
    """A buffer or parameter, and what is done with it."""

    def __init__(self, held: Tensor, call: Callable[..., Tensor], *, trained: bool = False) -> None:
        super().__init__()
        if trained:
            self.held = nn.Parameter(held)
        else:
            self.register_buffer("held", held)
        self.call = call

    def forward(self, *given: Tensor) -> Tensor:
        """Whatever the call takes and returns."""
        return self.call(self.held, *given)


def matrix() -> Tensor:
    """Four values in 8 rows and 8 columns, which lie in three blocks of 2 x 2."""
    found = torch.zeros(8, 8)
    found[0, 1] = found[3, 4] = found[3, 5] = found[7, 7] = 2.0
    return found


LAYOUTS: dict[str, tuple[Callable[[Tensor], Tensor], int, int]] = {  # how it is made, values stored, bytes of all
    "coo": (Tensor.to_sparse, 4, 4 * (2 * 8 + 4)),
    "csr": (Tensor.to_sparse_csr, 4, 9 * 8 + 4 * (8 + 4)),
    "csc": (Tensor.to_sparse_csc, 4, 9 * 8 + 4 * (8 + 4)),
    "bsr": (lambda dense: dense.to_sparse_bsr((2, 2)), 12, 5 * 8 + 3 * (8 + 4 * 4)),
    "bsc": (lambda dense: dense.to_sparse_bsc((2, 2)), 12, 5 * 8 + 3 * (8 + 4 * 4)),
}


class Form(NamedTuple):
    """A product: the call, what it is given, columns or rows of the dense side, layouts that torch takes on a CPU."""

    call: Callable[..., Tensor]
    inputs: tuple[tuple[int, ...], ...]
    times: int
    layouts: str = "coo csr csc bsr"


FORMS = {
    "matrix on the right": Form(lambda w, x: w @ x, ((8, 5),), 5),
    "matrix on the left": Form(lambda w, x: x @ w, ((5, 8),), 5, "coo csr csc bsc"),
    "vector on the right": Form(lambda w, x: w @ x, ((8,),), 1),
    "vector on the left": Form(lambda w, x: x @ w, ((8,),), 1, "coo csr csc bsc"),
    "mv": Form(torch.mv, ((8,),), 1),
    "linear": Form(lambda w, x: functional.linear(x, w), ((5, 8),), 5),
    "linear of a batch of rows": Form(lambda w, x: functional.linear(x, w), ((2, 3, 8),), 6),
    "linear with a bias": Form(lambda w, x, b: functional.linear(x, w, b), ((5, 8), (8,)), 5, "csr csc bsr"),
    "addmm": Form(lambda w, x, b: torch.addmm(b, w, x), ((8, 5), (8, 5)), 5),
    "addmm on the left": Form(lambda w, x, b: torch.addmm(b, x, w), ((5, 8), (5, 8)), 5, "csr csc bsc"),
    "addmv": Form(lambda w, x, b: torch.addmv(b, w, x), ((8,), (8,)), 1, "csr csc bsr"),
    "torch.sparse.mm": Form(torch.sparse.mm, ((8, 5),), 5),
    "torch.sparse.addmm": Form(lambda w, x, b: torch.sparse.addmm(b, w, x), ((8, 5), (8, 5)), 5, "coo"),
    "a mean of products": Form(lambda w, x: torch.sparse.mm(w, x, "mean"), ((8, 5),), 5, "csr"),
    "hspmm": Form(lambda w, x: torch.hspmm(w, x).to_dense(), ((8, 5),), 5, "coo"),
    "smm": Form(lambda w, x: torch.smm(w, x).to_dense(), ((8, 5),), 5, "coo"),
    "sspaddmm": Form(lambda w, x: torch.sspaddmm(w, w, x).to_dense(), ((8, 8),), 8, "coo"),
    "sampled": Form(torch.sparse.sampled_addmm, ((8, 6), (6, 8)), 6, "csr"),
    "to dense, and no product": Form(lambda w, x: w.to_dense() + x, ((8, 8),), 0, "coo csr csc bsr bsc"),
    "elementwise": Form(lambda w, x: (w.relu() * 2).to_dense() + x, ((8, 8),), 0, "coo csr csc bsr bsc"),
    "a sum": Form(lambda w, x: w.sum() + x, ((8, 8),), 0, "coo csr csc bsr bsc"),
    "softmax": Form(lambda w, x: torch.sparse.softmax(w, 1).to_dense() + x, ((8, 8),), 0, "coo"),
    "transposed": Form(lambda w, x: w.t() @ x, ((8, 5),), 5, "coo csr csc"),
}
CASES = [(form, layout) for form in FORMS for layout in FORMS[form].layouts.split()]


def profiled(module: nn.Module, *inputs: Tensor) -> Profile:
    """Return the profile, in which no operator is without a count, and no witness says what is not so."""
    found = archcost.profile(module, inputs, latency=False)
    assert ((), 1.0) == (found.uncounted, found.coverage)
    assert found.agree is not False
    assert not any("may depend on values" in note for note in found.warnings)
    json.dumps(found.to_dict(), allow_nan=False)
    return found


@pytest.mark.parametrize("trained", [False, True], ids=["buffer", "parameter"])
@pytest.mark.parametrize(("form", "layout"), CASES)
def test_products_are_of_the_stored_values(form: str, layout: str, trained: bool) -> None:
    """Each stored value meets every row or column of the other side; indices and values are what is in memory."""
    make, stored, size_bytes = LAYOUTS[layout]
    call, shapes, times, _ = FORMS[form]
    found = profiled(Held(make(matrix()), call, trained=trained), *map(torch.ones, shapes))
    assert stored * times == found.macs
    assert size_bytes == found.weights_bytes
    assert (stored if trained else 0) == found.params
    assert size_bytes + 4 * sum(map(torch.Size.numel, map(torch.Size, shapes))) <= found.peak_memory_bytes
    assert (None if times else True) is found.agree


def test_why_there_is_no_witness_is_said() -> None:
    """Both take a sparse matrix for a dense one."""
    found = profiled(Held(matrix().to_sparse(), torch.mm), torch.ones(8, 5))
    reason = "it takes what is sparse or nested for dense (mm)"
    assert found.witness is not None
    assert (reason, reason) == (found.witness.fvcore.why, found.witness.torch.why)
    assert any("counted by the values that they store" in note for note in found.warnings)


MADE: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "indices and values": (
        lambda x: torch.sparse_coo_tensor(torch.tensor([[0, 1, 2], [1, 2, 3]]), torch.ones(3), (8, 8)) @ x, 3 * 5
    ),
    "the same place twice": (
        lambda x: torch.sparse_coo_tensor(torch.tensor([[0, 0], [1, 1]]), torch.ones(2), (8, 8)).coalesce() @ x, 1 * 5
    ),
    "rows": (
        lambda x: torch.sparse_csr_tensor(torch.tensor([0, 1, 3]), torch.tensor([0, 1, 2]), torch.ones(3), (2, 8)) @ x,
        3 * 5,
    ),
    "of a dense one": (lambda x: x.to_sparse().t() @ x, 40 * 5),
    "rows of a dense one": (lambda x: x.t().to_sparse_csr() @ x, 40 * 5),
    "dense again": (lambda x: x.to_sparse().to_dense().t() @ x, 5 * 8 * 5),
}  # fmt: skip


class Runs(nn.Module):
    """Calls a function."""

    def __init__(self, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.call = call

    def forward(self, *given: Tensor) -> Tensor:
        """Whatever the call takes and returns."""
        return self.call(*given)


@pytest.mark.parametrize("case", MADE)
def test_what_a_call_makes_sparse_is_counted_by_its_values(case: str) -> None:
    """A graph's edges become a matrix inside the call: how many there are is in the data."""
    call, macs = MADE[case]
    assert macs == profiled(Runs(call), torch.ones(8, 5)).macs


def test_batches_are_counted_by_the_values_of_all() -> None:
    """Three values in two matrices, each with 5 columns on the other side."""
    batch = torch.zeros(2, 4, 4)
    batch[0, 0, 1] = batch[1, 2, 2] = batch[1, 3, 0] = 1
    found = profiled(Held(batch.to_sparse(), torch.bmm), torch.ones(2, 4, 5))
    assert (3 * 5, 3 * (3 * 8 + 4)) == (found.macs, found.weights_bytes)
    rows = torch.sparse_csr_tensor(torch.tensor([[0, 1, 2]] * 3), torch.tensor([[0, 1]] * 3), torch.ones(3, 2))
    assert 3 * 2 * 5 == macs_of("bmm", [rows, torch.ones(3, 2, 5)])  # which torch has on GPUs only


def two(rows: int, inner: int, columns: int) -> st.SearchStrategy[tuple[Tensor, Tensor]]:
    bits = st.lists(st.booleans(), min_size=rows * inner, max_size=rows * inner)
    others = st.lists(st.booleans(), min_size=inner * columns, max_size=inner * columns)
    return st.tuples(
        bits.map(lambda values: torch.tensor(values).reshape(rows, inner).float()),
        others.map(lambda values: torch.tensor(values).reshape(inner, columns).float()),
    )


@settings(max_examples=40, deadline=None)
@given(two(4, 6, 8), st.sampled_from(sorted(LAYOUTS)), st.sampled_from(sorted(LAYOUTS)))
def test_two_sparse_matrices_meet_where_both_store(pair: tuple[Tensor, Tensor], left: str, right: str) -> None:
    """Every stored value of row k of the right meets every one of column k of the left: a brute count."""
    a, b = LAYOUTS[left][0](pair[0]), LAYOUTS[right][0](pair[1])
    here, there = stored_places(a), stored_places(b)
    expected = sum(int(here[:, k].sum()) * int(there[k].sum()) for k in range(6))
    assert expected == macs_of("mm", [a, b])


def stored_places(tensor: Tensor) -> Tensor:
    """Return where a sparse matrix stores a value, be it 0: all of a block."""
    if tensor.layout is torch.sparse_coo:
        return torch.sparse_coo_tensor(tensor._indices(), torch.ones_like(tensor._values()), tensor.shape).to_dense()
    by_rows = tensor.layout in (torch.sparse_csr, torch.sparse_bsr)
    sides = (tensor.crow_indices(), tensor.col_indices()) if by_rows else (tensor.ccol_indices(), tensor.row_indices())
    ones = torch.sparse_compressed_tensor(*sides, torch.ones_like(tensor.values()), tensor.shape, layout=tensor.layout)
    return ones.to_dense()


@pytest.mark.parametrize("layout", ["coo", "csr", "csc"])
def test_a_product_of_two_runs(layout: str) -> None:
    """Column 7 and row 7 share one place, and no other column has a row to meet."""
    make, _, _ = LAYOUTS[layout]
    assert 1 == profiled(Held(make(matrix()), lambda w, x: (w @ w).to_dense() + x), torch.ones(8, 8)).macs


@pytest.mark.parametrize("layout", ["coo", "csr"])
def test_a_sparse_layer_is_trained(layout: str) -> None:
    """Backward, the dense side's gradient is of the stored values; the weight's own torch computes whole: 8 x 8 x 5."""
    make, stored, _ = LAYOUTS[layout]
    module = Held(make(matrix()), lambda w, x: w @ x, trained=True)
    step = archcost.profile(module, (torch.ones(8, 5),), latency=False, witness=False).account.training
    assert step is not None
    assert (5 * stored, 8 * 8 * 5) == (step.forward_macs, step.backward_macs)


def test_a_sparse_module_is_left_as_it_was() -> None:
    """The copy runs: layout, values and gradients of the original stay, and it is cast on the copy."""
    module = Held(matrix().to_sparse_csr(), lambda w, x: w @ x, trained=True)
    found = archcost.profile(module, (torch.ones(8, 5),), latency=False, dtype="float64")
    assert (9 * 8 + 4 * (8 + 8), 4 * 5) == (found.weights_bytes, found.macs)
    assert torch.equal(matrix(), module.held.detach().to_dense())
    assert (torch.float32, torch.sparse_csr, None) == (module.held.dtype, module.held.layout, module.held.grad)
