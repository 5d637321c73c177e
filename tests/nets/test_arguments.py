"""Arguments of any kind are what they were after counts, witnesses and latencies, also if a call changes them."""

from __future__ import annotations

import collections
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import archcost
from archcost.counting import passes
from archcost.errors import InputError, TargetError
from archcost.latency.runtimes import copied
from archcost.nets import copies
from archcost.nets.calls.arguments import arguments
from archcost.nets.calls.contents import has_objects, held, tensors_in


class Does(nn.Module):
    """Does something with its arguments, and returns a linear layer of the tensor that gives."""

    def __init__(self, first: Callable[..., Tensor]) -> None:
        super().__init__()
        self.first, self.linear = first, nn.Linear(8, 4)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Whatever `first` takes -> (B, 4)."""
        y: Tensor = self.linear(self.first(*args, **kwargs))
        return y


class Cache:
    """Keys and values of a decoder, longer with every call."""

    def __init__(self, width: int = 8) -> None:
        self.k, self.v = torch.zeros(1, 7, width), torch.zeros(1, 7, width)

    def add(self, k: Tensor, v: Tensor) -> Tensor:
        """k, v: (1, 1, W) -> the keys so far (1, T, W)."""
        self.k, self.v = torch.cat([self.k, k], 1), torch.cat([self.v, v], 1)
        return self.k


class Slots:
    """Has no dictionary; one of its names is its own."""

    __slots__ = ("__own", "a")

    def __init__(self) -> None:
        self.a, self.__own = torch.ones(8), torch.ones(8)

    def grow(self) -> Tensor:
        """Return the first after both were changed."""
        self.__own = torch.cat([self.__own, self.__own])
        return self.a.add_(1)


class Nest:
    """Holds itself, a lock, and tensors deep inside."""

    def __init__(self) -> None:
        self.inside = {"rows": [SimpleNamespace(x=torch.zeros(1, 8))]}
        self.own, self.lock, self.calls = self, threading.Lock(), 0
        self.last: collections.deque[Tensor] = collections.deque([torch.zeros(8)], maxlen=5)

    def add(self, x: Tensor) -> Tensor:
        """x: (B, 8) -> all rows so far."""
        with self.lock:
            row = self.inside["rows"][0]
            row.x = torch.cat([row.x, x])
            self.calls += 1
            self.last.append(x[0])
            self.own.new = x  # type: ignore[attr-defined]  # an attribute that it did not have
        made: Tensor = row.x
        return made


@dataclass
class Rows:
    """A dataclass that is written to."""

    x: Tensor = field(default_factory=lambda: torch.ones(8))
    seen: list[Tensor] = field(default_factory=list)


class Pair(NamedTuple):
    """Cannot be assigned to, but what is in it can be changed."""

    rows: list[Tensor]
    scale: Tensor


class Output(collections.OrderedDict[str, Tensor]):
    """A mapping whose attributes are its items, as model outputs are."""

    def __setattr__(self, key: str, value: Tensor) -> None:
        super().__setattr__(key, value)
        self[key] = value


def _rows(x: Tensor, rows: Rows) -> Tensor:
    rows.x = torch.cat([rows.x, rows.x])
    rows.seen.append(x)
    return x


def _pair(x: Tensor, pair: Pair) -> Tensor:
    pair.rows.append(x)
    return x * pair.scale.mul_(2).sum()


def _dict(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    state["x"] = torch.cat([state["x"], x])
    return state["x"]


def _list(x: Tensor, past: list[Tensor]) -> Tensor:
    past.append(x)
    return torch.cat(past)


def _output(x: Tensor, output: Output) -> Tensor:
    output.k = torch.cat([output["k"], x])
    return output["k"]


def _array(x: Tensor, array: Any) -> Tensor:
    array += 1
    return x


def _drawn(x: Tensor, draw: random.Random) -> Tensor:
    return x * draw.random()


def _output_of() -> Output:
    made = Output()
    made.k = torch.ones(2, 8)
    return made


CALLS: dict[str, tuple[Callable[..., Tensor], Callable[[], object], int]] = {
    "cache": (lambda x, cache: cache.add(x[None, :1], x[None, :1]), Cache, 8 * 32),
    "slots": (lambda x, slots: x * slots.grow(), Slots, 5 * 32),
    "nest with a lock and a circle": (lambda x, nest: nest.add(x), Nest, 6 * 32),
    "dataclass": (_rows, Rows, 5 * 32),
    "named tuple": (_pair, lambda: Pair([], torch.ones(3)), 5 * 32),
    "dict": (_dict, lambda: {"x": torch.ones(2, 8)}, 7 * 32),
    "list": (_list, lambda: [torch.ones(2, 8)], 7 * 32),
    "model output": (_output, _output_of, 7 * 32),
    "namespace": (lambda x, s: x * s.scale.add_(1), lambda: SimpleNamespace(scale=torch.ones(8)), 5 * 32),
    "tensor in tuples": (lambda x, deep: x * deep[0][1].mul_(2), lambda: ((1, torch.ones(8)), None), 5 * 32),
    "numpy": (_array, lambda: np.ones(8), 5 * 32),
    "random numbers": (_drawn, lambda: random.Random(3), 5 * 32),
    "iterator": (lambda x, values: x * next(values), lambda: iter([torch.ones(8)]), 5 * 32),
    "distribution": (lambda x, d: x * d.loc.add_(1), lambda: torch.distributions.Normal(torch.ones(8), 1.0), 5 * 32),
}


def facts(value: object) -> tuple[object, ...]:
    """Return all that a call could change: which tensors there are, their values, numbers and lengths."""
    values = [tensor.detach().clone().tolist() for tensor in tensors_in(value)]
    numbers = [part.tolist() for part in (value if isinstance(value, tuple) else ()) if isinstance(part, np.ndarray)]
    drawn = [part.getstate() for part in (value if isinstance(value, tuple) else ()) if isinstance(part, random.Random)]
    return held(value), values, numbers, drawn


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize("named", [False, True])
def test_arguments_are_what_they_were(case: str, named: bool) -> None:
    """A profile counts the call's first time for every engine, and every sample is one too; nothing is left behind."""
    first, make, macs = CALLS[case]
    x, given = torch.ones(5, 8), make()
    before = facts((x, given))
    inputs = (lambda: {"x": x, "given": given}) if named else (lambda: (x, given))

    def call(x: Tensor, given: object) -> Tensor:
        return first(x, given)

    found = archcost.profile(Does(call), inputs(), target="cpu", threads=1, time=0.02)
    assert before == facts((x, given))
    assert (macs, True, ()) == (found.macs, found.agree, found.failures)
    archcost.measure(Does(call), inputs(), target="fake", threads=1)
    assert before == facts((x, given))


def test_every_sample_sees_the_same_length() -> None:
    """A cache that grows with every call has the length it was given in all of them, as plain lists have."""
    for make in (Cache, lambda: [torch.zeros(1, 7, 8)]):
        lengths: list[int] = []

        def step(x: Tensor, cache: Any) -> Tensor:
            if isinstance(cache, list):
                cache[0] = torch.cat([cache[0], x[None, :1]], 1)
            k = cache[0] if isinstance(cache, list) else cache.add(x[None, :1], x[None, :1])
            lengths.append(k.shape[1])  # noqa: B023  # this round's
            return k  # type: ignore[no-any-return]  # of either

        archcost.measure(Does(step), (torch.ones(1, 8), make()), time=0.02, threads=1)
        assert len(lengths) > 4  # the count, two calls of the warm-up, and samples
        assert {8} == set(lengths)


def test_a_tensor_that_is_written_to_is_new_for_every_call() -> None:
    """Doubled in every call, it would be infinite after a thousand."""
    seen: list[float] = []

    def doubled(x: Tensor) -> Tensor:
        seen.append(float(x.mul_(2)[0, 0]))
        return x

    archcost.measure(Does(doubled), torch.ones(5, 8), time=0.02, threads=1)
    assert {2.0} == set(seen)


def test_plain_tensors_are_not_copied_again() -> None:
    """If no call changes them, a copy's samples have the very same arguments, and short calls are timed in rows."""
    seen: set[int] = set()

    def noted(x: Tensor) -> Tensor:
        if not x.is_meta:
            seen.add(x.data_ptr())
        return x

    module = Does(noted)
    archcost.profile(module, torch.ones(5, 8), latency=False, witness=False)
    before = set(seen)
    found = archcost.profile(module, torch.ones(5, 8), runtime="eager", time=0.02, threads=1, witness=False)
    (row,) = found.latencies
    assert 1 <= len(seen - before) <= row.copies + 1 < row.samples  # that of the warm-up is another one


FREE_BYTES = 80_000_000


class Large:
    """An object that takes more than a tenth of the free memory; nothing is written to it."""

    def __init__(self) -> None:
        self.rows = torch.empty(FREE_BYTES // 8, dtype=torch.uint8)


def test_a_copy_of_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """On meta the call is counted; what would copy the object's data says that it will not, with both sizes."""
    for owner in (copied, passes):
        monkeypatch.setattr(owner, "available_memory_bytes", lambda: FREE_BYTES)
    x, large = torch.ones(5, 8), Large()
    module = Does(lambda x, large: x * large.rows.shape[0])
    with pytest.raises(TargetError, match=r"a copy of the arguments takes .*B, more than a tenth of the .*B of memory"):
        archcost.measure(module, (x, large), time=0.01, threads=1)
    found = archcost.profile(module, (x, large), latency=False)
    assert (160, None) == (found.macs, found.agree)
    assert "more than a tenth" in found.witness.fvcore.why  # type: ignore[union-attr, operator]  # it was asked
    on_data = Does(lambda x, large: x * large.rows.shape[0] if x.sum() > 0 else x)
    with pytest.raises(InputError, match="more than a tenth"):
        archcost.profile(on_data, (x, large), latency=False)


@pytest.mark.parametrize("named", [False, True])
def test_what_can_be_read_once_is_refused(named: bool) -> None:
    """A generator is empty after the first count: it is refused, by its place, and is not read."""
    values = (value for value in [torch.ones(8)])
    x = torch.ones(5, 8)
    given: Any = {"x": x, "values": values} if named else (x, values)
    where = "'values'" if named else "2"
    with pytest.raises(
        InputError, match=f"argument {where} \\(generator\\) cannot be copied, and a call may change it"
    ):
        archcost.profile(Does(lambda x, values: x * next(values)), given, latency=False)
    assert torch.equal(torch.ones(8), next(values))


def test_an_argument_may_be_a_part_of_the_module() -> None:
    """It is the part's copy that runs: its operators have its path, its parameters are read."""
    module = Does(lambda x, part: part(x))
    module.part = nn.Linear(8, 8)
    found = archcost.profile(module, (torch.ones(5, 8), module.part), threads=1, time=0.02)
    assert (5 * 64 + 5 * 32, True, 0) == (found.macs, found.agree, found.model.weights.unread)  # type: ignore[union-attr]  # of a module
    assert {"part", "linear"} == {layer.name for layer in found.layers if layer.macs}


def test_a_tensor_given_twice_stays_one() -> None:
    """What is written to one of two arguments that are the same tensor is seen in the other."""
    x = torch.ones(2)
    (one, other), named = arguments((x, x), {"x": x}, copies.filled)
    assert one is other is named["x"]
    assert one is not x


def test_views_of_one_memory_stay_views_of_one() -> None:
    """What is written to a view is seen in the whole, of a cast copy too; slices that do not meet are copied alone."""
    whole = torch.arange(12.0).view(3, 4)
    made, _ = arguments((whole, whole[1], whole[:, 2], torch.ones(2)), {}, Tensor.double)
    copied, row, column, far = tensors_in(made)
    assert ([4, 5, 6, 7], [2, 6, 10]) == (row.tolist(), column.tolist())
    row.fill_(-1)
    assert ([-1] * 4, [2, -1, 10]) == (copied[1].tolist(), column.tolist())
    assert [4, 5, 6, 7] == whole[1].tolist()
    assert [1, 1] == far.tolist()
    large = torch.zeros(1000, 4)
    apart = tensors_in(arguments((large[0], large[999]), {}, copies.filled)[0])
    assert [16, 16] == [each.untyped_storage().nbytes() for each in apart]


class Static:
    """A cache of a fixed size, and the part of it that is filled."""

    def __init__(self) -> None:
        self.k = torch.zeros(1, 9, 8)
        self.filled = self.k[:, :7]

    def add(self, x: Tensor) -> Tensor:
        """x: (1, 1, 8) -> the sum over what is filled, in which x is."""
        self.filled[:, :1] = x
        return self.k.sum(1)


def test_a_cache_with_views_works_in_a_copy() -> None:
    """What goes into the filled part is in the whole cache: of the copies alone."""
    cache, seen = Static(), set()

    def step(x: Tensor, cache: Static) -> Tensor:
        found = cache.add(x)
        if not found.is_meta:
            seen.add(float(found.sum()))
        return found

    found = archcost.profile(Does(step), (torch.ones(1, 1, 8), cache), threads=1, time=0.01)
    assert (32, True, {8.0}) == (found.macs, found.agree, seen)
    assert 0 == cache.k.sum()


@pytest.mark.parametrize("grad", [False, True])
def test_a_wish_for_a_gradient_is_kept(grad: bool) -> None:
    """Of an input that was given one, and of one that was computed with one; none is added."""
    leaf = torch.ones(5, 8, requires_grad=grad)
    seen: set[bool] = set()

    def noted(x: Tensor, y: Tensor) -> Tensor:
        seen.add((x.requires_grad, y.requires_grad))  # type: ignore[arg-type]  # pairs
        return x + y

    archcost.profile(Does(noted), (leaf, leaf * 2), threads=1, time=0.01, witness=False)
    assert {(grad, grad)} == seen


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (torch.ones(1), False),
        ((torch.ones(1), [1, {"a": None}]), False),
        (Pair([], torch.ones(1)), False),
        (torch.relu, False),
        (Cache(), True),
        ([{"a": (Rows(),)}], True),
        (Output(), True),
    ],
)
def test_objects_are_told_from_containers(value: object, expected: bool) -> None:
    """Containers of Python's own are looked at after a call; what has methods of its own may change at any time."""
    assert expected is has_objects(value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(8, 4).half(),
        lambda: nn.Conv1d(5, 4, 3).half(),
        lambda: nn.MultiheadAttention(8, 2).half(),
        lambda: nn.Bilinear(8, 8, 4).half(),
        lambda: Does(lambda x: x @ torch.ones(8, 8, dtype=torch.float16)),
        lambda: Does(lambda x: torch.bmm(x[None], torch.ones(1, 8, 8, dtype=torch.float16))[0]),
    ],
)
def test_what_torch_refuses_of_two_types_is_refused(make: Callable[[], nn.Module], dtype: torch.dtype) -> None:
    """A half module with another input raises on data, so that it is no count either."""
    module, x = make(), torch.ones(5, 8, dtype=dtype)
    given = (x, x, x) if isinstance(module, nn.MultiheadAttention) else (x, x) if isinstance(module, nn.Bilinear) else x
    with pytest.raises((RuntimeError, ValueError)), torch.no_grad():
        module(*given) if isinstance(given, tuple) else module(given)
    with pytest.raises(InputError, match="cannot run on the given input"):
        archcost.profile(module, given, latency=False)
    with pytest.raises(InputError, match="cannot run on the given input"):
        archcost.measure(module, given, time=0.01, threads=1)


def test_two_types_that_torch_takes_are_counted() -> None:
    """Attention scores with a mask of another type, sums, lookups: no product of two types."""
    found = archcost.profile(Does(lambda x: x + torch.arange(8)), torch.ones(5, 8), latency=False)
    assert (160, True) == (found.macs, found.agree)
    cast = Does(lambda x: F.linear(x.half(), torch.ones(8, 8, dtype=torch.float16)).float())
    assert 5 * 64 + 160 == archcost.profile(cast, torch.ones(5, 8), latency=False).macs
