"""Counting as torch dispatches: every operator of a call passes here, below autograd, with the module it runs in.

On meta tensors the slow shape functions of convolutions, norms and products are asked once per kind of call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from archcost.operators import Rule, elementwise_rule, known, macs_rule

_CACHED: Final = frozenset(
    f"aten::{name}"
    for name in "convolution native_batch_norm native_layer_norm native_group_norm mm addmm bmm baddbmm mv "
    "convolution_backward native_batch_norm_backward native_layer_norm_backward".split()
)


class _Rules(NamedTuple):
    """What is known of an operator."""

    name: str
    macs: Rule | None
    elementwise: Rule | None
    known: bool
    cached: bool


@lru_cache(maxsize=4096)
def _rules(op: Any) -> _Rules:
    name = op._schema.name
    return _Rules(name.partition("::")[2], macs_rule(op), elementwise_rule(op), known(op), name in _CACHED)


@dataclass(slots=True)
class Tally:
    """What one operator did in one module, all its calls together."""

    calls: int = 0
    macs: int = 0
    elementwise: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    shape: tuple[int, ...] = ()
    known: bool = True


@dataclass
class Calls:
    """What happened in one call of a module: by (module path, operator), in order; and how often each module ran."""

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)


class Counting(TorchDispatchMode):
    """Counts every operator that passes, in the module that `within` says is running."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self.calls = calls
        self.path = [""]
        self._seen: dict[Any, tuple[Any, int, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operator, or on meta make its result from an equal earlier one, and count it."""
        rules = _rules(func)
        if rules.cached and not kwargs and args[0].device.type == "meta":
            return self._again(func, rules, args)
        result = func(*args, **(kwargs or {}))
        self._note(rules, args, result, *_work(rules, args, result))
        return result

    def _again(self, func: Any, rules: _Rules, args: Sequence[Any]) -> Any:
        key = (func, *[_key(value) for value in args])
        if key not in self._seen:
            result = _SHAPES[rules.name](args) if rules.name in _SHAPES else func(*args)
            self._seen[key] = (_described(result), *_work(rules, args, result))
        else:
            result = _made(self._seen[key][0])
        self._note(rules, args, result, self._seen[key][1], self._seen[key][2])
        return result

    def _note(self, rules: _Rules, args: Sequence[Any], result: Any, macs: int, elementwise: int) -> None:
        key = (self.path[-1], rules.name)
        tally = self.calls.tallies.get(key)
        if tally is None:
            tally = self.calls.tallies[key] = Tally(known=rules.known)
        tally.calls += 1
        if macs or elementwise or not rules.known:
            tally.macs += macs
            tally.elementwise += elementwise
            tally.read_bytes += _traffic(args)
            first = result[0] if isinstance(result, tuple | list) and result else result
            if isinstance(first, Tensor):
                tally.written_bytes += first.numel() * first.element_size()
                tally.shape = tuple(first.shape)


def _work(rules: _Rules, args: Sequence[Any], result: Any) -> tuple[int, int]:
    return (
        rules.macs(args, result) if rules.macs else 0,
        rules.elementwise(args, result) if rules.elementwise else 0,
    )


def _traffic(args: Sequence[Any]) -> int:
    return sum(a.numel() * a.element_size() for a in args if isinstance(a, Tensor))


def _key(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype
    return tuple(value) if isinstance(value, list) else value


def _described(result: Any) -> Any:
    if isinstance(result, Tensor):
        return tuple(result.shape), result.stride(), result.dtype
    return [_described(value) for value in result] if isinstance(result, tuple | list) else result


def _made(described: Any) -> Any:
    match described:
        case list():
            return tuple(_made(value) for value in described)
        case tuple():
            shape, stride, dtype = described
            return torch.empty_strided(shape, stride, dtype=dtype, device="meta")
        case _:
            return described


def _convolution(args: Sequence[Any]) -> Tensor:
    """(x, weight, bias, stride, padding, dilation, transposed, output padding, groups): torch.nn.Conv2d's formulas."""
    x, weight, _, stride, padding, dilation, transposed, more, groups = args
    kernel = weight.shape[2:]
    sides = []
    for i, size in enumerate(x.shape[2:]):
        step, pad, spread = (v[i if len(v) > 1 else 0] for v in (stride, padding, dilation))
        reach = spread * (kernel[i] - 1)
        if transposed:
            sides.append((size - 1) * step - 2 * pad + reach + more[i if len(more) > 1 else 0] + 1)
        else:
            sides.append((size + 2 * pad - reach - 1) // step + 1)
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    return torch.empty((x.shape[0], channels, *sides), dtype=x.dtype, device="meta")


def _batch_norm(args: Sequence[Any]) -> tuple[Tensor, Tensor, Tensor]:
    """(x, weight, bias, mean, var, training, ...) -> like x, and the statistics that training keeps."""
    x, training = args[0], args[5]
    kept = x.shape[1] if training else 0
    statistics = (torch.empty(kept, dtype=torch.float32, device="meta") for _ in range(2))
    return (torch.empty_like(x), *statistics)  # type: ignore[return-value]  # two statistics


_SHAPES: Final[dict[str, Callable[[Sequence[Any]], Any]]] = {
    "convolution": _convolution,
    "native_batch_norm": _batch_norm,
}
"""Results whose shape functions in torch are Python and slow, made here; tests compare them with torch's."""


@contextmanager
def within(module: nn.Module, mode: Counting) -> Iterator[None]:
    """Tell the mode which part of the module runs, by hooks on `module`, a copy of ours; part by first name."""
    handles = []
    for path, part in module.named_modules():
        handles.append(part.register_forward_pre_hook(_enter(path, mode)))
        handles.append(part.register_forward_hook(_leave(mode), always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _enter(path: str, mode: Counting) -> Callable[..., None]:
    def hook(*_: object) -> None:
        mode.path.append(path)
        mode.calls.runs[path] = mode.calls.runs.get(path, 0) + 1

    return hook


def _leave(mode: Counting) -> Callable[..., None]:
    def hook(*_: object) -> None:
        mode.path.pop()

    return hook
