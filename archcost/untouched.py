"""A module, and torch's settings, as they were: whatever a call did to them is undone, also after an error."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Put back, at the end, every part's attributes, flags, hooks, buffers' values and gradients, and the settings.

    An attribute that was assigned is put back; a list or dictionary of the module's own that was changed in place is not.
    """
    saved = [(part, _attributes(part)) for part in module.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers() if not buffer.is_meta]
    gradients = [(parameter, parameter.grad) for parameter in module.parameters()]
    try:
        with settings():
            yield
    finally:
        for part, attributes in saved:
            _restore(part, attributes)
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
        for parameter, gradient in gradients:
            parameter.grad = gradient


def _attributes(part: nn.Module) -> dict[str, object]:
    """Return a part's attributes; torch's own dictionaries (parameters, hooks, parts, ...) are copied."""
    return {key: value.copy() if _torchs(key, value) else value for key, value in part.__dict__.items()}


def _torchs(key: str, value: object) -> bool:
    return isinstance(value, dict) and key.startswith("_")


def _restore(part: nn.Module, attributes: dict[str, object]) -> None:
    now = part.__dict__
    for key in [key for key in now if key not in attributes]:
        del now[key]
    for key, value in attributes.items():
        kept = now.get(key)
        if _torchs(key, value) and isinstance(kept, dict) and isinstance(value, dict):
            kept.clear()
            kept.update(value)
        else:
            now[key] = value


@contextmanager
def settings() -> Iterator[None]:
    """Put back torch's and Python's random state, the attention fast path, the default dtype and device."""
    state = random.getstate()
    fast = torch.backends.mha.get_fastpath_enabled()
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(state)
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
