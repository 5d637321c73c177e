"""The one table of dtypes is torch's: the same names, the same bytes."""

from __future__ import annotations

import pytest
import torch

from archcost.graph.dtypes import BYTES, DTYPES, FLOATING
from archcost.latency.runtimes.compile import TOLERANCES
from archcost.nets.dtypes import TORCH, name_of


def test_every_dtype_has_its_bytes_and_its_type() -> None:
    """In the order in which they are listed; every floating one may be measured, and has a tolerance there."""
    assert (DTYPES, DTYPES) == (tuple(BYTES), tuple(TORCH))
    assert FLOATING == tuple(name for name in DTYPES if TORCH[name].is_floating_point)
    assert {*FLOATING} == {*TOLERANCES}


@pytest.mark.parametrize("name", DTYPES)
def test_a_dtype_is_as_torch_has_it(name: str) -> None:
    """As many bytes, and back to its name; that of a type of torch's own is found too."""
    assert (BYTES[name], name) == (torch.empty((), dtype=TORCH[name]).element_size(), name_of(TORCH[name]))
    assert name_of(torch.complex64) == "complex64"
