"""Every operator of torch's is decided: multiplied, elementwise, data movement, or open with a reason."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import pytest
import torch
from torch import Tensor
from torch._C import DispatchKey
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from archcost.counting.dispatch import Calls, Counting
from archcost.counting.lifetimes import Lifetimes
from archcost.counting.operators import MACS, decided
from archcost.counting.rules.solvers import OPEN

EVERY: Final = "ARCHCOST_EVERY_SAMPLE" in os.environ  # make test-extras: all samples, of several types
TYPES: Final = (torch.float32, torch.bfloat16, torch.complex64, torch.int64, torch.bool)
NOT_HERE: Final = {
    "jiterator": "compiles for a GPU alone",
    "_scaled_mm": "float8 on a GPU alone",
    "_flash_attention_forward": "a GPU alone",
    "_efficient_attention_forward": "a GPU alone",
    "batch_norm": "its variant without cuDNN: a GPU alone",
}
"""Operators of the database that have no sample for a CPU."""


def schemas() -> Iterator[tuple[str, list[Any]]]:
    """Yield each operator of aten's that may reach the dispatcher, with its overloads."""
    found = defaultdict(list)
    for schema in torch._C._jit_get_all_schemas():
        space, _, name = schema.name.partition("::")
        if space == "aten" and not name.startswith(("_test_", "_foobar")):  # torch's own tests'
            op = getattr(getattr(torch.ops.aten, name, None), schema.overload_name or "default", None)
            if op is not None and torch._C._dispatch_has_kernel(op.name()) and "Tensor" in str(op._schema):
                found[name].append(op)
    for name, overloads in found.items():
        if not any(op.has_kernel_for_dispatch_key(DispatchKey.CompositeImplicitAutograd) for op in overloads):
            yield name, overloads


def test_every_operator_that_torch_has_is_decided() -> None:
    """A new version of torch with an operator that no table knows fails here, by its name."""
    assert [] == [name for name, overloads in schemas() if any(decided(op) is None for op in overloads)]


def test_few_operators_are_open() -> None:
    """At most 25 have no count, each with its reason; none of them is also counted."""
    assert 25 >= len(OPEN)
    assert all(OPEN.values())
    assert set() == {f"aten::{name}" for name in OPEN} & set(MACS)


def counted(call: Callable[[], Any]) -> tuple[Any, Calls]:
    """Return what a call returns, and what happened in it."""
    mode = Counting(Lifetimes(()), (), hollow=False)
    with mode:
        result = call()
    return result, mode.calls


def undecided(calls: Calls) -> set[str]:
    """Return the operators of a call that no table knows, those that are open left out."""
    return {op for (_, op), tally in calls.tallies.items() if not tally.known and op not in OPEN}


def tensors(value: Any) -> list[Tensor]:
    """Return the tensors of a value that require a gradient."""
    return [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor) and leaf.requires_grad]


def differentiable(op: Any, kind: torch.dtype) -> bool:
    return bool(op.supports_autograd and kind in op.supported_backward_dtypes("cpu") and kind is torch.float32)


def samples(op: Any) -> Iterator[tuple[torch.dtype, Any]]:
    """Yield samples of an operator: the first of its first type, or all of all types."""
    supported = [kind for kind in TYPES if kind in op.supported_dtypes("cpu")]
    for kind in supported if EVERY else supported[:1]:
        made = op.sample_inputs_func(op, "cpu", kind, differentiable(op, kind))  # op.sample_inputs looks at every frame
        for sample in made if EVERY else islice(made, 1):
            yield kind, sample


@pytest.mark.filterwarnings("ignore")  # samples of what is deprecated
def test_torch_s_own_operators_are_decided() -> None:
    """Each operator of torch's database, forward and backward, consists of operators that have a count or are open."""
    found: dict[str, set[str]] = {}
    missing = []
    for op in op_db:
        name = f"{op.name}.{op.variant_test_name}".rstrip(".")
        ran = False
        for kind, sample in samples(op):
            if any(word in op.name for word in ("jiterator",)):
                break
            ran = True
            result, calls = counted(lambda op=op, s=sample: op.op(s.input, *s.args, **s.kwargs))
            found[name] = found.get(name, set()) | undecided(calls)
            outputs, inputs = tensors(result), tensors((sample.input, sample.args, sample.kwargs))
            if differentiable(op, kind) and outputs and inputs and not any(t.is_sparse for t in outputs):
                seeds = [torch.ones_like(t) for t in outputs]
                _, back = counted(lambda o=outputs, i=inputs, s=seeds: torch.autograd.grad(o, i, s, allow_unused=True))
                found[name] |= undecided(back)
        if not ran:
            missing.append(name)
    assert {} == {name: ops for name, ops in found.items() if ops}
    assert [] == [name for name in missing if not any(word in name for word in NOT_HERE)]
    assert len(found) > 600


@pytest.mark.filterwarnings("ignore")  # as above
def test_what_torch_multiplies_is_what_is_counted() -> None:
    """Where torch's own counter has a formula for an operator of the database, both counts are equal."""
    formulas = {str(op).rpartition(".")[2] for op in flop_registry}
    different = {}
    multiplied = 0
    for op in op_db:
        if "jiterator" in op.name or "sparse" in op.name or torch.float32 not in op.supported_dtypes("cpu"):
            continue
        made = op.sample_inputs_func(op, "cpu", torch.float32, False)
        for sample in made if EVERY else islice(made, 1):
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                _, calls = counted(lambda op=op, s=sample: op.op(s.input, *s.args, **s.kwargs))
            ours = sum(t.macs for (_, name), t in calls.tallies.items() if name in formulas)
            multiplied += ours > 0
            if ours != counter.get_total_flops() // 2:
                different[op.name] = (ours, counter.get_total_flops() // 2)
    assert {} == different
    assert multiplied > 20
