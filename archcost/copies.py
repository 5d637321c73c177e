"""A copy of a module that can be run without touching the original: on meta tensors, which hold no data, or real ones.

torch.compile'd modules are unwrapped, scripted ones refused; shared parameters stay shared.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedTensorMixin

from archcost.errors import InputError


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the module inside torch.compile's wrapper; raises InputError for scripted and traced ones."""
    while isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
        module = inner
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            where = f" '{name}'" if name else ""
            raise InputError(f"the scripted module{where} cannot be counted; give the module it was made from")
    return module


def lazy(module: nn.Module) -> bool:
    """Return whether parameters get their shapes only in the first call."""
    return any(isinstance(t, UninitializedTensorMixin) for t in tensors(module))


def tensors(module: nn.Module) -> Iterator[Tensor]:
    """Yield parameters, buffers and plain tensor attributes, each once."""
    seen: set[int] = set()
    for part in module.modules():
        for value in [*part._parameters.values(), *part._buffers.values(), *part.__dict__.values()]:
            if isinstance(value, Tensor) and id(value) not in seen:
                seen.add(id(value))
                yield value


def on_meta(module: nn.Module) -> nn.Module:
    """Return a copy whose tensors hold no data; nothing the size of the weights is allocated."""
    return _compiled_off(copy.deepcopy(module, {id(t): _meta(t) for t in tensors(module)}))


def real(module: nn.Module) -> nn.Module:
    """Return a copy with data of its own."""
    memo: dict[int, Any] = {id(t): _detached(t) for t in tensors(module) if not t.is_leaf}
    return _compiled_off(copy.deepcopy(module, memo))


def inputs_on_meta(value: object) -> object:
    """Return the same structure of tuples, lists and dicts with its tensors on meta."""
    match value:
        case Tensor():
            return _meta(value)
        case tuple():
            made = [inputs_on_meta(v) for v in value]
            return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
        case list():
            return [inputs_on_meta(v) for v in value]
        case dict():
            return {key: inputs_on_meta(v) for key, v in value.items()}
        case _:
            return value


def _meta(tensor: Tensor) -> Tensor:
    if type(tensor) not in (Tensor, nn.Parameter, nn.Buffer):
        raise TypeError(f"{type(tensor).__name__} is not copied to meta")
    made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(made, tensor.requires_grad)
    return made.requires_grad_(tensor.requires_grad and tensor.is_leaf)


def _detached(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()  # deepcopy refuses tensors that were computed with gradients (weight_norm's)


def _compiled_off(module: nn.Module) -> nn.Module:
    for part in module.modules():
        part._compiled_call_impl = None
        for name, child in part.named_children():
            if isinstance(inner := getattr(child, "_orig_mod", None), nn.Module):
                part._modules[name] = inner
    return module
