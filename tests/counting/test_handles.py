"""The products that fvcore's handles count, against a brute count and against what torch really multiplies."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from archcost.counting.witnesses.handles import einsum_macs, matmul_macs


class Products(TorchDispatchMode):
    """Adds up the multiply-accumulates of the matrix products that torch runs."""

    macs = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]  # torch's own form
        if func is torch.ops.aten.bmm.default:
            self.macs += prod(args[0].shape) * args[1].shape[2]
        if func is torch.ops.aten.mm.default:
            self.macs += prod(args[0].shape) * args[1].shape[1]
        if func in (torch.ops.aten.mv.default, torch.ops.aten.dot.default):
            self.macs += prod(args[0].shape)
        return func(*args, **(kwargs or {}))


EINSUMS = {
    "a product": ("ij,jk->ik", [[2, 3], [3, 4]]),
    "a batch": ("bij,bjk->bik", [[2, 3, 4], [2, 4, 5]]),
    "implied": ("ij,jk", [[2, 3], [3, 4]]),
    "an ellipsis": ("...ij,...jk->...ik", [[2, 3, 4], [4, 5]]),
    "an ellipsis that broadcasts": ("...i,...i->...", [[2, 1, 4], [3, 4]]),
    "an outer product": ("i,j->ij", [[2], [3]]),
    "elementwise": ("ij,ij->ij", [[2, 3], [2, 3]]),
    "to a number": ("ij,ij->", [[2, 3], [2, 3]]),
    "summed before": ("ijk,jl->il", [[2, 3, 4], [3, 5]]),
    "summed on both sides": ("ij,kl->", [[2, 3], [4, 5]]),
    "three": ("ij,jk,kl->il", [[2, 3], [3, 4], [4, 5]]),
    "heads": ("bthd,bshd->bhts", [[2, 5, 3, 4], [2, 6, 3, 4]]),
    "a diagonal": ("ii,ij->j", [[3, 3], [3, 4]]),
    "one": ("ij->ji", [[2, 3]]),
    "spaces": ("i j, j k -> i k", [[2, 3], [3, 4]]),
}


@pytest.mark.parametrize("case", EINSUMS)
def test_an_einsum_counts_what_torch_multiplies(case: str) -> None:
    """From left to right: every pair that sums over an index is the matrix product torch runs."""
    equation, shapes = EINSUMS[case]
    with torch.backends.opt_einsum.flags(enabled=False), Products() as seen:
        torch.einsum(equation, *(torch.ones(shape) for shape in shapes))
    assert seen.macs == einsum_macs(equation, shapes)


def test_a_path_is_followed() -> None:
    """If an order of contraction is recorded, it decides the cost."""
    shapes = [[2, 30], [30, 3], [3, 40]]
    assert 2 * 30 * 3 + 2 * 3 * 40 == einsum_macs("ij,jk,kl->il", shapes)
    assert 30 * 3 * 40 + 2 * 30 * 40 == einsum_macs("ij,jk,kl->il", shapes, [1, 2, 0, 1])


sides = st.lists(st.integers(1, 3), max_size=2)


@given(sides, sides, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_a_matmul_of_any_ranks_multiplies_once_a_term(
    left: list[int], right: list[int], rows: int, inner: int, columns: int
) -> None:
    """Every output value meets `inner` pairs, whatever is broadcast, also if a side is a vector."""
    for row, column in product([[rows], []], [[columns], []]):
        a = [*(left if row else []), *row, inner]
        b = [*(right if column else []), inner, *column]
        try:
            out = torch.empty(a, device="meta") @ torch.empty(b, device="meta")
        except RuntimeError:
            continue  # sides that cannot be broadcast
        assert out.numel() * inner == matmul_macs(a, b)
