"""A module and torch's settings as they were before a call, also after an error."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from archcost.nets.calls.process import SETTINGS, numpy_settings


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Put back, at the end, every part's attributes, flags, hooks, buffers' values and gradients.

    For a module that cannot be copied and so runs itself. What is assigned to an attribute, and what changes a buffer
    in place, is undone; a list or dictionary of the module's own that was changed in place is not.
    """
    saved = [(part, _attributes(part)) for part in module.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers() if not buffer.is_meta]
    gradients = [(parameter, parameter.grad) for parameter in module.parameters()]
    try:
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
    return {key: value.copy() if _is_own(key, value) else value for key, value in part.__dict__.items()}


def _is_own(key: str, value: object) -> bool:
    return isinstance(value, dict) and key.startswith("_")


def _restore(part: nn.Module, attributes: dict[str, object]) -> None:
    now = part.__dict__
    for key in [key for key in now if key not in attributes]:
        del now[key]
    for key, value in attributes.items():
        kept = now.get(key)
        if isinstance(kept, dict) and isinstance(value, dict) and _is_own(key, value):
            kept.clear()
            kept.update(value)
        else:
            now[key] = value


@contextmanager
def settings() -> Iterator[None]:
    """Put back what a forward may set of torch, numpy and Python: threads, modes, flags, random states, environment.

    Of torch's pools only the threads inside an operator can be set twice, those between operators cannot.
    """
    before = [(setting, setting.read()) for setting in (*SETTINGS, *numpy_settings())]
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]  # torch's
    try:
        with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
            yield
    finally:
        for setting, value in before:
            if setting.always or setting.read() != value:
                setting.write(value)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module and all its parts in evaluation mode inside the context."""
    flags = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for part, training in flags:
            part.training = training
