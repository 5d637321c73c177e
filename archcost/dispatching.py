"""Counting as torch dispatches: every operator of a call passes here, below autograd, with the module it runs in.

On meta tensors an operator's result is made from an equal earlier call's: torch's own shape functions are slow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from archcost.lifetimes import Lifetimes
from archcost.operators import Rule, elementwise_rule, known, macs_rule
from archcost.shapes import FORMS, Result, form_of, made

# fresh by their schema, but they look at their argument's storage, or at data
_VIEWS_IN_DISGUISE: Final = frozenset(
    "_unsafe_view unsafe_split unsafe_split_with_sizes unsafe_chunk _reshape_alias lift_fresh lift alias_copy".split()
)
_ON_DATA: Final = frozenset("_local_scalar_dense item equal is_nonzero nonzero masked_select unique _unique2".split())
_HARMLESS: Final = frozenset({"alpha", "beta", "approximate"})  # keywords that do not change a result's form


class _Facts(NamedTuple):
    """What is known of an operator before it is called."""

    name: str
    macs: Rule | None
    elementwise: Rule | None
    known: bool
    moves: bool
    repeats: bool
    in_place: bool
    makes: bool
    form: Callable[[Sequence[Any]], Result] | None


def _facts(op: Any) -> _Facts:
    space, _, name = op._schema.name.partition("::")
    returns, arguments = op._schema.returns, op._schema.arguments
    fresh = bool(returns) and all(value.alias_info is None for value in returns) and name not in _VIEWS_IN_DISGUISE
    writes = any(a.alias_info is not None and a.alias_info.is_write for a in arguments)
    in_place = writes and name.endswith("_") and torch.Tag.pointwise in op.tags
    aten = space == "aten"
    return _Facts(
        name if aten else op._schema.name,
        macs_rule(op),
        elementwise_rule(op),
        known(op),
        fresh or writes,
        aten and fresh and not writes and name not in _ON_DATA,
        aten and in_place,
        any(a.name == "device" for a in arguments) and not any("Tensor" in str(a.type) for a in arguments),
        FORMS.get(name) if aten else None,
    )


@dataclass(slots=True)
class Tally:
    """What one operator did in one module, all its calls together; scalars, and bytes as the tensors are typed."""

    calls: int = 0
    macs: int = 0
    elementwise: int = 0
    read: int = 0
    tokens: int = 0
    stored: int = 0
    written: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    shape: tuple[int, ...] = ()
    known: bool = True


@dataclass(slots=True)
class Calls:
    """What happened in a call of a module: by (module path, operator), in order.

    runs: how often each module ran; on_data: operators whose result depends on values, not only on shapes.
    """

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    on_data: set[str] = field(default_factory=set)


def macs(calls: Calls) -> int:
    """Return the multiply-accumulates of all calls."""
    return sum(tally.macs for tally in calls.tallies.values())


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's __init_subclass__
    """Counts every operator that passes into `calls`, under the module path on top of `path`.

    hollow: the call runs on meta tensors, and what it makes without a tensor to go by is made there too.
    """

    def __init__(self, lifetimes: Lifetimes, *, hollow: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.calls = Calls()
        self.lifetimes = lifetimes
        self.hollow = hollow
        self.path: list[str] = [""]
        self.place: Callable[[], str] = lambda: self.path[-1]
        self._facts: dict[Any, _Facts] = {}
        self._seen: dict[Any, tuple[Result, int, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operator, or on meta make its result from an equal earlier one, and count it."""
        facts = self._facts.get(func)
        if facts is None:
            facts = self._facts[func] = _facts(func)
        if facts.repeats or facts.in_place:
            key = _key(args)
            if key is not None and kwargs:
                more = _key(tuple(kwargs.items()), tensors=False)
                key = None if more is None else (key, more)
            if key is not None:
                return self._again(func, facts, (func, key), args, kwargs or {})
        if self.hollow and facts.makes:
            kwargs = {**(kwargs or {}), "device": "meta"}
        elif self.hollow and facts.name == "lift_fresh" and args[0].dim():
            return args[0].to("meta")  # a constant of the module's, made while it runs
        result = func(*args, **(kwargs or {}))
        if facts.moves or facts.macs or not facts.known:
            self._note(facts, args, result, *_work(facts, args, result))
        return result

    def _again(self, func: Any, facts: _Facts, key: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        known_work = self._seen.get(key)
        if known_work is None:
            result = args[0] if facts.in_place else self._asked(func, facts, args, kwargs)
            work = _work(facts, args, result)
            self._seen[key] = (form_of(result), *work)
        else:
            form, *work_of = known_work
            result = args[0] if facts.in_place else made(form)
            work = (work_of[0], work_of[1])
        self._note(facts, args, result, *work)
        return result

    def _asked(self, func: Any, facts: _Facts, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        form = facts.form(args) if facts.form and kwargs.keys() <= _HARMLESS else None
        return func(*args, **kwargs) if form is None else made(form)

    def _note(self, facts: _Facts, args: Sequence[Any], result: Any, macs: int, elementwise: int) -> None:
        key = (self.place(), facts.name)
        tally = self.calls.tallies.get(key)
        if tally is None:
            tally = self.calls.tallies[key] = Tally(known=facts.known)
            if facts.name in _ON_DATA:
                self.calls.on_data.add(facts.name)
        tally.calls += 1
        tally.macs += macs
        tally.elementwise += elementwise
        for value in args:
            if isinstance(value, Tensor):
                self._read(tally, value)
            elif isinstance(value, list):
                for part in value:
                    if isinstance(part, Tensor):
                        self._read(tally, part)
        if isinstance(result, Tensor):
            self._wrote(tally, result)
        elif isinstance(result, tuple | list):
            for part in result:
                if isinstance(part, Tensor):
                    self._wrote(tally, part)

    def _read(self, tally: Tally, value: Tensor) -> None:
        size = value.numel()
        tally.read_bytes += size * value.element_size()
        if self.lifetimes.is_weight(value):
            tally.stored += size
        elif value.dtype is torch.int64:
            tally.tokens += size
        else:
            tally.read += size

    def _wrote(self, tally: Tally, value: Tensor) -> None:
        self.lifetimes.born(value)
        size = value.numel()
        if size:
            tally.shape = value.shape
            tally.written += size
            tally.written_bytes += size * value.element_size()


def _work(facts: _Facts, args: Sequence[Any], result: Any) -> tuple[int, int]:
    return (
        facts.macs(args, result) if facts.macs else 0,
        facts.elementwise(args, result) if facts.elementwise else 0,
    )


def _key(values: Sequence[Any], *, tensors: bool = True) -> Any:
    """Return what calls of equal form share, or None where one holds data, or nothing that holds none."""
    parts: list[Any] = []
    hollow = not tensors
    for value in values:
        if isinstance(value, Tensor):
            if not value.is_meta or type(value) not in _PLAIN:
                return None
            hollow = True
            parts.append((value.shape, value.stride(), value.dtype))
        elif isinstance(value, list | tuple):
            inner = _key(value) if value and isinstance(value[0], Tensor) else tuple(value)
            if inner is None or any(isinstance(v, Tensor) and not v.is_meta for v in value):
                return None
            hollow = hollow or bool(value and isinstance(value[0], Tensor))
            parts.append(inner)
        else:
            parts.append((type(value), value) if isinstance(value, int | float) else value)
    return tuple(parts) if hollow else None


_PLAIN: Final = frozenset({Tensor, torch.nn.Parameter, torch.nn.Buffer})
