"""The settings of this process that a forward may change: of torch, numpy and Python."""

from __future__ import annotations

import gc
import locale
import logging
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import torch
from torch.utils import deterministic

Value: TypeAlias = Any  # each setting has a type of its own


class Setting(NamedTuple):
    """How a setting is read and written; always: written without asking whether it changed, which takes longer."""

    read: Callable[[], Value]
    write: Callable[[Value], object]
    always: bool = False


def _precision(backend: str, operator: str) -> Setting:
    """Return how the precision of float32 products is kept, by torch's newer names."""
    get, put = torch._C._get_fp32_precision_getter, torch._C._set_fp32_precision_setter
    return Setting(lambda: get(backend, operator), lambda value: put(backend, operator, value))


def _older_precision() -> str | None:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # set by the newer names, which say more than the older one can
        return None


def _to_older_precision(value: str | None) -> None:
    if value is not None:
        torch.set_float32_matmul_precision(value)


def _attribute(holder: object, name: str) -> Setting:
    return Setting(lambda: getattr(holder, name), lambda value: setattr(holder, name, value))


def _autocast(device: str) -> Iterator[Setting]:
    yield Setting(lambda: torch.is_autocast_enabled(device), lambda value: torch.set_autocast_enabled(device, value))
    yield Setting(lambda: torch.get_autocast_dtype(device), lambda value: torch.set_autocast_dtype(device, value))


def _shown() -> dict[str, Value]:
    return dict(vars(torch._tensor_str.PRINT_OPTS))


def _keeps_denormals() -> bool:
    """Return whether numbers below the smallest normal one are not 0: torch sets it, and has no way to ask."""
    return sys.float_info.min / float("2") > 0


def _folder() -> Path | None:
    with suppress(OSError):  # a folder that is gone
        return Path.cwd()
    return None


def _to_folder(path: Path | None) -> None:
    if path is not None:
        with suppress(OSError):  # as above
            os.chdir(path)


def _environment() -> dict[Value, Value]:
    return dict(os.environ._data)  # type: ignore[attr-defined]  # as it is kept: a decoded copy takes 30 us


def _to_environment(before: dict[Value, Value]) -> None:
    now, kept = os.environ.copy(), os.environ
    known = {kept.decodekey(key): kept.decodevalue(value) for key, value in before.items()}
    for key in now.keys() - known.keys():
        del os.environ[key]
    os.environ.update({key: value for key, value in known.items() if now.get(key) != value})


def _collected(enabled: bool) -> None:
    gc.enable() if enabled else gc.disable()


_BACKENDS: Final = torch.backends
_CUDA: Final = torch.backends.cuda

SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(torch.get_num_threads, torch.set_num_threads),
    Setting(torch.is_grad_enabled, torch._C._set_grad_enabled),
    Setting(torch.get_default_dtype, torch.set_default_dtype),
    Setting(torch.get_default_device, torch.set_default_device),
    Setting(
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    ),
    _attribute(deterministic, "fill_uninitialized_memory"),
    Setting(
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda value: torch.set_anomaly_enabled(*value),
    ),
    Setting(torch.is_warn_always_enabled, torch.set_warn_always),
    *_autocast("cpu"),
    *_autocast("cuda"),
    Setting(torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    Setting(_older_precision, _to_older_precision),
    *(_precision(backend, operator) for backend in ("cuda", "mkldnn") for operator in ("matmul", "conv", "rnn")),
    Setting(_BACKENDS.mha.get_fastpath_enabled, _BACKENDS.mha.set_fastpath_enabled),
    Setting(torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled),
    Setting(torch._C._get_cudnn_enabled, torch._C._set_cudnn_enabled),  # the module's own may be frozen
    Setting(torch._C._get_cudnn_benchmark, torch._C._set_cudnn_benchmark),
    Setting(torch._C._get_cudnn_deterministic, torch._C._set_cudnn_deterministic),
    *(_attribute(_BACKENDS.opt_einsum, name) for name in ("enabled", "strategy")),
    _attribute(_BACKENDS.quantized, "engine"),
    Setting(_CUDA.flash_sdp_enabled, _CUDA.enable_flash_sdp),
    Setting(_CUDA.mem_efficient_sdp_enabled, _CUDA.enable_mem_efficient_sdp),
    Setting(_CUDA.math_sdp_enabled, _CUDA.enable_math_sdp),
    Setting(_CUDA.cudnn_sdp_enabled, _CUDA.enable_cudnn_sdp),
    Setting(_shown, lambda value: vars(torch._tensor_str.PRINT_OPTS).update(value)),
    Setting(_keeps_denormals, lambda value: torch.set_flush_denormal(not value)),
    Setting(random.getstate, random.setstate, always=True),
    Setting(_environment, _to_environment),
    Setting(_folder, _to_folder),
    Setting(lambda: locale.setlocale(locale.LC_ALL), lambda value: locale.setlocale(locale.LC_ALL, value)),
    Setting(sys.getrecursionlimit, sys.setrecursionlimit),
    Setting(sys.getswitchinterval, sys.setswitchinterval),
    Setting(gc.isenabled, _collected),
    _attribute(logging.root, "level"),
    _attribute(logging.root.manager, "disable"),
)
"""What is put back, in this order; random states of torch have a context of their own."""


def numpy_settings() -> Iterator[Setting]:
    """Yield those of numpy, if the process has loaded it."""
    if numpy := sys.modules.get("numpy"):
        yield Setting(numpy.random.get_state, numpy.random.set_state, always=True)
        yield Setting(numpy.geterr, lambda value: numpy.seterr(**value))
        yield Setting(numpy.get_printoptions, lambda value: numpy.set_printoptions(**value))
