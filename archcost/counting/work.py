"""What one call of an operator did: what it multiplied, computed, read and wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from torch import Tensor

from archcost.counting.layouts import row_lengths, sparse
from archcost.counting.rules import own
from archcost.counting.rules.complex_numbers import real_products
from archcost.counting.rules.moves import LOOKUPS
from archcost.counting.rules.rule import Rule
from archcost.nets.storage import dense_parts, is_plain


class Ruled(Protocol):
    """An operator with its rules."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def macs(self) -> Rule | None:
        """What it multiplies, None if nothing."""

    @property
    def elementwise(self) -> Rule | None:
        """What else it computes, None if nothing."""

    @property
    def known(self) -> bool:
        """Whether it has a rule, or needs none."""


class Work(NamedTuple):
    """What one call of an operator did."""

    macs: int
    elementwise: int
    read: int
    written: int
    read_bytes: int
    written_bytes: int
    shape: tuple[int, ...]


NOTHING: Final = Work(0, 0, 0, 0, 0, 0, ())


def work_of(op: Ruled, args: Sequence[Any], result: Any) -> Work:
    """Return what a call of an operator on dense tensors did."""
    macs = op.macs(args, result) if op.macs else 0
    elementwise = op.elementwise(args, result) if op.elementwise else 0
    return _moved(op.name, macs * real_products(op.name, args) if macs else 0, elementwise, args, result)


def own_work(said: own.Work, args: Sequence[Any], result: Any) -> Work:
    """Return what a rule of the user's own says of a call, with the bytes of its tensors where it says none."""
    made, made_bytes, shape = _sizes(result if isinstance(result, tuple | list) else (result,))
    given, given_bytes, _ = _sizes(args)
    read = given_bytes if said.read_bytes is None else said.read_bytes
    written = made_bytes if said.written_bytes is None else said.written_bytes
    return Work(said.macs, said.elementwise, given, made, read, written, shape)


def is_odd(values: Sequence[Any]) -> bool:
    """Return whether a tensor among some values, or in a list of them, is sparse, nested or a wrapper of others."""
    for value in values:
        if isinstance(value, Tensor):
            if not is_plain(value):
                return True
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Tensor) and is_odd(value):
            return True
    return False


class Odd(NamedTuple):
    """What a call on sparse or nested tensors did; `known`: it has a count; `by_value`: a product of stored values."""

    work: Work
    known: bool
    by_value: bool


def odd_work(op: Ruled, args: Sequence[Any], result: Any) -> Odd:
    """Return what a call did that takes or makes sparse or nested tensors."""
    is_nested = row_lengths.is_nested(result) or any(map(row_lengths.is_nested, args))
    ours = row_lengths if is_nested else sparse
    macs = ours.macs_of(op.name, args)
    known = macs is not None or (op.known and op.macs is None)
    if not known:
        return Odd(NOTHING, known=False, by_value=False)
    elementwise = ours.elementwise_of(op.name, op.elementwise, args, result)
    real = real_products(op.name, args) if macs else 0
    return Odd(_moved(op.name, (macs or 0) * real, elementwise, args, result), known=True, by_value=bool(macs))


def _moved(name: str, macs: int, elementwise: int, args: Sequence[Any], result: Any) -> Work:
    made, made_bytes, shape = _sizes(result if isinstance(result, tuple | list) else (result,))
    given, given_bytes, _ = _sizes(args[1:] if name in LOOKUPS else args)
    if name in LOOKUPS:
        given, given_bytes = given + made, given_bytes + made_bytes
    done = Work(macs, elementwise, given, made, given_bytes, made_bytes, shape)
    return done if any(done) else NOTHING


def _sizes(values: Sequence[Any]) -> tuple[int, int, tuple[int, ...]]:
    """Return the scalars and bytes of tensors, as deep as they stand in lists, and the first one's shape.

    A sparse tensor's are those of its indices and values, a nested one's those of its rows.
    """
    scalars = size_bytes = 0
    shape: tuple[int, ...] = ()
    for value in values:
        if isinstance(value, Tensor):
            plain = is_plain(value)
            for part in (value,) if plain else dense_parts(value) or (value,):
                size = part.numel()
                scalars += size
                size_bytes += size * part.element_size()
            if not shape and not value.is_nested and value.numel():
                shape = tuple(value.shape)
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Tensor | None):
            inner, inner_bytes, _ = _sizes(value)
            scalars, size_bytes = scalars + inner, size_bytes + inner_bytes
    return scalars, size_bytes, shape
