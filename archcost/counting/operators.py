"""What torch's operators do: multiply, work by elements, move, or left open; see rules/.

These are the operators that reach the dispatcher, below autograd, modules and composite functions: einsum, matmul,
linear layers and recurrent cells have become mm, addmm and bmm there. What no table knows, and torch does not tag as
elementwise, is reported as uncounted: it may carry multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Final

import torch

from archcost.counting.layouts import row_lengths, sparse
from archcost.counting.rules.attention import ATTENTION, attention, attention_backward, scores
from archcost.counting.rules.convolutions import CONVOLUTIONS
from archcost.counting.rules.elementwise import ELEMENTWISE
from archcost.counting.rules.few_bits import QUANTIZED
from archcost.counting.rules.fft import FFT
from archcost.counting.rules.geometry import GEOMETRY
from archcost.counting.rules.moves import ELSEWHERE, MOVES, MOVING_SPACES
from archcost.counting.rules.products import PRODUCTS
from archcost.counting.rules.recurrent import RECURRENT
from archcost.counting.rules.rule import Args, Rule, per_input, per_output
from archcost.counting.rules.solvers import OPEN

MACS: Final[Mapping[str, Rule]] = {
    **PRODUCTS,
    **CONVOLUTIONS,
    **ATTENTION,
    **RECURRENT,
    **QUANTIZED,
    **GEOMETRY,
    **FFT,
}
"""By the schema's name, without the underscore at the end of operators that write into an argument."""


class Decision(StrEnum):
    """What an operator does; OPEN: it multiplies, and its count is not known."""

    MULTIPLIES = "multiplies"
    ELEMENTWISE = "elementwise"
    MOVES = "moves"
    OPEN = "open"


def macs_rule(op: Any) -> Rule | None:
    """Return the rule of an operator that multiplies matrices, None for others; `op` is an OpOverload."""
    return _of(MACS, op._schema.name)


def elementwise_rule(op: Any) -> Rule | None:
    """Return the rule of an operator's elementwise work, None if it has none."""
    name = op._schema.name
    rule = _of(ELEMENTWISE, name)
    if rule is not None or _moves(name):
        return rule
    if torch.Tag.pointwise in op.tags:
        return per_output(1)
    if _REDUCTION in op.tags or _is_over_lists(name):
        return per_input()
    return per_output(1) if _is_elementwise(_forward_of(name)) else None


def decided(op: Any) -> Decision | None:
    """Return what an operator does; None if nothing is known of it, so that it may multiply."""
    name = op._schema.name
    if macs_rule(op) is not None or _multiplies_stored(name):
        return Decision.MULTIPLIES
    if name.startswith("aten::") and name.removeprefix("aten::").rstrip("_") in _OPEN:
        return Decision.OPEN
    if elementwise_rule(op) is not None:
        return Decision.ELEMENTWISE
    return Decision.MOVES if op.is_view or _moves(name) else None


def multiplies_nothing(name: str) -> bool:
    """Return whether no overload of an operator of that name, `space::name`, multiplies matrices."""
    space, _, own = name.partition("::")
    packet = getattr(getattr(torch.ops, space), own, None) if own else None
    does = {decided(getattr(packet, overload)) for overload in packet.overloads()} if packet is not None else {None}
    return does <= {Decision.ELEMENTWISE, Decision.MOVES}


def known(op: Any) -> bool:
    """Return whether an operator has a rule for dense tensors, or provably multiplies no matrices.

    What is not known is uncounted; the products of sparse and nested tensors have rules of their own.
    """
    return macs_rule(op) is not None or decided(op) in (Decision.ELEMENTWISE, Decision.MOVES)


_REDUCTION: Final = getattr(torch.Tag, "reduction", None)  # since torch 2.9
_OPEN: Final = frozenset(OPEN)
_ENDS: Final = ("_backward", "_backward_data")


def _of(table: Mapping[str, Rule], name: str) -> Rule | None:
    return table.get(name) or (table.get(name.removesuffix("_")) if name.endswith("_") else None)


def _multiplies_stored(name: str) -> bool:
    """Return whether an operator multiplies what sparse or nested tensors store."""
    space, _, own = name.partition("::")
    return space == "aten" and (sparse.multiplies(own) or row_lengths.multiplies(own))


def _moves(name: str) -> bool:
    space, _, own = name.partition("::")
    if space in MOVING_SPACES or name in ELSEWHERE:  # prim: a tensor's device or layout
        return True
    if space not in ("aten", "prims", "prim", "quantized"):
        return False
    if any(sparse.harmless(form) for form in (own, f"{own}_")) or row_lengths.harmless(own):
        return True
    return own in MOVES or own.removesuffix("_") in MOVES or (own not in MOVES and _forward_of(name) in MOVES)


def _forward_of(name: str) -> str:
    """Return the name, without aten::, of the operator that another is the backward of; empty if it is no backward."""
    space, _, own = name.partition("::")
    return own.removesuffix("_data").removesuffix("_backward") if space == "aten" and own.endswith(_ENDS) else ""


_FORMS: Final = ("{}", "{}_forward", "{}_with_indices", "native_{}", "{}_cachemask")
"""What the forward of `x_backward` may be called, but for its underscores in front."""


def _is_elementwise(forward: str) -> bool:
    """Return whether an operator of aten's is elementwise and multiplies nothing, going by its name."""
    names = {form.format(name) for form in _FORMS for name in (forward, forward.lstrip("_"))} if forward else set()
    if any(f"aten::{name}" in MACS for name in names):
        return False
    return any(f"aten::{name}" in ELEMENTWISE or _is_pointwise(name) for name in names)


def _is_over_lists(name: str) -> bool:
    """Return whether an operator does to every tensor of a list what an elementwise one does to one."""
    each = name.removeprefix("aten::_foreach_")
    return each != name and _is_elementwise(each.removesuffix("_"))


@cache
def _is_pointwise(name: str) -> bool:
    packet = getattr(torch.ops.aten, name, None)
    return packet is not None and any(torch.Tag.pointwise in getattr(packet, o).tags for o in packet.overloads())


def _flex(args: Args) -> tuple[int, int]:
    """(query, key, value, ...): MACs and elementwise operations, masked scores with them."""
    return attention(args, None), scores(args, None)


def _flex_backward(args: Args) -> tuple[int, int]:
    """(query, key, value, ...)."""
    return attention_backward((None, *args[:3]), None), scores(args, None)


FLEX: Final[Mapping[str, Callable[[Args], tuple[int, int]]]] = {
    "flex_attention": _flex,
    "flex_attention_backward": _flex_backward,
}
"""The operators over functions that have a rule."""
