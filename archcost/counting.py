"""What any torch module costs for a call of it: counted below autograd, operator by operator.

What could not be counted is said.

The module, and torch's settings, are left as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import torch

from archcost import copies, passes, tabulating
from archcost.account import Account, Layer, Training
from archcost.cost import BYTES, Cost, listed
from archcost.dispatching import Calls, Tally, macs
from archcost.passes import Call, Pass, TrainingPass
from archcost.tabulating import Placed
from archcost.weights import Weights, lazy_names, weights_of

DTYPES: Final = {name: getattr(torch, name) for name in BYTES}

CallAt: TypeAlias = Callable[[int], Call]
"""Gives the call at a batch."""


class Uncounted(NamedTuple):
    """An operator without a rule: its multiply-accumulates, if it has any, are in no count."""

    op: str
    calls: int


@dataclass(frozen=True)
class Module:
    """A torch module that was counted for one call: what Model is for a network of a family.

    root: the module's class; input: the call's tensors; coverage: the share of the operators' calls that have a rule;
    notes: what a reader of the counts has to know; call_at: the call at a batch, to count or measure it again.
    """

    name: str
    root: str
    input: object
    cost: Cost
    digest: str
    weights: Weights
    uncounted: tuple[Uncounted, ...]
    coverage: float
    accounts: tuple[Account, ...]
    notes: tuple[str, ...]
    call_at: CallAt
    family: str = "module"
    steps: int | None = None


def own_dtype(call: Call) -> str:
    """Return the floating type that most of a module's weights are of, or its inputs; float32 where there are none."""
    sizes: dict[str, int] = {}
    for tensor in [*copies.tensors(call.module)] or passes.found((call.args, call.kwargs)):
        name = str(tensor.dtype).removeprefix("torch.")
        if name in BYTES:
            sizes[name] = sizes.get(name, 0) + (1 if copies.is_lazy(tensor) else tensor.numel())
    return max(sizes, key=lambda name: sizes[name]) if sizes else "float32"


def counted(name: str, call_at: CallAt, settings: Sequence[tuple[int, str]]) -> Module:
    """Return what a module costs, with an account for each (batch, dtype).

    MACs are those of the call at batch 1. Raises what the module itself raises where it cannot take its input.
    """
    given = call_at(1)
    call = passes.settled(given)
    first = passes.forward(call)
    weights = weights_of(call.module, first.used, lazy_names(given.module))
    rows = tabulating.placed(call.module, first.calls, weights)
    trained, why = _trained(call, call_at)
    accounts = _Accounts(call, call_at, first, trained, rows, weights)
    calls = sum(tally.calls for tally in first.calls.tallies.values())
    unknown = _unknown(first.calls)
    return Module(
        name,
        type(call.module).__name__,
        described(call),
        listed(tuple(placed.row for placed in rows)),
        tabulating.digest(rows),
        weights,
        unknown,
        1 - sum(op.calls for op in unknown) / calls if calls else 1.0,
        tuple(accounts.at(batch, dtype) for batch, dtype in settings),
        tuple(_notes(first, weights, unknown, why)),
        call_at,
    )


def described(call: Call) -> object:
    """Return the call's tensors as JSON holds them: the shape of a single image, else a list of shapes and types."""
    tensors = passes.found((call.args, call.kwargs))
    if len(tensors) == 1 and tensors[0].is_floating_point():
        return list(tensors[0].shape)
    return [{"shape": list(t.shape), "dtype": str(t.dtype).removeprefix("torch.")} for t in tensors]


class _Step(NamedTuple):
    """A training step and the number of examples it was counted with."""

    seen: TrainingPass
    examples: int


def _trained(call: Call, call_at: CallAt) -> tuple[_Step | None, str]:
    """Return the training step, else why there is none; a batch norm over one value a channel needs two examples."""
    try:
        return _Step(passes.training(call), 1), ""
    except Exception as error:  # the module's own: it cannot train on this call, which its count must survive
        why = passes.reason(error)
    try:
        return _Step(passes.training(call_at(2)), 2), ""
    except Exception:  # as above; the first reason is the one to tell
        return None, why


class _Accounts(NamedTuple):
    """What the accounts of one module are made from."""

    call: Call
    call_at: CallAt
    first: Pass
    step: _Step | None
    rows: tuple[Placed, ...]
    weights: Weights

    def at(self, batch: int, dtype: str) -> Account:
        """Return the account at a batch and dtype; in its own dtype a module runs as it is, to another it is cast."""
        own = own_dtype(self.call)
        cast = None if dtype == own else DTYPES[dtype]
        call = self.call if batch == 1 else passes.settled(self.call_at(batch))
        seen = self.first if batch == 1 and cast is None else passes.forward(call, cast)
        weights_bytes = self.weights.cast_bytes(BYTES[dtype], BYTES[own])
        return Account(
            batch,
            dtype,
            weights_bytes,
            sum(tally.written_bytes for tally in seen.calls.tallies.values()),
            weights_bytes + seen.peak_bytes,
            tuple(self._layers(seen.calls)),
            self._training(call, batch, cast, weights_bytes),
        )

    def _training(self, call: Call, batch: int, cast: torch.dtype | None, weights_bytes: int) -> Training | None:
        if self.step is None:
            return None
        seen, examples = self.step
        counts = (macs(seen.forward) // examples, macs(seen.backward) // examples)
        if batch != examples or cast is not None:
            try:
                seen = passes.training(call, cast)
            except Exception:  # cannot train at this batch: the counts are known, the bytes are not
                return Training(*counts)
        return Training(*counts, seen.saved_bytes, weights_bytes + seen.peak_bytes)

    def _layers(self, calls: Calls) -> list[Layer]:
        """Return the rows with bytes, and what a part multiplies backward in the first of its rows that multiplies."""
        left = tabulating.by_path(self.step.seen.backward) if self.step else {}
        layers = []
        for path, op, row in self.rows:
            tally = calls.tallies.get((path, op), Tally())
            behind = left.pop(path, 0) // self.step.examples if self.step and row.macs else 0
            layers.append(
                Layer(
                    *(row.name, row.op, row.group, row.column, row.shape, row.params, row.macs, row.elementwise),
                    *(tally.read_bytes, tally.written_bytes, row.runs, behind if self.step else None),
                )
            )
        return layers


def _unknown(calls: Calls) -> tuple[Uncounted, ...]:
    sums: dict[str, int] = {}
    for (_, op), tally in calls.tallies.items():
        if not tally.known:
            sums[op] = sums.get(op, 0) + tally.calls
    return tuple(Uncounted(op, calls) for op, calls in sums.items())


def _notes(first: Pass, weights: Weights, unknown: Sequence[Uncounted], why: str) -> list[str]:
    found = []
    if unknown:
        ops = ", ".join(f"{op} ({calls})" for op, calls in unknown)
        found.append(f"no rule for {ops}: what they multiply is not in the count")
    if first.calls.on_data:
        found.append(
            f"its course may depend on values ({', '.join(sorted(first.calls.on_data))}): counted for the given input"
        )
    elif first.real_because:
        found.append(f"counted on real tensors; on meta: {first.real_because}")
    if weights.unread:
        names = ", ".join(weights.unread_names[:3]) + (", ..." if len(weights.unread_names) > 3 else "")
        found.append(f"{weights.unread} parameters are not read by this call: {names}")
    if why:
        found.append(f"training is not counted: {why}")
    return found
