"""Copies of the arguments of a call, of any kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Final

import torch
from torch import Tensor, nn

from archcost.errors import InputError, Mistake, named, one_line, quoted
from archcost.nets.calls.contents import ATOMS, tensors_in, walk
from archcost.nets.copies import deep
from archcost.nets.storage import is_plain

_READ_ONCE: Final = (GeneratorType, AsyncGeneratorType, CoroutineType)


def arguments(
    args: Sequence[object],
    kwargs: Mapping[str, object],
    make: Callable[[Tensor], Tensor],
    memo: dict[int, Any] | None = None,
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Return copies of a call's arguments of any kind, in which each tensor is what `make` makes of it.

    Those that overlap in memory overlap in the copy. memo: what is copied already, by its id: an argument may hold the
    module, or a part of it. Locks and the like, which
    cannot be copied, stay as they are inside their copied holders. Raises InputError if an argument cannot be copied.
    """
    memo = {} if memo is None else memo
    with torch.inference_mode(False):
        memo |= _together([t for t in tensors_in((args, kwargs)) if id(t) not in memo], make)
    places: list[tuple[int | str, object]] = [*enumerate(args, 1), *kwargs.items()]
    copied = [_argument(key, value, memo, make) for key, value in places]
    return tuple(copied[: len(args)]), dict(zip(kwargs, copied[len(args) :], strict=True))


def _argument(key: int | str, value: object, memo: dict[int, Any], make: Callable[[Tensor], Tensor]) -> object:
    if type(value) in ATOMS or id(value) in memo:
        return memo.get(id(value), value)
    before = dict(memo)
    try:
        return deep(value, memo, make)
    except Exception as error:  # of any class: what cannot be copied says so as it likes
        because = error
    memo.clear()
    memo |= before | {id(part): part for part in walk(value) if _stays(part)}
    try:
        return deep(value, memo, make)
    except Exception:  # noqa: S110  # the first reason is the one to tell
        pass
    which = f"argument {key}" if isinstance(key, int) else f"argument {quoted(key)}"
    raise InputError(
        Mistake(
            f"{which} ({type(value).__name__}) cannot be copied, and a call may change it: "
            f"{one_line(named(because), 200)}; allowed: what copy.deepcopy can copy",
            ("inputs",),
        )
    ) from because


def _stays(value: object) -> bool:
    """Return whether a thing is used as it is in a copy of what holds it: it cannot be copied, nor be used up."""
    if isinstance(value, (Tensor, nn.Module, *_READ_ONCE)) or hasattr(type(value), "__deepcopy__"):
        return False
    try:
        value.__reduce_ex__(4)
    except Exception:  # as copy.deepcopy would meet it
        return not hasattr(value, "__dict__")
    return False


def _together(tensors: Sequence[Tensor], make: Callable[[Tensor], Tensor]) -> dict[int, Tensor]:
    """Return what is made of each tensor, by its id; of those that overlap in memory one copy is made for all."""
    made = {}
    for group in _overlapping({id(tensor): tensor for tensor in tensors}.values()):
        if len(group) == 1:
            made[id(group[0])] = make(group[0])
            continue
        start, stop = min(t.storage_offset() for t in group), max(map(_end, group))
        whole = make(group[0].detach().as_strided((stop - start,), (1,), start)).detach()
        for tensor in group:
            view = whole.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset() - start)
            made[id(tensor)] = view.detach().requires_grad_(tensor.requires_grad)
    return made


def _overlapping(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the tensors in groups of one memory whose ranges overlap."""
    places: dict[object, list[Tensor]] = {}
    for tensor in tensors:
        shares = (
            is_plain(tensor) and tensor.numel() and not (tensor.is_quantized or tensor.is_conj() or tensor.is_neg())
        )
        places.setdefault((tensor.untyped_storage()._cdata, tensor.dtype) if shares else id(tensor), []).append(tensor)
    for group in places.values():
        if len(group) == 1:
            yield group
            continue
        found: list[Tensor] = []
        for tensor in sorted(group, key=Tensor.storage_offset):
            if found and tensor.storage_offset() >= max(map(_end, found)):
                yield found
                found = []
            found.append(tensor)
        yield found


def _end(tensor: Tensor) -> int:
    reach = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    return int(tensor.storage_offset() + reach + 1)
