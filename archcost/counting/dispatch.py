"""Counting as torch dispatches: every operator of a call, with the module it runs in.

On meta tensors an operator's result is made from an equal earlier call's: torch's own shape functions are slow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch._C import DispatchKey
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode

from archcost.counting.layouts import row_lengths
from archcost.counting.lifetimes import Lifetimes
from archcost.counting.operators import FLEX, elementwise_rule, known, macs_rule
from archcost.counting.rules.loops import ENTERED, ON_DATA
from archcost.counting.rules.own import Work as OwnWork
from archcost.counting.rules.own import asked, edition, own_rule, replaced
from archcost.counting.rules.rule import Rule
from archcost.counting.shapes import FORMS, Form, Result, form_of, made
from archcost.counting.work import NOTHING, Odd, Work, is_odd, odd_work, own_work, work_of
from archcost.nets.storage import is_wrapper

# fresh by their schema, but they look at their argument's storage, or at data
_VIEWS_IN_DISGUISE: Final = frozenset(
    "_unsafe_view unsafe_split unsafe_split_with_sizes unsafe_chunk _reshape_alias lift_fresh lift alias_copy".split()
)
_ON_DATA: Final = frozenset("_local_scalar_dense item equal is_nonzero nonzero masked_select unique _unique2".split())
_HARMLESS: Final = frozenset(
    {"alpha", "beta", "approximate", "pin_memory"}
)  # keywords that do not change a result's form


# torch's shape functions take what its kernels refuse: values of several types
_ONE_TYPE: Final = frozenset("mm addmm bmm baddbmm addbmm mv addmv dot vdot".split())

_PLAIN: Final = frozenset({Tensor, torch.nn.Parameter, torch.nn.Buffer})
_LISTS: Final = frozenset({list, tuple})
_NUMBERS: Final = frozenset({int, float, bool})


class _Facts(NamedTuple):
    """What is known of an operator before it is called.

    fresh: its results are new storage; writes: it changes an argument; repeats: its result's form follows from its
    arguments' forms; makes: it makes a tensor from none; composite: it has no rule, but consists of others;
    on_data: its result depends on values; deep: it may be given tensors in lists, or by name; own: asks the user's own
    rule, which comes before all others.
    """

    name: str
    macs: Rule | None
    elementwise: Rule | None
    known: bool
    fresh: bool
    writes: bool
    repeats: bool
    in_place: bool
    makes: bool
    composite: bool
    form: Callable[[Sequence[Any]], Result] | None
    on_data: bool = False
    deep: bool = False
    own: Callable[[Sequence[Any], Mapping[str, Any], Any], OwnWork] | None = None


@cache
def _facts(op: Any, _: object) -> _Facts:
    """Return what is known of an operator; the second argument is the edition of the registered rules."""
    space, _, name = op._schema.name.partition("::")
    returns, arguments = op._schema.returns, op._schema.arguments
    fresh = bool(returns) and all(value.alias_info is None for value in returns) and name not in _VIEWS_IN_DISGUISE
    writes = any(a.alias_info is not None and a.alias_info.is_write for a in arguments)
    made = any(a.name == "device" for a in arguments) and not any("Tensor" in str(a.type) for a in arguments)
    aten = space == "aten"
    has_rule = known(op)
    own = replaced(op._schema.name) if has_rule else own_rule(op._schema.name)
    has_rule = has_rule or own is not None
    return _Facts(
        name if aten else op._schema.name,
        macs_rule(op),
        elementwise_rule(op),
        has_rule,
        fresh,
        writes,
        aten and fresh and not writes and name not in _ON_DATA and own is None,
        aten and own is None and writes and name.endswith("_") and torch.Tag.pointwise in op.tags,
        made,
        not has_rule and op.has_kernel_for_dispatch_key(DispatchKey.CompositeImplicitAutograd),
        FORMS.get(name) if aten else None,
        name in _ON_DATA,
        any("Tensor" in str(a.type) and (a.kwarg_only or "List" in str(a.type)) for a in arguments),
        None if own is None else partial(asked, own, op),
    )


@dataclass(slots=True)
class Tally:
    """What one operator did in one module, all its calls together; scalars, and bytes as the tensors are typed."""

    calls: int = 0
    macs: int = 0
    elementwise: int = 0
    read: int = 0
    written: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    shape: tuple[int, ...] = ()
    known: bool = True


_MOST_REMEMBERED: Final = 100_000  # kinds of calls: some 50 MB


@cache
def remembered(_: torch.dtype, __: object = ()) -> dict[Any, tuple[Result, Work]]:
    """Return the results and work of torch's own operators so far, by operator and form of the arguments.

    They follow from those, the default dtype and the edition of the registered rules alone, so what one count has
    learned the next need not.
    """
    return {}


@dataclass(slots=True)
class Calls:
    """What happened in a call of a module: by (module path, operator), in order.

    runs: how often each module ran; on_data: operators whose result depends on values, not only on shapes;
    by_value: those that multiplied what sparse or nested tensors store, and no more; own: those that the user's own
    rules count; entered: those over functions whose bodies ran.
    """

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    on_data: set[str] = field(default_factory=set)
    by_value: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)
    entered: set[str] = field(default_factory=set)


def elsewhere(calls: Calls, path: str) -> None:
    """Note that a part ran in another thread, if no operator is seen: what it did has no count."""
    tally = calls.tallies.setdefault((path, "another thread"), Tally(known=False))
    tally.calls += 1


def macs(calls: Calls) -> int:
    """Return the multiply-accumulates of all calls."""
    return sum(tally.macs for tally in calls.tallies.values())


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's __init_subclass__
    """Counts every operator that passes into `calls`, under the module path on top of `path`.

    place: gives the path instead, where it is set; hollow: the call runs on meta tensors, and what it makes without a
    tensor to go by is made there too; kinds: the classes of the parameters, and of `kept`; used: ids of those an
    operator was given; kept: the names of other tensors that the module holds, by id, until one is read; read: their
    bytes then; recorded: whether an operator ran under autograd.
    """

    def __init__(
        self, lifetimes: Lifetimes, kinds: Collection[type], kept: Mapping[int, str] | None = None, *, hollow: bool
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.kinds = kinds
        self.kept = dict(kept or {})
        self.read: dict[str, int] = {}
        self.calls = Calls()
        self.lifetimes = lifetimes
        self.hollow = hollow
        self.path: list[str] = [""]
        self.place: Callable[[], str] | None = None
        self.used: set[int] = set()
        self.recorded = False
        self._known: dict[int, _Facts] = {}
        self._nothing: dict[Form, Tensor] = {}
        self._edition = edition()
        self._seen = remembered(torch.get_default_dtype(), self._edition)
        if len(self._seen) > _MOST_REMEMBERED:
            self._seen.clear()

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch not to wrap each call against torch.compile, which is off here: it costs as much as the count."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operator, or on meta make its result from an equal earlier one, and count it."""
        if isinstance(func, HigherOrderOperator):
            return self._higher(func, args, kwargs or {})
        facts = self._known.get(id(func)) or self._learned(func)  # by id: its hash is slow
        for value in args:
            if type(value) in self.kinds:
                self.used.add(id(value))
                if self.kept:
                    self._read(value)
        if facts.deep:
            self._used_inside(args, kwargs)
        if types and any(map(is_wrapper, types)) and not row_lengths.padded(facts.name, args):
            if row_lengths.multiplies(facts.name) and any(map(row_lengths.is_nested, args)):
                self.calls.by_value.add(facts.name)
            return NotImplemented  # it says itself which operators on dense tensors it consists of, and these are seen
        if facts.composite and not types and not any(map(row_lengths.is_nested, args)):
            with self:  # whole only because autograd was left (inference mode): run what it consists of
                result = func.decompose(*args, **(kwargs or {}))
            if result is not NotImplemented:
                return result
        if self.hollow:
            if facts.makes:
                kwargs = {**(kwargs or {}), "device": "meta"}
            elif facts.name == "lift_fresh" and args[0].dim():
                return args[0].to("meta")  # a constant of the module's, made while it runs
            if facts.repeats or facts.in_place:
                key = _key(args, needs_tensor=not facts.makes)
                if key is not None and kwargs:
                    more = _key(tuple(kwargs.items()), needs_tensor=False)
                    key = None if more is None else (key, more)
                if key is not None:
                    return self._again(func, facts, (id(func), key), args, kwargs or {})
        result = func(*args, **(kwargs or {}))
        if facts.own or facts.fresh or facts.writes or facts.macs or not facts.known:
            self._done(facts, args, kwargs or {}, result)
        return result

    def _learned(self, func: Any) -> _Facts:
        return self._known.setdefault(id(func), _facts(func, self._edition))

    def _read(self, tensor: Tensor) -> None:
        name = self.kept.pop(id(tensor), "")
        if name and (size_bytes := self.lifetimes.held(tensor)):
            self.read[name] = size_bytes

    def _used_inside(self, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> None:
        for values in (*(value for value in args if type(value) in _LISTS), tuple((kwargs or {}).values())):
            for value in values:
                if type(value) in self.kinds:
                    self.used.add(id(value))
                    self._read(value)

    def _higher(self, func: HigherOrderOperator, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run an operator over functions: its body for each trip, attention by its rule, any other uncounted."""
        self._used_inside((args, *args), kwargs)
        name = str(func.name())  # type: ignore[no-untyped-call]  # torch's
        if name in ENTERED:
            self.calls.entered.add(name)
            if name in ON_DATA:
                self.calls.on_data.add(name)
            with self:
                return ENTERED[name](*args, **kwargs)
        result = func(*args, **kwargs)
        rule = FLEX.get(name)
        facts = _Facts(name, None, None, rule is not None, True, False, False, False, False, False, None)
        work = work_of(facts, args, result)
        if rule is not None:
            macs_of, elementwise = rule(args)
            work = work._replace(macs=macs_of, elementwise=elementwise)
        self._note(facts, result, work)
        return result

    def _again(self, func: Any, facts: _Facts, key: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        seen = self._seen.get(key)
        if seen is None:
            form = None if facts.in_place else self._form(func, facts, args, kwargs)
            result = args[0] if facts.in_place else made(form)
            work = work_of(facts, args, result)
            self._seen[key] = (form, work)
        else:
            form, work = seen
            result = args[0] if facts.in_place else made(form, None if torch.is_grad_enabled() else self._nothing)
        self._note(facts, result, work)
        return result

    def _form(self, func: Any, facts: _Facts, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Result:
        plain = all(key in _HARMLESS or value is torch.preserve_format for key, value in kwargs.items())
        form = facts.form(args) if facts.form and plain else None
        if form is None and facts.name in _ONE_TYPE and len({a.dtype for a in args if isinstance(a, Tensor)}) > 1:
            raise TypeError(f"{facts.name} of several types: on data torch says what it makes of them")
        return form_of(func(*args, **kwargs)) if form is None else form

    def _done(self, facts: _Facts, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """Note what an operator that ran did, on tensors of any layout."""
        if facts.own is not None:
            self.calls.own.add(facts.name)
            self._note(facts, result, own_work(facts.own(args, kwargs, result), args, result))
        elif is_odd(args) or is_odd((result,)):
            did: Odd = odd_work(facts, args, result)
            if did.by_value:
                self.calls.by_value.add(facts.name)
            self._note(facts._replace(known=did.known), result, did.work)
        else:
            self._note(facts, result, work_of(facts, args, result))

    def _note(self, facts: _Facts, result: Any, work: Work) -> None:
        if work is NOTHING and facts.known:
            return
        self.recorded = self.recorded or torch.is_grad_enabled()
        key = (self.path[-1] if self.place is None else self.place(), facts.name)
        tally = self.calls.tallies.get(key)
        if tally is None or tally.known is not facts.known:
            tally = self.calls.tallies[key] = tally or Tally()
            tally.known = facts.known
        if facts.on_data and not row_lengths.asked_by_torch():
            self.calls.on_data.add(facts.name)
        macs_of, elementwise, read, written, read_bytes, written_bytes, shape = work
        tally.calls += 1
        tally.macs += macs_of
        tally.elementwise += elementwise
        tally.read += read
        tally.written += written
        tally.read_bytes += read_bytes
        tally.written_bytes += written_bytes
        if written:
            tally.shape = shape
            if facts.fresh:
                for value in result if isinstance(result, tuple | list) else (result,):
                    if isinstance(value, Tensor) and value.numel():
                        self.lifetimes.born(value)


def _key(values: Sequence[Any], *, needs_tensor: bool = True) -> Any:
    """Return what calls of equal form share, or None if a tensor holds data, or there is none and one is needed."""
    parts: list[Any] = []
    hollow = not needs_tensor
    for value in values:
        kind = type(value)
        if kind in _PLAIN:
            if not value.is_meta:
                return None
            hollow = True
            parts.append((value.shape, value.stride(), value.dtype))
        elif kind is list or kind is tuple:
            if value and (value[0] is None or isinstance(value[0], Tensor)):  # index takes [None, tensor]
                inner = _key(value)
                if inner is None:
                    return None
                hollow = True
                parts.append(inner)
            else:
                parts.append(tuple(value))
        elif kind in _NUMBERS:  # 1, 1.0 and True are equal, and not the same to an operator
            parts.append((kind, value))
        elif isinstance(value, Tensor):
            return None
        else:
            parts.append(value)
    return tuple(parts) if hollow else None
