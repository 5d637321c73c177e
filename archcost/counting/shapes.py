"""Results on meta without asking torch, whose shape functions take up to 4 ms a call.

Each function here gives (shape, strides, type) of what an operator would return, or None if the call is not one of
the plain ones it knows; torch is asked then. tests/counting/test_shapes.py compares every one with torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, Final, NamedTuple, TypeAlias

import torch
from torch import Tensor

from archcost.nets.copies import NeedsData

_META: Final = torch.device("meta")


class Form(NamedTuple):
    """What a tensor on meta is."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype


Result: TypeAlias = Form | list["Result"] | None | int | float | bool
"""What an operator returned: a tensor's form, several, or what is no tensor."""


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of a contiguous tensor."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def _form(x: Tensor) -> Form:
    return Form(tuple(x.shape), x.stride(), x.dtype)


def _dense(x: Tensor) -> bool:
    return x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last))


def _expanded(x: Tensor) -> bool:
    """Return whether a tensor is a contiguous one whose last places are each repeated: the gradient of a mean."""
    own = [size for size, stride in zip(x.shape, x.stride(), strict=True) if stride]
    return x.dim() > len(own) > 0 and x.stride() == (*contiguous(own), *[0] * (x.dim() - len(own)))


def _like(args: Sequence[Any]) -> Form | None:
    return _form(args[0]) if _dense(args[0]) else None


def _pointwise(args: Sequence[Any]) -> Form | None:
    """Values of one shape, strides and floating type, and numbers; or a whole one and what is broadcast to it."""
    given = [a for a in args if isinstance(a, Tensor)]
    x = given[0]
    if not x.is_floating_point() or any(a.dtype is not x.dtype for a in given):
        return None
    if any(isinstance(a, complex) for a in args):
        return None
    if all(a.shape == x.shape and a.stride() == x.stride() for a in given) and _dense(x):
        return _form(x)
    if len(given) == 1 and _expanded(x):
        return Form(tuple(x.shape), contiguous(x.shape), x.dtype)
    if not all(a.is_contiguous() for a in given):
        return None
    shape = torch.broadcast_shapes(*(a.shape for a in given))  # type: ignore[no-untyped-call]  # torch's
    return Form(tuple(shape), contiguous(shape), x.dtype) if shape == x.shape else None


def _convolution(args: Sequence[Any]) -> Form | None:
    """(x, weight, bias, stride, padding, dilation, transposed, output padding, groups): torch.nn.Conv2d's formulas."""
    x, weight, _, stride, padding, dilation, transposed, more, groups = args
    if not (x.is_contiguous() and weight.is_contiguous()):
        return None  # channels_last in, channels_last out: torch knows
    kernel = weight.shape[2:]
    if len(stride) < len(kernel):
        stride, padding, dilation, more = (v if len(v) > 1 else [*v] * len(kernel) for v in (*args[3:6], more))
    reach = [dilation[i] * (side - 1) for i, side in enumerate(kernel)]
    if transposed:
        sides = [(n - 1) * stride[i] - 2 * padding[i] + reach[i] + more[i] + 1 for i, n in enumerate(x.shape[2:])]
    else:
        sides = [(n + 2 * padding[i] - reach[i] - 1) // stride[i] + 1 for i, n in enumerate(x.shape[2:])]
    expected = weight.shape[0] if transposed else weight.shape[1] * groups
    if x.shape[1] != expected or x.dtype is not weight.dtype or min(sides, default=1) < 1:
        return None  # an error: torch words it
    shape = (x.shape[0], weight.shape[1] * groups if transposed else weight.shape[0], *sides)
    return Form(shape, contiguous(shape), x.dtype)


def _convolution_backward(args: Sequence[Any]) -> list[Result] | None:
    """(gradient, x, weight, sizes of the bias, ..., which are wanted) -> like x, like the weight, and the bias."""
    gradient, x, weight, sizes, wanted = *args[:4], args[10]
    if not (gradient.is_contiguous() and x.is_contiguous() and weight.is_contiguous()) or gradient.dtype is not x.dtype:
        return None
    bias = Form(tuple(sizes or ()), contiguous(sizes or ()), x.dtype)
    return [form if asked else None for form, asked in zip((_form(x), _form(weight), bias), wanted, strict=True)]


def _batch_norm(args: Sequence[Any]) -> list[Result] | None:
    """(x, weight, bias, mean, var, training, ...) -> like x, and the statistics that training keeps."""
    x, weight, training = args[0], args[1], args[5]
    if not _dense(x) or (weight is not None and weight.dtype is not x.dtype):
        return None
    kept = (x.shape[1] if training else 0,)
    statistics = Form(kept, (1,), torch.float32 if x.dtype in (torch.bfloat16, torch.float16) else x.dtype)
    return [_form(x), statistics, statistics]


def _batch_norm_backward(args: Sequence[Any]) -> list[Result] | None:
    """(gradient, x, weight, ..., which are wanted) -> like x, and those of weight and bias, None where not wanted."""
    gradient, x, weight, wanted = args[0], args[1], args[2], args[9]
    plain = x.dtype in (torch.float32, torch.float64) and _dense(x) and gradient.stride() == x.stride()
    if not plain or (weight is not None and weight.dtype is not x.dtype):
        return None
    channel = Form((x.shape[1],), (1,), x.dtype)
    return [form if asked else None for form, asked in zip((_form(x), channel, channel), wanted, strict=True)]


def _layer_norm(args: Sequence[Any]) -> list[Result] | None:
    """(x, normalised shape, weight, bias, eps) -> like x, mean and 1/deviation of each row."""
    x, over = args[0], args[1]
    if x.dtype not in (torch.float32, torch.float64) or not x.is_contiguous():
        return None
    if any(a is not None and a.dtype is not x.dtype for a in args[2:4]) or list(x.shape[-len(over) :]) != list(over):
        return None
    rows = (*x.shape[: -len(over)], *(1 for _ in over))
    row = Form(rows, contiguous(rows), x.dtype)
    return [_form(x), row, row]


def _addmm(args: Sequence[Any]) -> Form | None:
    bias, left, right = args[:3]
    if left.dim() != 2 or right.dim() != 2 or left.shape[1] != right.shape[0] or bias.dtype is not left.dtype:
        return None
    shape = (left.shape[0], right.shape[1])
    wide = bias.dim() == 1 and bias.shape[0] in (1, shape[1])
    return Form(shape, contiguous(shape), left.dtype) if wide and left.dtype is right.dtype else None


def _product(args: Sequence[Any]) -> Form | None:
    """(left, right), both matrices or both batches of as many."""
    left, right = args[:2]
    if left.dtype is not right.dtype or left.shape[:-2] != right.shape[:-2] or left.shape[-1] != right.shape[-2]:
        return None
    shape = (*left.shape[:-1], right.shape[-1])
    return Form(shape, contiguous(shape), left.dtype)


def _mean(args: Sequence[Any]) -> Form | None:
    """(x, dimensions, kept or not) -> contiguous, whatever x is."""
    x, over = args[0], args[1] if len(args) > 1 else None
    if not over or not x.is_floating_point():
        return None
    keep = len(args) > 2 and bool(args[2])
    gone = {d % x.dim() for d in over}
    shape = tuple(1 if i in gone else s for i, s in enumerate(x.shape) if keep or i not in gone)
    return Form(shape, contiguous(shape), x.dtype)


def _sum(args: Sequence[Any]) -> Form | None:
    """(x), or as a mean."""
    return _mean(args) if len(args) > 1 else Form((), (), args[0].dtype) if args[0].is_floating_point() else None


def _dropout(args: Sequence[Any]) -> list[Result] | None:
    x = args[0]
    return [_form(x), Form(tuple(x.shape), x.stride(), torch.bool)] if _dense(x) and args[2] is True else None


_POINTWISE: Final = """relu sigmoid tanh gelu silu mish hardswish hardsigmoid hardtanh leaky_relu elu softplus add sub
    mul div neg exp log sqrt rsqrt pow abs clamp clamp_min clamp_max sin cos erf square threshold_backward
    sigmoid_backward tanh_backward gelu_backward silu_backward hardswish_backward hardsigmoid_backward hardtanh_backward
    leaky_relu_backward elu_backward""".split()

FORMS: Final[Mapping[str, Callable[[Sequence[Any]], Result]]] = {
    **dict.fromkeys(_POINTWISE, _pointwise),
    "ones_like": _like,
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
    "native_batch_norm": _batch_norm,
    "native_batch_norm_backward": _batch_norm_backward,
    "native_layer_norm": _layer_norm,
    "addmm": _addmm,
    "mm": _product,
    "bmm": _product,
    "mean": _mean,
    "sum": _sum,
    "native_dropout": _dropout,
}
"""By operator; each is asked once for every kind of call."""


def form_of(result: Any) -> Result:
    """Return what an operator's result is; raises NeedsData for what stores values that are not there on meta."""
    if isinstance(result, Tensor):
        if result.layout is not torch.strided:
            raise NeedsData("sparse tensors: products are counted by the values that they store")
        return _form(result)
    return [form_of(value) for value in result] if isinstance(result, tuple | list) else result


def made(result: Result, nothing: dict[Form, Tensor] | None = None) -> Any:
    """Return a result of that form on meta, in storage of its own; `nothing` keeps what has no values, for the next."""
    if type(result) is Form:
        if nothing is not None and 0 in result.shape:
            if result not in nothing:
                nothing[result] = made(result)
            return nothing[result]
        return torch.empty_strided(result.shape, result.strides, dtype=result.dtype, device=_META)
    return tuple([made(value, nothing) for value in result]) if isinstance(result, list) else result


def size_bytes(shape: Sequence[int], dtype: torch.dtype) -> int:
    """Return the bytes of that many values."""
    return prod(shape) * dtype.itemsize
