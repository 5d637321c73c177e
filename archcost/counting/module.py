"""What any torch module costs for a call of it, counted below autograd.

What could not be counted is said.

The module, and torch's settings, are left as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Final, TypeAlias

import torch
from torch import Tensor

from archcost.counting import passes
from archcost.counting.dispatch import Calls, Tally, macs
from archcost.counting.parameters import Weights, weights_of
from archcost.counting.passes import Pass, TrainingPass
from archcost.counting.rows import Placed, by_path, digest, placed
from archcost.counting.weight_sizes import quantised
from archcost.counting.witnesses.witness import Uncounted
from archcost.errors import named, one_line
from archcost.graph.account import Account, Layer, Trained, Training
from archcost.graph.cost import Cost, listed
from archcost.graph.dtypes import BYTES, FLOATING, INT8, unquantised
from archcost.graph.weight_sizes import SAVED_BYTES
from archcost.nets import copies
from archcost.nets.call import Call
from archcost.nets.calls.autograd import Autograd
from archcost.nets.calls.contents import tensors_in
from archcost.nets.dtypes import TORCH, name_of

TERMINATED: Final = 143  # the exit of a signal, which is not the module's own

CallAt: TypeAlias = Callable[[int], Call]
"""Gives the call at a batch."""


@dataclass(frozen=True)
class Module:
    """A torch module that was counted for one call: what Model is for a network of a family.

    root: the module's class; input: the call's tensors; coverage: the share of the operators' calls that have a rule;
    notes: what a reader of the counts has to know; call_at: the call at a batch, to count or measure it again;
    own: operators counted by the user's own rules, which no witness knows, and their MACs; entered: those over
    functions whose bodies ran; autograd: what the call
    needs of it.
    """

    name: str
    root: str
    input: object
    cost: Cost
    digest: str
    weights: Weights
    uncounted: tuple[Uncounted, ...]
    coverage: float
    by_value: frozenset[str]
    accounts: tuple[Account, ...]
    notes: tuple[str, ...]
    call_at: CallAt
    own: Mapping[str, int] = field(default_factory=dict)
    entered: frozenset[str] = frozenset()
    autograd: Autograd = "off"

    family: ClassVar[str] = "module"
    steps: ClassVar[None] = None
    graph: ClassVar[None] = None  # code has none
    yaml: ClassVar[None] = None


def own_dtype(call: Call) -> str:
    """Return the floating type that most of a module's weights are of, or its inputs; float32 if there are none."""
    sizes: dict[str, int] = {}
    for tensor in [*copies.tensors(call.module)] or tensors_in((call.args, call.kwargs)):
        name = name_of(tensor.dtype)
        if name in FLOATING:
            sizes[name] = sizes.get(name, 0) + (1 if copies.is_lazy(tensor) else tensor.numel())
    return max(sizes, key=lambda name: sizes[name]) if sizes else "float32"


def counted(name: str, call_at: CallAt, settings: Sequence[tuple[int, str]], own: str) -> Module:
    """Return what a module costs, with an account for each (batch, dtype); `own`: the dtype in which it is not cast.

    MACs are those of the call at batch 1. Raises what the module itself raises if it cannot take its input.
    """
    given = call_at(1)
    call = passes.settled(given)
    first = passes.forward(call)
    weights = weights_of(call.module, first.used, given.module, first.kept)
    rows = placed(call.module, first.calls, weights)
    accounts = _Accounts(call, call_at, first, rows, weights, own)
    calls = sum(tally.calls for tally in first.calls.tallies.values())
    unknown = _unknown(first.calls)
    return Module(
        name,
        type(call.module).__name__,
        described(call),
        listed(tuple(placed.row for placed in rows)),
        digest(rows),
        weights,
        unknown,
        1 - sum(op.calls for op in unknown) / calls if calls else 1.0,
        frozenset(first.calls.by_value),
        tuple(accounts.at(batch, dtype) for batch, dtype in settings),
        tuple(_notes(first, weights, unknown)),
        call_at,
        _own(first.calls),
        frozenset(first.calls.entered),
        first.autograd,
    )


def described(call: Call) -> object:
    """Return the call's tensors as JSON holds them: the shape of a single image, else a list of shapes and types."""
    tensors = tensors_in((call.args, call.kwargs))
    if len(tensors) == 1 and tensors[0].is_floating_point() and not tensors[0].is_nested:
        return list(tensors[0].shape)
    return [{"shape": _shape(t), "dtype": name_of(t.dtype)} for t in tensors]


def _shape(tensor: Tensor) -> list[int] | str:
    return "nested" if tensor.is_nested else list(tensor.shape)


@dataclass(frozen=True)
class _Accounts:
    """What the accounts of one module are made from."""

    call: Call
    call_at: CallAt
    first: Pass
    rows: tuple[Placed, ...]
    weights: Weights
    own: str

    def at(self, batch: int, dtype: str) -> Account:
        """Return the account at a batch and dtype; in its own dtype a module runs as it is, to another it is cast.

        At int8 its weights have their own sizes; its values count as float32, as a runtime chooses those of 8 bits.
        """
        floating = unquantised(dtype)
        cast = None if floating == self.own else TORCH[floating]
        call = self.call if batch == 1 else passes.settled(self.call_at(batch))
        seen = self.first if batch == 1 and cast is None else passes.forward(call, cast)
        weights_bytes = self.weights.cast_bytes(BYTES[floating], BYTES[self.own])
        if dtype == INT8:
            weights_bytes -= SAVED_BYTES * quantised(self.call.module, self.first.calls)
        return Account(
            batch,
            dtype,
            weights_bytes,
            sum(tally.written_bytes for tally in seen.calls.tallies.values()),
            weights_bytes + seen.peak_bytes,
            lambda: tuple(self._layers(seen.calls)),
            (lambda: self._trained(call, batch, cast, weights_bytes)) if dtype != INT8 else self._unsized,
            macs(seen.calls),
        )

    def _layers(self, calls: Calls) -> Iterator[Layer]:
        for path, op, row in self.rows:
            tally = calls.tallies.get((path, op), Tally())
            yield Layer(
                *(row.name, row.op, row.group, row.column, row.shape, row.params, row.macs, row.elementwise),
                *(tally.read_bytes, tally.written_bytes, row.runs, None),
            )

    @cached_property
    def _step(self) -> tuple[TrainingPass | None, int, str]:
        """The training step and the number of examples it was counted with, else why there is none.

        A batch norm over one value a channel needs two examples.
        """
        try:
            return passes.training(self.call), 1, ""
        except (Exception, SystemExit) as error:  # the module's own: it cannot train, which its count must survive
            if isinstance(error, SystemExit) and error.code == TERMINATED:
                raise
            why = one_line(named(error), 200)
        try:
            return passes.training(passes.settled(self.call_at(2))), 2, ""
        except (Exception, SystemExit):  # as above; the first reason is the one to tell
            return None, 1, why

    def _unsized(self) -> Trained:
        """Return the training step without its bytes: nothing is trained in 8 bits."""
        step, why, behind = self._trained(self.call, 1, None, 0)
        return Trained(step and replace(step, saved_bytes=None, peak_bytes=None), why, behind)

    def _trained(self, call: Call, batch: int, cast: torch.dtype | None, weights_bytes: int) -> Trained:
        seen, examples, why = self._step
        if seen is None:
            return Trained(None, why)
        behind = self._behind(seen.backward, examples)
        step = Training(macs(seen.forward) // examples, macs(seen.backward) // examples)
        if batch != examples or cast is not None:
            try:
                seen = passes.training(call, cast)
            except Exception:  # cannot train at this batch: the counts are known, the bytes are not
                return Trained(step, "", behind)
        kept = replace(step, saved_bytes=seen.saved_bytes, peak_bytes=weights_bytes + seen.peak_bytes)
        return Trained(kept, "", behind)

    def _behind(self, calls: Calls, examples: int) -> tuple[int, ...]:
        """Return what each part multiplies backward, in the first of its rows that multiplies forward."""
        left = by_path(calls)
        return tuple(left.pop(path, 0) // examples if row.macs else 0 for path, _, row in self.rows)


def _own(calls: Calls) -> dict[str, int]:
    """Return the operators that the user's own rules count, with the MACs of all their calls."""
    sums = dict.fromkeys(sorted(calls.own), 0)
    for (_, op), tally in calls.tallies.items():
        if op in sums:
            sums[op] += tally.macs
    return sums


def _unknown(calls: Calls) -> tuple[Uncounted, ...]:
    sums: dict[str, int] = {}
    for (_, op), tally in calls.tallies.items():
        if not tally.known:
            sums[op] = sums.get(op, 0) + tally.calls
    return tuple(Uncounted(op, calls) for op, calls in sums.items())


def _notes(first: Pass, weights: Weights, unknown: Sequence[Uncounted]) -> list[str]:
    found = []
    if unknown:
        ops = ", ".join(f"{op} ({calls})" for op, calls in unknown)
        found.append(f"no rule for {ops}: what they multiply is not in the count")
    if first.calls.on_data:
        found.append(
            f"its course may depend on values ({', '.join(sorted(first.calls.on_data))}): counted for the given input"
        )
    elif first.real_because:
        found.append(f"counted on real tensors; {first.real_because}")
    if weights.unread:
        names = ", ".join(weights.unread_names[:3]) + (", ..." if len(weights.unread_names) > 3 else "")
        found.append(f"{weights.unread} parameters are not read by this call: {names}")
    return found
